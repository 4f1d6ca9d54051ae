"""Observe texels in one photo: albedo, its confidence, and labels skin, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.observe.landmark_points import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER, OVAL
from headcast.observe.types import Observation
from headcast.texture.masks import feather, outline_band, region_weights, soft_outline
from headcast.texture.texels import Texels, interpolate_attributes
from headcast.texture.unproject import TexelSamples

__all__ = ["TexelObservations", "observe_texels"]

NOSTRILS = (48, 64, 98, 97, 2, 326, 327, 294, 278, 4)
FEATHER = 4.0  # texels of a 1024 texture over which observed and completed skin are blended
NARROW = 1.0  # the same at the rims of eyes, nostrils and lips
CORE = 0.99  # of the face's outline; further out earrings, hair and background may slip in
FOLDED = (0.04, 0.2)  # cosines at which lips start to be visible
CREASED = (0.75, 0.9)  # fractions of a closed lid that an open eye hides
MARGIN = 0.005  # of the face's height, that teeth are visible off the lips
EROSION = 0.008  # of the face's height
SIDEBURN = (-0.2, -0.12)  # heights of the face above the eyes at which hair before the ear ends
WIDE = (0.1, 0.14)  # of the face's height: gaps through which the tongue is visible
PARTED = (0.012, 0.024)  # of the face's height: gaps between closed lips, and between open ones
ROW_STRIDE = 4  # every how many rows of the texture one is measured


@dataclass(frozen=True)
class TexelObservations:
    """Observations of n texels.

    Attributes:
        albedo: (n, 3) linear.
        confidence: 0..1, the fraction of ``albedo`` in the texture; the rest is completed.
        is_clean: 0..1, how far it may stand for its surroundings (no lashes, dark between lips, glasses).
        label: (n, 3) skin, hair, clothes.
        frontality: 0..1, how frontally it is viewed, off the person's outline: such colours are diffused.
        in_face: 0..1, within the outline of the face, where everything counts.
        label_confidence: how far to trust the label: a surface at a slant shows what it is, not its colour.
        foldedness: 0..1, of eyelids: what an open eye folds away.
        texels_per_pixel: texels along a pixel of the photo where the face is viewed frontally.
    """

    albedo: Float[np.ndarray, "n 3"]
    confidence: Float[np.ndarray, "n"]
    is_clean: Float[np.ndarray, "n"]
    label: Float[np.ndarray, "n 3"]
    frontality: Float[np.ndarray, "n"]
    in_face: Float[np.ndarray, "n"]
    label_confidence: Float[np.ndarray, "n"]
    foldedness: Float[np.ndarray, "n"]
    texels_per_pixel: float = 2.0

    def scale_confidence(
        self, which: Int[np.ndarray, "m"], factor: Float[np.ndarray, "m"]
    ) -> TexelObservations:
        """Multiply the confidence of some texels."""
        confidence = self.confidence.copy()
        confidence[which] *= factor.astype(np.float32)
        return replace(self, confidence=confidence)


def observe_texels(
    observation: Observation,
    samples: TexelSamples,
    albedo: Float[np.ndarray, "n 3"],
    head: HeadModel,
    texels: Texels,
) -> TexelObservations:
    """Observe one photo's texels. Inside the face's outline everything visible counts, even glasses."""
    unit = _face_height(observation)
    inside = sample_bilinear(soft_outline(observation, OVAL, CORE, 0.025 * unit), samples.pixel)
    rims = outline_band(observation, (EYE_LEFT, EYE_RIGHT, LIPS_OUTER, NOSTRILS), 0.03 * unit)
    nose = inside * region_weights(head, texels, "nose")
    fine = np.maximum(sample_bilinear(rims, samples.pixel), nose)
    odd = _implausible(observation, samples, inside, head, texels)
    folded = region_weights(head, texels, "lids") * (1 - _visible_fraction(observation, head, texels))
    confidence = _albedo_confidence(observation, samples, head, texels, inside, fine, odd, folded, unit)
    is_clean = _is_clean(observation, samples, unit)
    label_confidence = _label_confidence(observation, samples, is_clean, odd)
    frontality = smoothstep(samples.facing, 0.3, 0.6) * smoothstep(samples.person, 0.8, 0.99) + 0.003
    return TexelObservations(
        albedo=albedo.astype(np.float32),
        confidence=confidence.astype(np.float32),
        is_clean=is_clean.astype(np.float32),
        label=_labels(samples).astype(np.float32),
        frontality=frontality.astype(np.float32),
        in_face=inside.astype(np.float32),
        label_confidence=label_confidence.astype(np.float32),
        foldedness=folded.astype(np.float32),
        texels_per_pixel=_texels_per_pixel(texels, samples, inside),
    )


def _label_confidence(
    observation: Observation, samples: TexelSamples, is_clean: np.ndarray, odd: np.ndarray
) -> np.ndarray:
    """Return how far to trust the labels; ``odd``: 0..1 what to leave out, but for sideburns."""
    label_confidence = (
        samples.visible
        * smoothstep(samples.facing, 0.02, 0.15)
        * smoothstep(samples.person, 0.5, 0.9)
        * is_clean
    )
    sideburn = (samples.hair > 0.5) * smoothstep(_above_eyes(observation, samples), *SIDEBURN)
    label_confidence *= 1 - odd * (1 - sideburn)
    return label_confidence


def _albedo_confidence(
    observation: Observation,
    samples: TexelSamples,
    head: HeadModel,
    texels: Texels,
    inside: np.ndarray,
    fine: np.ndarray,
    odd: np.ndarray,
    folded: np.ndarray,
    unit: float,
) -> np.ndarray:
    """Return how far the colours may be taken; ``odd``, ``folded``: 0..1 what to leave out."""
    confidence = _visible_confidence(observation, samples, inside, fine)
    confidence *= 1 - odd
    confidence *= 1 - region_weights(head, texels, "lips") * (1 - smoothstep(samples.facing, *FOLDED))
    confidence *= 1 - smoothstep(folded, *CREASED)
    mouth = _mouth_confidence(observation, samples, head, texels, unit)
    confidence = np.where(_mouth_part(head, texels), mouth, confidence)
    wide, narrow = feather(confidence, texels, FEATHER), feather(confidence, texels, NARROW)
    skin_part = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    return np.where(skin_part, wide + fine * inside * (narrow - wide), confidence)


def _face_height(observation: Observation) -> float:
    """Return the pixels from the top of the forehead to the chin."""
    points = observation.detection.points
    return float(np.linalg.norm(points[152] - points[10]))


def _visible_confidence(
    observation: Observation,
    samples: TexelSamples,
    inside: Float[np.ndarray, "n"],
    fine: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return 0..1: visible, not at too great a slant, off the person's outline unless ``inside`` the face."""
    slack = 0.28 - 0.17 * inside - 0.09 * inside * fine
    confidence = samples.visible * smoothstep((samples.facing - slack * 0.4 * (1 - fine)) / slack, 0.0, 1.0)
    within = smoothstep(_eroded_matte(observation, samples, _face_height(observation)), 0.6, 0.95)
    return confidence * np.maximum(inside, within)


