"""The whole way: a photo's file to a folder of maps, and maps for an avatar in the making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.methods.fit.reconstruct import reconstruct
from headcast.methods.uhr_texture.geometry import fitted, foreign, read_camera
from headcast.methods.uhr_texture.infer import Prior, Result, no_mesh, texture_maps
from headcast.methods.uhr_texture.square import smaller
from headcast.methods.uhr_texture.weights import NAMES, Networks, load_networks, where
from headcast.methods.uhr_texture.write import PictureFormat, wearing, write_glb, write_maps, write_plain_glb
from headcast.observe.types import Observation
from headcast.weights import card

__all__ = ["BASE", "Options", "dress", "side_of", "texture_photo", "with_skin_maps"]

BASE = 1024
"""Side of the fitted texture under the maps: it only shows where the photo shows nothing."""
WORDS = {"1k": 1024, "2k": 2048, "4k": 4096, "8k": 8192}
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Options:
    """See the command's help.

    Attributes:
        size: side of the UV maps. glb_size: of the textures inside of the GLB.
        kind: format of those. geometry, uv, camera: files of the plug-in. prior: see ``texture_maps``.
        weights: folder of the networks; None: the package's or the user's own.
    """

    size: int = 4096
    glb_size: int | None = None
    kind: PictureFormat = "png"
    geometry: Path | None = None
    uv: Path | None = None
    camera: Path | None = None
    prior: Prior = "geometry"
    weights: Path | None = None


def side_of(word: str) -> int:
    """``4k`` or a number of texels as a side.

    Raises:
        HeadcastError: neither.
    """
    side = WORDS.get(word.lower(), int(word) if word.isdigit() else 0)
    if not 256 <= side <= 8192:
        raise HeadcastError(f"texture size '{word}': give 1k, 2k, 4k, 8k or a number from 256 to 8192")
    return side


def texture_photo(
    seen: Observation, head: HeadModel, folder: Path, options: Options, progress: Progress | None = None,
    seed: int = 0,
) -> tuple[str, ...]:  # fmt: skip
    """Writes the maps of an observed photo and a GLB; gives notes.

    Raises:
        HeadcastError: files of the plug-in that make no sense, missing weights, an unwritable folder.
    """
    say = progress or (lambda share, what: None)
    networks = load_networks("cpu", *(where(kind, options.weights) for kind in NAMES))
    camera = whole_camera(seen, options.camera)
    seen = replace(seen, camera=camera)
    base = None
    notes: tuple[str, ...] = ()
    if options.geometry is None:
        if options.uv is not None:
            raise HeadcastError(f"--uv {options.uv}: only with --geometry")
        base = reconstruct(
            [smaller(seen)], head, texture_size=min(options.size, BASE), seed=seed,
            progress=lambda s, w: say(0.3 * s, w),
        )  # fmt: skip
        base = replace(base, source=replace(base.source, camera=camera))
        geometry = fitted(base.head, seen.params, camera)
    else:
        posed = None if options.camera else seen.params
        geometry = foreign(options.geometry, options.uv, camera, posed)
        notes = (no_mesh(options.geometry),)
    result = texture_maps(
        seen, geometry, networks, base=base, size=options.size, head=head, prior=options.prior,
        progress=lambda s, w: say(0.3 + 0.6 * s, w),
    )  # fmt: skip
    say(0.92, "writing")
    folder.mkdir(parents=True, exist_ok=True)
    name, info = Path(seen.name).stem, facts(base)
    write_maps(result, folder, name, info)
    path = folder / f"{name}.glb"
    if base is None:
        write_plain_glb(
            result, geometry, path, min(options.glb_size or options.size, options.size), options.kind
        )
    else:
        write_glb(replace(base, info=info), result, path, options.glb_size, options.kind)
    say(1.0, "done")
    return (*seen.notes, *result.notes, *notes)


def whole_camera(seen: Observation, file: Path | None) -> Camera:
    """The photo's fitted camera, or the user's, brought to the photo's size as it was read."""
    if file is None:
        return seen.camera
    given = read_camera(file)
    height, width = seen.image.shape[:2]
    if abs(given.width / given.height - width / height) > 0.01:
        raise HeadcastError(
            f"{file}: the camera's picture is {given.width}x{given.height}, the photo's {width}x{height}; "
            "give the camera of this photo"
        )
    return given.scaled(width / given.width)


def facts(base: MeshAvatar | None) -> dict:
    """How the maps were made, for files."""
    made = dict(base.info) if base is not None else {}
    weights = [*made.get("weights", [])]
    weights += [{"name": n, "licence": card(n).get("licence", "see its card")} for n in NAMES.values()]
    mark = (
        "Skin maps are estimated from one photograph; detail and shine are what a network takes them to be."
    )
    return {**made, "method": "uhr_texture", "weights": weights, "synthetic_media": mark}


def with_skin_maps(
    mesh: MeshAvatar, seen: Observation, head: HeadModel, size: int, networks: Networks | None = None,
    progress: Progress | None = None,
) -> tuple[MeshAvatar, Result]:  # fmt: skip
    """A fitted avatar that wears the albedo of its first photo, and all maps."""
    with torch.no_grad():
        geometry = fitted(mesh.head, seen.params, seen.camera)
        result = texture_maps(
            seen, geometry, networks or load_networks(), base=mesh, size=size, head=head, prior="geometry",
            progress=progress,
        )  # fmt: skip
    info = {**facts(mesh), "warnings": [*mesh.info.get("warnings", []), *result.notes]}
    return wearing(replace(mesh, info=info), result), result


def dress(
    mesh: MeshAvatar, seen: Observation, head: HeadModel, size: str, folder: Path | None,
    progress: Progress | None = None,
) -> MeshAvatar:  # fmt: skip
    """``with_skin_maps`` by a word for the size; the maps are written into a folder where one is given.

    Raises:
        HeadcastError: an unknown size, another head model, missing weights, an unwritable folder.
    """
    if mesh.texture.ndim != 3 or head.name != HeadModel.load().name:
        raise HeadcastError("--texture: only with headcast's own head; leave out --head")
    dressed, result = with_skin_maps(mesh, seen, head, side_of(size), progress=progress)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_maps(result, folder, Path(seen.name).stem, dressed.info)
    return dressed
