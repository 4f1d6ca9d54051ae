"""``headcast texture``: estimate skin maps of a portrait."""

from __future__ import annotations

import time
from pathlib import Path

from headcast.cli.commands import Texture
from headcast.cli.output import free_path, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.progress import subrange

__all__ = ["run_texture"]

OBSERVE_END = 0.3  # fraction of the time that finding the face and fitting the head take
MAX_SIDE = 8192  # pixels of the photo


def run_texture(command: Texture) -> None:
    """Run ``headcast texture``: write skin maps.

    Raises:
        HeadcastError: what the user can mend.
    """
    start = time.perf_counter()
    folder = free_path(command.out or Path("maps"))
    report(folder, command.seed, start, command.json, write_photo_maps(command, folder))


def write_photo_maps(command: Texture, folder: Path) -> tuple[str, ...]:
    """Observe the photo and write its maps; return notes."""
    from headcast.head.model import HeadModel
    from headcast.image import load_image
    from headcast.methods.base import get_skin_mapper
    from headcast.observe.landmarks import FaceDetector
    from headcast.observe.observe import observe_photo
    from headcast.observe.photo import detect_visible

    pick_device(command.device)
    if folder.exists() and not folder.is_dir():
        raise HeadcastError(f"{folder}: is a file; name a folder for the maps")
    check_writable(folder / "run.json" if folder.is_dir() else folder)
    mapper = get_skin_mapper()
    mapper.check(command.options)
    photo = load_image(command.photo, max_side=MAX_SIDE)
    with Bar() as bar:
        bar(0.0, "finding the face")
        if command.face is None:
            with FaceDetector() as detector:
                found = len(detect_visible(detector, photo))
            if found > 1:
                raise HeadcastError(
                    f"{command.photo}: {found} faces; say which with --face, counted from 1 by size"
                )
        head = HeadModel.load()
        observation = observe_photo(photo, head, command.face, subrange(bar, 0.0, OBSERVE_END))
        return mapper.map_photo(
            observation,
            head,
            folder,
            command.options,
            seed=command.seed,
            progress=subrange(bar, OBSERVE_END, 1.0),
        )
