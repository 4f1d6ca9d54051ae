"""Observations of one person to a ``MeshAvatar``: fitted head, albedo texture, light."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8

from headcast.avatar.bound import BoundHead, bind_head
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.provenance import Provenance, head_weights
from headcast.avatar.source import SourceView, SurfacePoints
from headcast.head.model import BLINKS, HeadModel
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.fit.body.shell import body_shell, headroom, tuck
from headcast.methods.fit.body.torso import torso_of
from headcast.methods.fit.hair.surface import hair_surface
from headcast.methods.fit.hair.texture import hair_shell
from headcast.methods.fit.hair.volume import hair_height, hair_offset
from headcast.methods.fit.skin.closed_lids import lid_patches
from headcast.methods.fit.skin.detail import blend_detailed_texture, blend_texture, texture_size_for
from headcast.methods.fit.skin.mouth import lower_tongue
from headcast.methods.fit.skin.photos import delight_photo, merge_photos
from headcast.methods.fit.skin.pipeline import complete_texture
from headcast.observe.types import Observation
from headcast.texture.texels import texels_of

__all__ = ["reconstruct"]

BASE = 1024  # side of the texture on which everything is decided; larger ones add the photos' detail
Progress = Callable[[float, str], None]
Made = TypeVar("Made")


def reconstruct(
    observations: list[Observation], head: HeadModel, *, texture_size: int | None = None, seed: int = 0,
    consent: str | None = None, progress: Progress | None = None,
) -> MeshAvatar:  # fmt: skip
    """A textured head from photos of one person; the first photo gives view, light and expression.

    Args:
        texture_size: side of the texture; None takes what the photos' own detail needs.
        seed: of the hair's strands.
        consent: a statement of the person shown, kept in the avatar.
        progress: told the share done and what is being done.
    """
    say = progress or (lambda share, what: None)
    first = observations[0]
    with torch.no_grad(), ThreadPoolExecutor(1) as aside:
        say(0.0, "shaping the hair")
        base = aside.submit(texels_of, head, min(texture_size or BASE, BASE))
        offsets = aside.submit(quietly, hair_offset, first, head)
        hair = hair_surface(observations, head)
        torso = torso_of(first, head)
        offset, inwards = offsets.result()
        worn = offset if hair is None else inwards
        worn = worn + tuck(torso, first, head) + lower_tongue(head)
        head = bind_head(head, torch.from_numpy(worn).float())
        size = texture_size or max(texture_size_for(o, head) for o in observations)
        found = aside.submit(landmarks_of, head, first)
        texels = base.result()
        say(0.15, "taking colours from the photo")
        photos = [delight_photo(o, head, texels) for o in observations]
        room = headroom(torso, first, photos[0].light)
        lights = [x.light * room for x in photos]
        worn_hair = None if hair is None else aside.submit(
            quietly, hair_shell, hair, observations, head, lights, np.random.default_rng(seed)
        )  # fmt: skip
        body = aside.submit(quietly, body_shell, observations, head, torso, lights[0])
        observed, gains = merge_photos(photos)
        say(0.4, "completing what is hidden")
        rest = head.shape(first.params.identity).numpy()
        completed = complete_texture(
            head, texels, observed, rest, hair_height(offset, head), np.random.default_rng(seed)
        )
        say(0.7, "painting")
        observed, fill = completed.observed, completed.fill
        if size == texels.size:
            texture = blend_texture(texels, observed.confidence, observed.albedo, fill)
        else:
            texture = blend_detailed_texture(
                head, observations, texels, gains, observed.confidence, fill, size
            )
        blink = first.params.expression[list(BLINKS)]
        lids = lid_patches(texture, texels, completed.closed_lids, blink)
        made = (None if worn_hair is None else worn_hair.result(), body.result())
        shells = tuple(s for s in made if s is not None)
        landmarks = found.result()
        say(1.0, "reconstructed")
    source = SourceView(first.camera, first.params, torch.from_numpy(lights[0]).float(), landmarks)
    provenance = provenance_of(head, size, observations, seed, consent)
    lids = lids.mapped(lambda t: darker(t, room))
    return MeshAvatar(BoundHead(head, source, provenance), darker(texture, room), shells, lids)


def quietly(make: Callable[..., Made], *given: Any) -> Made:
    """Calls without gradients, which every thread must be told of anew."""
    with torch.no_grad():
        return make(*given)


def darker(texture: UInt8[np.ndarray, "h w 3"], factor: float) -> UInt8[np.ndarray, "h w 3"]:
    """Albedo in sRGB divided by a factor in linear light."""
    if factor == 1:
        return texture
    table = linear_to_srgb(srgb_to_linear(np.arange(256, dtype=np.float32) / 255) / factor)
    return np.round(table * 255).astype(np.uint8)[texture]


def landmarks_of(head: HeadModel, observation: Observation) -> SurfacePoints:
    """Where this photo's landmarks lie on the fitted head."""
    from headcast.observe.personal import personal_landmarks

    p = personal_landmarks(head, observation.params, observation.camera, observation.detection)
    return SurfacePoints(torch.from_numpy(p.triangle).long(), torch.from_numpy(p.bary).float())


def provenance_of(
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
        warnings=tuple(warnings_of(observations)),
        extra={"texture_size": size},
    )


def warnings_of(observations: list[Observation]) -> list[str]:
    """What in the photos limits the avatar, one sentence each."""
    from headcast.observe.report import quality

    found = [(o.name, line.text) for o in observations for line in quality(o) if line.severity == "warning"]
    many = len(observations) > 1
    return [f"{Path(name).name}: {text}" if many else text for name, text in found]
