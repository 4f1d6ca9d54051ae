"""De-light photos on the head's texture, each by itself, and merge them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.head.occlusion import mouth_occlusion
from headcast.methods.fit.skin.observations import TexelObservations, observe_texels
from headcast.observe.types import Observation
from headcast.texture.delight import scale_light, shading_at, soften_light
from headcast.texture.texels import Texels, interpolate_attributes
from headcast.texture.unproject import TexelSamples, unproject

__all__ = ["DelitPhoto", "delight_photo", "merge_photos"]

VIEW_WEIGHT_EXPONENT = 6.0  # exponent by which the better view of a texel wins
MIN_COMMON = 500  # texels that two photos must have in common before their skin tones are compared


@dataclass(frozen=True)
class DelitPhoto:
    """One photo on the texture.

    Attributes:
        light: (9, 3) spherical harmonics, scaled so that albedo times shading is the photo.
        gain: (n, 3) albedo divided by the photo's linear colour.
        sharpness: (n,) pixels of the photo along a metre of the surface.
        samples: the photo at the texels.
        observed: the observations of the texels.
    """

    light: Float[np.ndarray, "9 3"]
    gain: Float[np.ndarray, "n 3"]
    sharpness: Float[np.ndarray, "n"]
    samples: TexelSamples
    observed: TexelObservations


def delight_photo(observation: Observation, head: HeadModel, texels: Texels) -> DelitPhoto:
    """Unproject one photo, divide its colours by its light's shading and observe every texel."""
    samples = unproject(observation, head, texels)
    vertices = head(observation.params)
    normal = interpolate_attributes(head.vertex_normals(vertices).numpy(), head.faces.numpy(), texels)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = soften_light(observation.light)
    openness = interpolate_attributes(
        mouth_occlusion(head, vertices)[:, None].numpy(), head.faces.numpy(), texels
    )
    shading = shading_at(normal, light) * openness
    lit_skin = samples.visible * (samples.facing > 0.3) * (samples.skin > 0.5)
    factor = scale_light(samples.colour / shading, lit_skin)
    shading = shading * factor
    distance = float(observation.camera.to_camera(vertices)[:, 2].mean())
    return DelitPhoto(
        light=light * factor,
        gain=1 / shading,
        sharpness=samples.facing.clip(0) * float(observation.camera.K[0, 0]) / max(distance, 1e-6),
        samples=samples,
        observed=observe_texels(observation, samples, shading, head, texels),
    )


def merge_photos(
    photos: list[DelitPhoto],
) -> tuple[TexelObservations, list[Float[np.ndarray, "n 3"]]]:
    """Merge photos: at every texel the better view wins, so that nothing is doubled or blurred.

    Also returns, for every photo, the factors that turn its linear colours into its part of the albedo.
    """
    if len(photos) == 1:
        return photos[0].observed, [photos[0].gain]
    observed = [x.observed for x in photos]
    confidence, weights = _view_weights(photos, observed)

    def mean(values: list[Float[np.ndarray, "n *c"]]) -> Float[np.ndarray, "n *c"]:
        each = zip(weights, values, strict=True)
        return np.sum([w.reshape(-1, *(1,) * (v.ndim - 1)) * v for w, v in each], 0)

    gains = _gains(photos, weights, observed)
    merged = TexelObservations(
        albedo=np.sum([g * x.samples.colour for g, x in zip(gains, photos, strict=True)], 0),
        confidence=confidence.max(0),
        is_clean=mean([o.is_clean for o in observed]),
        label=mean([o.label for o in observed]),
        frontality=mean([o.frontality for o in observed]),
        in_face=mean([o.in_face for o in observed]),
        label_confidence=np.max([o.label_confidence for o in observed], 0),
        foldedness=mean([o.foldedness for o in observed]),
        shading=observed[0].shading,
        facing=mean([o.facing for o in observed]),
        texels_per_pixel=min(o.texels_per_pixel for o in observed),
    )
    return merged, gains


def _gains(
    photos: list[DelitPhoto], weights: np.ndarray, observed: list[TexelObservations]
) -> list[Float[np.ndarray, "n 3"]]:
    """Return factors from linear colours to parts of the albedo, toned like the first photo."""
    return [
        w[:, None] * x.gain * _tone_ratio(observed[0], x.observed)
        for w, x in zip(weights, photos, strict=True)
    ]


def _view_weights(
    photos: list[DelitPhoto], observed: list[TexelObservations]
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of the photos at every texel, which sum to 1: the sharper view wins."""
    sharpest = max(float(x.sharpness.max()) for x in photos)
    confidence = np.stack([o.confidence for o in observed])
    sharp_weight = (confidence * np.stack([x.sharpness / sharpest for x in photos])) ** VIEW_WEIGHT_EXPONENT
    weights = sharp_weight / np.maximum(sharp_weight.sum(0), 1e-12)
    return confidence, weights


def _tone_ratio(first: TexelObservations, other: TexelObservations) -> Float[np.ndarray, "3"]:
    """Return the colour factor that makes another photo's skin look like the first's."""
    a, b = ((o.confidence > 0.5) & (o.label[:, 0] > 0.5) for o in (first, other))
    both = a & b
    if both.sum() < MIN_COMMON:
        return np.ones(3, np.float32)
    return np.median(first.albedo[both] / np.maximum(other.albedo[both], 1e-3), 0).astype(np.float32)
