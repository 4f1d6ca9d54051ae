"""The pipeline: a photo's file to a folder of maps, and maps for an avatar that is being made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.provenance import Provenance
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.methods.base import reconstruct_mesh
from headcast.methods.uhr_texture.geometry import fitted_geometry, foreign_geometry, read_camera
from headcast.methods.uhr_texture.infer import Result, missing_prior_message, texture_maps
from headcast.methods.uhr_texture.options import TextureOptions
from headcast.methods.uhr_texture.square import reduce_photo
from headcast.methods.uhr_texture.weights import NAMES, SkinNetworks, load_skin_networks, network_file
from headcast.methods.uhr_texture.write import wear_maps, write_maps, write_plain_glb, write_textured_glb
from headcast.observe.types import Observation
from headcast.progress import Progress
from headcast.weights import card

__all__ = ["BASE", "apply_maps", "side_of", "texture_photo", "with_skin_maps"]

BASE = 1024
"""Side of the fitted texture under the maps: it is visible only where the photo shows nothing."""
SYNTHETIC_MAPS_NOTE = (
    "Skin maps are estimated from one photograph; detail and shine are what a network takes them to be."
)
WORDS = {"1k": 1024, "2k": 2048, "4k": 4096, "8k": 8192}


def side_of(word: str) -> int:
    """Parse ``4k`` or a number of texels as a side.

    Raises:
        HeadcastError: neither.
    """
    side = WORDS.get(word.lower(), int(word) if word.isdigit() else 0)
    if not 256 <= side <= 8192:
        raise HeadcastError(f"texture size '{word}': give 1k, 2k, 4k, 8k or a number from 256 to 8192")
    return side


def texture_photo(
    observation: Observation,
    head: HeadModel,
    folder: Path,
    options: TextureOptions,
    progress: Progress | None = None,
    seed: int = 0,
) -> tuple[str, ...]:
    """Write the maps of an observed photo and a GLB; return notes.

    Raises:
        HeadcastError: files of the plug-in that make no sense, missing weights, an unwritable folder.
    """
    say = progress or (lambda fraction, what: None)
    networks = load_skin_networks("cpu", *(network_file(kind, options.weights) for kind in NAMES))
    camera = photo_camera(observation, options.camera)
    observation = replace(observation, camera=camera)
    base, size = None, side_of(options.size)
    notes: tuple[str, ...] = ()
    if options.geometry is None:
        if options.uv is not None:
            raise HeadcastError(f"--uv {options.uv}: only with --geometry")
        base = _fit_base(observation, head, seed, size, say, camera)
        geometry = fitted_geometry(base.head, observation.params, camera)
    else:
        posed = None if options.camera else observation.params
        geometry = foreign_geometry(options.geometry, options.uv, camera, posed)
        notes = (missing_prior_message(options.geometry),)
    result = texture_maps(
        observation,
        geometry,
        networks,
        base=base,
        size=size,
        head=head,
        prior=options.prior,
        progress=lambda s, w: say(0.3 + 0.6 * s, w),
    )
    say(0.92, "writing")
    folder.mkdir(parents=True, exist_ok=True)
    name, provenance = Path(observation.name).stem, provenance_with_maps(base)
    write_maps(result, folder, name, provenance.to_dict())
    path = folder / f"{name}.glb"
    if base is None:
        write_plain_glb(result, geometry, path, min(options.texture_size or size, size), options.format)
    else:
        bound = replace(base.bound, provenance=provenance)
        write_textured_glb(replace(base, bound=bound), result, path, options.texture_size, options.format)
    say(1.0, "done")
    return (*observation.notes, *result.notes, *notes)


def _fit_base(
    observation: Observation, head: HeadModel, seed: int, size: int, say: Progress, camera: Camera
) -> MeshAvatar:
    """Fit the head under the maps, seen by the given camera."""
    base = reconstruct_mesh(
        [reduce_photo(observation)],
        head,
        texture_size=min(size, BASE),
        seed=seed,
        progress=lambda s, w: say(0.3 * s, w),
    )
    bound = replace(base.bound, source=replace(base.source, camera=camera))
    return replace(base, bound=bound)


def photo_camera(observation: Observation, file: Path | None) -> Camera:
    """Return the photo's fitted camera, or the user's, scaled to the photo's size as it was read."""
    if file is None:
        return observation.camera
    given = read_camera(file)
    height, width = observation.image.shape[:2]
    if abs(given.width / given.height - width / height) > 0.01:
        raise HeadcastError(
            f"{file}: the camera's image is {given.width}x{given.height}, the photo's {width}x{height}; "
            "give the camera of this photo"
        )
    return given.scaled(width / given.width)


def provenance_with_maps(base: MeshAvatar | None, notes: tuple[str, ...] = ()) -> Provenance:
    """Describe how the maps were made, on top of how the avatar below them was."""
    made = Provenance() if base is None else base.provenance
    weights = [{"name": n, "licence": card(n).get("licence", "see its card")} for n in NAMES.values()]
    made = replace(
        made, method="uhr_texture", warnings=(*made.warnings, *notes), synthetic_media=SYNTHETIC_MAPS_NOTE
    )
    return made.with_weights(weights)


def with_skin_maps(
    mesh: MeshAvatar,
    observation: Observation,
    head: HeadModel,
    size: int,
    networks: SkinNetworks | None = None,
    progress: Progress | None = None,
) -> tuple[MeshAvatar, Result]:
    """Return a fitted avatar that wears the albedo of its first photo, and all maps."""
    with torch.no_grad():
        geometry = fitted_geometry(mesh.head, observation.params, observation.camera)
        result = texture_maps(
            observation,
            geometry,
            networks or load_skin_networks(),
            base=mesh,
            size=size,
            head=head,
            prior="geometry",
            progress=progress,
        )
    bound = replace(mesh.bound, provenance=provenance_with_maps(mesh, result.notes))
    return wear_maps(replace(mesh, bound=bound), result), result


def apply_maps(
    mesh: MeshAvatar,
    observation: Observation,
    head: HeadModel,
    size: str,
    folder: Path | None,
    progress: Progress | None = None,
) -> MeshAvatar:
    """Run ``with_skin_maps`` for a named size; write the maps into a folder where one is given.

    Raises:
        HeadcastError: an unknown size, another head model, missing weights, an unwritable folder.
    """
    if mesh.texture.ndim != 3 or head.name != HeadModel.load().name:
        raise HeadcastError("--texture: only with headcast's own head; leave out --head")
    dressed, result = with_skin_maps(mesh, observation, head, side_of(size), progress=progress)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_maps(result, folder, Path(observation.name).stem, dressed.info)
    return dressed