def _labels(samples: TexelSamples) -> Float[np.ndarray, "n 3"]:
    """Return skin, hair, clothes, which sum to 1; skin where the photo shows none of them."""
    total = samples.skin + samples.hair + samples.clothes
    label = np.stack([samples.skin, samples.hair, samples.clothes], 1) / np.maximum(total, 1e-3)[:, None]
    label[total < 0.05] = [1, 0, 0]
    return label


def _is_clean(observation: Observation, samples: TexelSamples, unit: float) -> Float[np.ndarray, "n"]:
    """Return 0..1: off the rims of eyes and of the mouth's opening, and off glasses."""
    near = np.maximum(
        outline_band(observation, (EYE_LEFT, EYE_RIGHT), 0.022 * unit),
        outline_band(observation, (LIPS_INNER,), 0.012 * unit),
    )
    return (1 - sample_bilinear(near, samples.pixel)) * (1 - smoothstep(samples.glasses, 0.1, 0.5))


def _texels_per_pixel(texels: Texels, samples: TexelSamples, inside: Float[np.ndarray, "n"]) -> float:
    """Return texels along a pixel of the photo, median over the face where it is viewed frontally."""
    sure = (samples.visible * samples.facing * inside > 0.7).astype(np.float32)
    at = texels.to_image(np.concatenate([samples.pixel, sure[:, None]], 1))[::ROW_STRIDE]
    step = np.linalg.norm(np.diff(at[..., :2], axis=1), axis=-1)
    step = step[np.minimum(at[:, 1:, 2], at[:, :-1, 2]) > 0]
    return float(1 / np.clip(np.median(step), 0.05, 2.0)) if len(step) else 2.0


