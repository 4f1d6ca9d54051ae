"""Photos turned into evidence: each by itself, then together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.head.occlusion import mouth_occlusion
from headcast.methods.fit.skin.observations import Evidence, evidence_of
from headcast.observe.types import Observation
from headcast.texture.delight import safe_light, scale_light, shading_at
from headcast.texture.texels import Texels, gather
from headcast.texture.unproject import Seen, unproject

__all__ = ["Look", "look", "merged"]

KEEN = 6.0  # exponent by which the better view of a texel wins


@dataclass(frozen=True)
class Look:
    """One photo on the texture.

    Attributes:
        light: (9, 3) harmonics under which albedo times shading is the photo.
        gain: (n, 3) albedo divided by the photo's linear colour.
        sharpness: (n,) pixels of the photo along a metre of the surface.
    """

    light: Float[np.ndarray, "9 3"]
    gain: Float[np.ndarray, "n 3"]
    sharpness: Float[np.ndarray, "n"]
    seen: Seen
    evidence: Evidence


def look(observation: Observation, head: HeadModel, texels: Texels) -> Look:
    """One photo: its light, what it shows, and the evidence in it."""
    seen = unproject(observation, head, texels)
    vertices = head(observation.params)
    normal = gather(head.vertex_normals(vertices).numpy(), head.faces.numpy(), texels)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = safe_light(observation.light)
    openness = gather(mouth_occlusion(head, vertices)[:, None].numpy(), head.faces.numpy(), texels)
    shading = shading_at(normal, light) * openness
    factor = scale_light(seen.colour / shading, seen.visible * (seen.facing > 0.3) * (seen.skin > 0.5))
    gain = 1 / (shading * factor)
    evidence = evidence_of(observation, seen, seen.colour * gain, head, texels)
    distance = float(observation.camera.to_camera(vertices)[:, 2].mean())
    sharpness = seen.facing.clip(0) * float(observation.camera.K[0, 0]) / max(distance, 1e-6)
    return Look(light * factor, gain, sharpness, seen, evidence)


def merged(looks: list[Look]) -> tuple[Evidence, list[Float[np.ndarray, "n 3"]]]:
    """Several photos as one: at every texel the better view wins, so that nothing is doubled or blurred.

    Also returns, for every photo, the factors that turn its linear colours into its share of the albedo.
    """
    if len(looks) == 1:
        return looks[0].evidence, [looks[0].gain]
    sharpest = max(float(x.sharpness.max()) for x in looks)
    trust = np.stack([x.evidence.trust for x in looks])
    keen = (trust * np.stack([x.sharpness / sharpest for x in looks])) ** KEEN
    share = keen / np.maximum(keen.sum(0), 1e-12)
    first = looks[0].evidence
    gains = [s[:, None] * x.gain * tone(first, x.evidence) for s, x in zip(share, looks, strict=True)]
    return Evidence(
        albedo=np.sum([g * x.seen.colour for g, x in zip(gains, looks, strict=True)], 0),
        trust=trust.max(0),
        plain=np.sum([s * x.evidence.plain for s, x in zip(share, looks, strict=True)], 0),
        label=np.sum([s[:, None] * x.evidence.label for s, x in zip(share, looks, strict=True)], 0),
        square=np.sum([s * x.evidence.square for s, x in zip(share, looks, strict=True)], 0),
        core=np.sum([s * x.evidence.core for s, x in zip(share, looks, strict=True)], 0),
        told=np.max([x.evidence.told for x in looks], 0),
        folded=np.sum([s * x.evidence.folded for s, x in zip(share, looks, strict=True)], 0),
        pitch=min(x.evidence.pitch for x in looks),
    ), gains


def tone(first: Evidence, other: Evidence) -> Float[np.ndarray, "3"]:
    """The colour factor that makes another photo's skin look like the first's."""
    both = (first.trust > 0.5) & (other.trust > 0.5) & (first.label[:, 0] > 0.5) & (other.label[:, 0] > 0.5)
    if both.sum() < 500:
        return np.ones(3, np.float32)
    return np.median(first.albedo[both] / np.maximum(other.albedo[both], 1e-3), 0).astype(np.float32)
