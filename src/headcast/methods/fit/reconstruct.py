"""Reconstruct a ``MeshAvatar`` from observations of one person: fitted head, albedo texture, light."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.avatar.bound import BoundHead, bind_head
from headcast.avatar.lids import Lids
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.provenance import Provenance, head_weights
from headcast.avatar.source import SourceView, SurfacePoints
from headcast.head.model import BLINKS, HeadModel
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.fit.body.shell import body_shell, headroom, tuck_shoulders
from headcast.methods.fit.body.torso import Torso, estimate_torso
from headcast.methods.fit.ears import fit_ears
from headcast.methods.fit.hair.surface import HairSurface, hair_surface
from headcast.methods.fit.hair.texture import hair_shell
from headcast.methods.fit.hair.volume import hair_height, hair_offset
from headcast.methods.fit.outline import fit_outline
from headcast.methods.fit.skin.closed_lids import lid_patches
from headcast.methods.fit.skin.detail import blend_detailed_texture, blend_texture, texture_size_for
from headcast.methods.fit.skin.mouth import shape_mouth
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.photos import delight_photo, merge_photos
from headcast.methods.fit.skin.pipeline import complete_texture
from headcast.observe.foreground import clear_of_background
from headcast.observe.types import Observation
from headcast.progress import Progress
from headcast.render.jit import side_jobs
from headcast.texture.registration import register_photos
from headcast.texture.texels import Texels, texels_of

__all__ = ["fit_avatar"]

BASE_SIZE = 1024  # texture side at which weights are computed; larger textures add the photos' detail
Result = TypeVar("Result")


def fit_avatar(
    observations: list[Observation],
    head: HeadModel,
    *,
    texture_size: int | None = None,
    seed: int = 0,
    consent: str | None = None,
    progress: Progress | None = None,
) -> MeshAvatar:
    """Reconstruct a textured head from photos of one person; the first gives view, light and expression.

    Args:
        texture_size: side of the texture; None takes what the photos' own detail needs.
        seed: of the hair's strands.
        consent: a statement of the person shown, kept in the avatar.
        progress: called with the fraction done and what is being done.
    """
    say = progress or (lambda fraction, what: None)
    observations = [clear_of_background(o) for o in observations]
    with torch.no_grad(), side_jobs() as pool:
        say(0.0, "registering the photos" if len(observations) > 1 else "shaping the hair")
        observations = register_photos(observations, head)
        first_photo = observations[0]
        say(0.0, "shaping the hair")
        texels_job = pool.submit(texels_of, head, min(texture_size or BASE_SIZE, BASE_SIZE))
        head, hair, torso, height = _fit_shape(observations, head, pool)
        size = texture_size or max(texture_size_for(o, head) for o in observations)
        landmarks_job = pool.submit(locate_landmarks, head, first_photo)
        texels = texels_job.result()
        say(0.15, "taking colours from the photo")
        photos = [delight_photo(o, head, texels) for o in observations]
        light_factor = headroom(torso, first_photo, photos[0].light)
        lights = [x.light * light_factor for x in photos]
        rng = np.random.default_rng(seed)
        shell_jobs = []
        if hair is not None:
            shell_jobs.append(pool.submit(without_grad, hair_shell, hair, observations, head, lights, rng))
        shell_jobs.append(pool.submit(without_grad, body_shell, observations, head, torso, lights[0]))
        observed, gains = merge_photos(photos)
        say(0.4, "completing what is hidden")
        texture, lids = _texture_head(
            observations, head, seed, first_photo, texels, observed, height, say, gains, size
        )
        shells = tuple(s for s in [job.result() for job in shell_jobs] if s is not None)
        landmarks = landmarks_job.result()
        say(1.0, "reconstructed")
    source = SourceView(
        first_photo.camera, first_photo.params, torch.from_numpy(lights[0]).float(), landmarks
    )
    provenance = fit_provenance(head, size, observations, seed, consent)
    lids = lids.map_textures(lambda t: darken(t, light_factor))
    return MeshAvatar(
        bound=BoundHead(head, source, provenance),
        texture=darken(texture, light_factor),
        shells=shells,
        lids=lids,
    )


def _texture_head(
    observations: list[Observation],
    head: HeadModel,
    seed: int,
    first: Observation,
    texels: Texels,
    observed: TexelObservations,
    height: float,
    say: Progress,
    gains: list[Float[np.ndarray, "n 3"]],
    size: int,
) -> tuple[UInt8[np.ndarray, "h w 3"], Lids]:
    """Complete what the photos hide; return the texture and the closed eyelids."""
    rest = head.shape(first.params.identity).numpy()
    completed = complete_texture(head, texels, observed, rest, height, np.random.default_rng(seed))
    say(0.7, "painting")
    observed, fill = completed.observed, completed.fill
    gains = [gain * completed.level for gain in gains]
    texture = _paint(head, observations, texels, observed, fill, gains, size)
    blink = first.params.expression[list(BLINKS)]
    lids = lid_patches(texture, texels, completed.closed_lids, blink)
    return texture, lids


def _paint(
    head: HeadModel,
    observations: list[Observation],
    texels: Texels,
    observed: TexelObservations,
    fill: Float[np.ndarray, "n 3"],
    gains: list[Float[np.ndarray, "n 3"]],
    size: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """Blend what is observed into what is completed; above the texels' size with the photos' own detail."""
    if size == texels.size:
        return blend_texture(texels, observed.confidence, observed.albedo, fill)
    return blend_detailed_texture(head, observations, texels, gains, observed.confidence, fill, size)


class _FittedShape(NamedTuple):
    """The bound head, the surfaces of hair and torso, and the hair's height above the scalp in metres."""

    head: HeadModel
    hair: HairSurface | None
    torso: Torso | None
    hair_height: float


