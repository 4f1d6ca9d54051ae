"""Observations of one person to a ``MeshAvatar``: fitted head, albedo texture, light."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from headcast import __version__
from headcast.avatar.mesh import MeshAvatar, bind
from headcast.avatar.source import Source, SurfacePoints
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb
from headcast.methods.fit.complete import complete
from headcast.methods.fit.delight import delight, safe_light, scale_light
from headcast.methods.fit.evidence import Evidence, evidence_of, merged
from headcast.methods.fit.eyes import paint_eyes
from headcast.methods.fit.mouth import paint_mouth
from headcast.methods.fit.texels import Texels, gather, texels_of
from headcast.methods.fit.unproject import Seen, unproject
from headcast.methods.fit.volume import hair_offset
from headcast.observe.types import Observation

__all__ = ["reconstruct", "texture_size_for"]

SIZES = (1024, 2048, 4096)
ENOUGH = 1.3  # texels a photo's pixel is worth at the face
Progress = Callable[[float, str], None]


def reconstruct(
    observations: list[Observation], head: HeadModel, *, texture_size: int | None = None, seed: int = 0,
    consent: str | None = None, progress: Progress | None = None,
) -> MeshAvatar:  # fmt: skip
    """A textured head from one or several photos of one person; the first photo gives view, light and expression.

    Args:
        texture_size: side of the texture; None takes what the photos' own detail needs.
        seed: of the hair's strands.
        consent: a statement of the person shown, kept in the avatar.
        progress: told the share done and what is being done.
    """
    say = progress or (lambda share, what: None)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        say(0.0, "laying out the texture")
        head = bind(head, torch.from_numpy(hair_offset(observations[0], head)).float())
        size = texture_size or max(texture_size_for(o, head) for o in observations)
        texels = texels_of(head, size)
        say(0.15, "taking colours from the photo")
        light, views, sharpness = np.zeros((9, 3)), [], []
        for i, o in enumerate(observations):
            view_light, seen, evidence = look(o, head, texels)
            light = view_light if i == 0 else light
            views.append(evidence)
            sharpness.append(seen.facing.clip(0) / max(float(o.params.translation.norm()) / float(o.camera.K[0, 0]), 1e-9))
        evidence = merged(views, [s / max(float(x.max()) for x in sharpness) for s in sharpness])
        say(0.5, "completing what is hidden")
        rest = head.shape(observations[0].params.identity).numpy()
        albedo = finish(head, texels, evidence, rest, rng)
        texture = (linear_to_srgb(albedo.clip(0, 1)) * 255 + 0.5).astype(np.uint8)
        say(1.0, "reconstructed")
    first = observations[0]
    source = Source(first.camera, first.params, torch.from_numpy(light.astype(np.float32)), landmarks_of(head, first))
    return MeshAvatar(head, texels.picture(texture), source, info_of(head, size, len(observations), seed, consent))


def look(
    observation: Observation, head: HeadModel, texels: Texels
) -> tuple[Float[np.ndarray, "9 3"], Seen, Evidence]:
    """One photo: its light, what it shows, and the evidence in it."""
    seen = unproject(observation, head, texels)
    vertices = head(observation.params)
    normal = gather(head.vertex_normals(vertices).numpy(), head.faces.numpy(), texels)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = safe_light(observation.light)
    albedo = delight(seen.colour, normal, light)
    factor = scale_light(albedo, seen.visible * (seen.facing > 0.3) * (seen.skin > 0.5))
    return light * factor, seen, evidence_of(observation, seen, albedo / factor, head, texels)


def finish(
    head: HeadModel, texels: Texels, evidence: Evidence, rest: Float[np.ndarray, "v 3"], rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """The whole texture: skin, then eyes and mouth."""
    sure = evidence.trust * evidence.plain * evidence.label[:, 0] > 0.7
    tone = np.median(evidence.albedo[sure], 0) if sure.any() else np.array([0.4, 0.3, 0.22])
    skin = np.repeat(tone[None].astype(np.float32), len(texels.index), 0)
    albedo = complete(head, texels, evidence, skin, rest, rng)
    white = float(np.clip(tone.mean() / 0.33, 0.5, 1.3))
    paint_eyes(head, texels, evidence, albedo, rest, white)
    paint_mouth(head, texels, evidence, albedo, rest, white)
    return np.nan_to_num(albedo)


def texture_size_for(observation: Observation, head: HeadModel) -> int:
    """The smallest size at which a texel of the face is finer than a pixel of the photo."""
    vertices = head(observation.params)
    at = observation.camera.project(vertices)
    corner = lambda p, rows: tuple(p[rows[:, k]] for k in range(3))  # noqa: E731
    area = lambda a, b, c: ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).abs()  # noqa: E731
    pixels, units = area(*corner(at, head.faces)), area(*corner(head.uv, head.faces_uv))
    normals = head.vertex_normals(vertices)[head.faces].mean(1)
    middle = vertices[head.faces].mean(1)
    facing = torch.nn.functional.cosine_similarity(normals, observation.camera.center - middle, dim=1)
    front = (facing > 0.5) & (head.part == head.part_names.index("skin")) & (units > 0)
    front &= torch.isin(head.faces[:, 0], head.faces[head.landmark478_faces].unique())
    needed = ENOUGH * float((pixels[front] / units[front]).sqrt().median()) if bool(front.any()) else 0.0
    return next((s for s in SIZES if s >= needed), SIZES[-1])


def landmarks_of(head: HeadModel, observation: Observation) -> SurfacePoints:
    """Where this photo's landmarks lie on the fitted head."""
    from headcast.observe.personal import personal_landmarks

    p = personal_landmarks(head, observation.params, observation.camera, observation.detection)
    return SurfacePoints(torch.from_numpy(p.triangle).long(), torch.from_numpy(p.bary).float())


def info_of(head: HeadModel, size: int, photos: int, seed: int, consent: str | None) -> dict[str, Any]:
    """How the avatar was made, for its file and for ``headcast info``."""
    from headcast.weights import card

    info: dict[str, Any] = {
        "kind": "mesh", "method": "fit", "created_by": f"headcast {__version__}", "photos": photos,
        "head": {"name": head.name, "hash": head.hash}, "texture_size": size, "seed": seed,
        "weights": [{"name": n, "licence": card(n).get("licence", "see its card")} for n in ("head", "skin")],
        "synthetic_media": "Pictures of this avatar are synthetic; they show nothing that the person did.",
    }  # fmt: skip
    if consent:
        info["consent"] = consent
    return info
