"""``headcast texture``: skin maps of a portrait, and of an avatar in the making."""

from __future__ import annotations

from pathlib import Path

from headcast.cli.commands import Texture
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable

__all__ = ["run_texture"]


def run_texture(command: Texture, folder: Path) -> tuple[str, ...]:
    """Writes the maps; gives notes.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.head.model import HeadModel
    from headcast.image import load_image
    from headcast.methods.uhr_texture.ktx2 import check_program
    from headcast.methods.uhr_texture.run import Options, side_of, texture_photo
    from headcast.methods.uhr_texture.weights import check_available
    from headcast.observe.landmarks import FaceDetector
    from headcast.observe.observe import observe_photo

    pick_device(command.device)
    if folder.exists() and not folder.is_dir():
        raise HeadcastError(f"{folder}: is a file; name a folder for the maps")
    check_writable(folder / "run.json" if folder.is_dir() else folder)
    size = side_of(command.size)
    check_available(command.weights)
    if command.format == "ktx2":
        check_program()
    photo = load_image(command.photo, max_side=8192)
    with Bar() as bar:
        bar(0.0, "finding the face")
        if command.face is None:
            with FaceDetector() as detector:
                found = len(detector.detect(photo.rgb))
            if found > 1:
                raise HeadcastError(
                    f"{command.photo}: {found} faces; say which with --face, counted from 1 by size"
                )
        head = HeadModel.load()
        seen = observe_photo(photo, head, command.face, lambda s, w: bar(0.3 * s, w))
        options = Options(
            size,
            command.texture_size,
            command.format,
            command.geometry,
            command.uv,
            command.camera,
            command.prior,
            command.weights,
        )
        return texture_photo(seen, head, folder, options, lambda s, w: bar(0.3 + 0.7 * s, w), command.seed)