def _visible_fraction(observation: Observation, head: HeadModel, texels: Texels) -> Float[np.ndarray, "n"]:
    """Return a texel's pixels in the photo as a fraction of those it would take with the lids closed.

    What an open eye folds away comes out as smears when it is unfolded.
    """
    params = observation.params
    with torch.no_grad():
        now = head(params)
        closed = head(params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    camera, faces = observation.camera, head.faces
    a, b, c = camera.project(now)[faces].unbind(1)
    shown = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    a, b, c = closed[faces].unbind(1)
    depth = camera.to_camera(closed)[faces, 2].mean(1)
    whole = torch.linalg.cross(b - a, c - a).norm(dim=1) * (camera.K[0, 0] / depth) ** 2
    visible_fraction = (shown.abs() / whole.clamp(min=1e-9)).clamp(max=1).numpy()
    mean = _mean_at_vertices(now, faces, whole, visible_fraction)
    return interpolate_attributes(mean[:, None], faces.numpy(), texels)[:, 0]


def _mean_at_vertices(
    now: torch.Tensor, faces: torch.Tensor, whole: torch.Tensor, visible_fraction: np.ndarray
) -> np.ndarray:
    """Return the triangles' mean around each vertex, weighted by their size."""
    count, corner = len(now), faces.reshape(-1).numpy()
    weight = np.repeat(whole.numpy(), 3)
    total = np.bincount(corner, weight, count)
    return np.bincount(corner, weight * np.repeat(visible_fraction, 3), count) / np.maximum(total, 1e-9)


def _implausible(
    observation: Observation,
    samples: TexelSamples,
    inside: Float[np.ndarray, "n"],
    head: HeadModel,
    texels: Texels,
) -> Float[np.ndarray, "n"]:
    """Return 0..1 for what not to paint: hair before ears, neck and cheeks, clothes before a face."""
    points = observation.detection.points
    up = points[10] - points[152]
    level = _above_eyes(observation, samples)
    low = 1 - smoothstep(level, -0.05, 0.08)  # below the eyes
    slanted = 1 - smoothstep(samples.facing, 0.3, 0.6)
    outside = (1 - inside) * (1 - region_weights(head, texels, "scalp"))
    hair = smoothstep(samples.hair, 0.05, 0.35) * np.maximum(
        region_weights(head, texels, "ears", "neck"), outside * np.maximum(low, slanted)
    )
    chin = float((points[152] - points[[468, 473]].mean(0)) @ up / (up @ up))
    clothed = region_weights(head, texels, "neck", "shoulders") * (
        1 - smoothstep(level, chin - 0.08, chin + 0.04)
    )
    clothes = smoothstep(samples.clothes, 0.3, 0.7) * (1 - clothed) * (1 - inside)
    return np.maximum(hair, clothes)


def _above_eyes(observation: Observation, samples: TexelSamples) -> Float[np.ndarray, "n"]:
    """Return how far above the irises texels lie in the photo, in heights of the face."""
    points = observation.detection.points
    up = points[10] - points[152]
    return ((samples.pixel - points[[468, 473]].mean(0)) @ (up / (up @ up))).astype(np.float32)


def _eroded_matte(observation: Observation, samples: TexelSamples, unit: float) -> Float[np.ndarray, "n"]:
    """Sample the person's matte eroded by a few pixels: what shows there isn't mixed with the background."""
    import cv2

    if observation.masks is None:
        return samples.person
    k = 2 * max(1, round(EROSION * unit)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    return sample_bilinear(cv2.erode(observation.masks.person.astype(np.float32), kernel), samples.pixel)


def _mouth_part(head: HeadModel, texels: Texels) -> Bool[np.ndarray, "n"]:
    """Return which texels belong to teeth, gums, tongue and the mouth's inside."""
    inner = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
    names = [i for i, n in enumerate(head.part_names) if n in inner]
    return np.isin(head.part.numpy(), names)[texels.triangle]


def _mouth_confidence(
    observation: Observation, samples: TexelSamples, head: HeadModel, texels: Texels, unit: float
) -> Float[np.ndarray, "n"]:
    """Return the confidence between the lips: zero while they are closed, else of what lies well within.

    What lies behind the teeth counts only when the mouth is open wide: teeth would be painted on it.
    """
    p = observation.detection.points
    gap = np.linalg.norm(p[[81, 13, 311]] - p[[178, 14, 402]], axis=1).mean() / unit
    margin = max(1.0, MARGIN * unit)
    between = sample_bilinear(soft_outline(observation, LIPS_INNER, 1.0, margin), samples.pixel)
    teeth = region_weights(head, texels, "teeth")
    openness = teeth * smoothstep(np.array(gap), *PARTED) + (1 - teeth) * smoothstep(np.array(gap), *WIDE)
    return samples.visible * between * openness