def _fit_shape(observations: list[Observation], head: HeadModel, pool: ThreadPoolExecutor) -> _FittedShape:
    """Fit hair and torso to the photos; bind the head to the person, scalp and shoulders moved."""
    first = observations[0]
    head = bind_head(head, fit_outline(first, head))
    head = bind_head(head, fit_ears(first, head))
    torso_job = pool.submit(without_grad, estimate_torso, first, head)
    offset, inwards = hair_offset(first, head)
    # hair lies on a scalp that is not larger than the photo shows the person
    hair = hair_surface(observations, bind_head(head, torch.from_numpy(inwards).float()))
    torso = torso_job.result()
    displacement = offset if hair is None else inwards
    displacement = displacement + tuck_shoulders(torso, first, head) + shape_mouth(head)
    head = bind_head(head, torch.from_numpy(displacement).float())
    return _FittedShape(head, hair, torso, hair_height(offset, head))


def without_grad(function: Callable[..., Result], *args: Any) -> Result:
    """Call without gradients, which are switched off for each thread separately."""
    with torch.no_grad():
        return function(*args)


def darken(texture: UInt8[np.ndarray, "h w 3"], factor: float) -> UInt8[np.ndarray, "h w 3"]:
    """Divide albedo in sRGB by a factor in linear light."""
    if factor == 1:
        return texture
    table = linear_to_srgb(srgb_to_linear(np.arange(256, dtype=np.float32) / 255) / factor)
    return np.round(table * 255).astype(np.uint8)[texture]


def locate_landmarks(head: HeadModel, observation: Observation) -> SurfacePoints:
    """Locate this photo's landmarks on the fitted head."""
    from headcast.observe.personal import personal_landmarks

    p = personal_landmarks(head, observation.params, observation.camera, observation.detection)
    return SurfacePoints(torch.from_numpy(p.triangle).long(), torch.from_numpy(p.bary).float())


def fit_provenance(
    head: HeadModel, size: int, observations: list[Observation], seed: int, consent: str | None
) -> Provenance:
    """Describe how the avatar was made."""
    from headcast.weights import card

    return Provenance(
        method="fit",
        photos=len(observations),
        seed=seed,
        consent=consent,
        weights=(
            head_weights(head),
            {"name": "skin", "licence": card("skin").get("licence", "see its card")},
        ),
        warnings=tuple(photo_warnings(observations)),
        extra={"texture_size": size},
    )


def photo_warnings(observations: list[Observation]) -> list[str]:
    """List how the files were read and what in the photos limits the avatar, one sentence each."""
    from headcast.observe.report import quality

    warnings = [
        (o.name, line.text) for o in observations for line in quality(o) if line.severity == "warning"
    ]
    notes = [(o.name, note) for o in observations for note in o.notes]
    several = len({name for name, _ in notes}) > 1  # the notes of a video are all at its first keyframe
    many = len(observations) > 1
    return [
        *(f"{Path(name).name}: {text}" if several else text for name, text in notes),
        *(f"{Path(name).name}: {text}" if many else text for name, text in warnings),
    ]
