"""Observe texels in one photo: albedo with a confidence, and labels skin, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.observe.landmark_points import (
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    OVAL,
)
from headcast.observe.outlines import CHIN, FOREHEAD, eroded, observed_face_height, soft_outline
from headcast.observe.types import Observation
from headcast.texture.masks import feather, outline_band, region_weights
from headcast.texture.texels import Texels, interpolate_attributes
from headcast.texture.unproject import TexelSamples

__all__ = ["TexelObservations", "observe_texels"]

UPPER_LIP, LOWER_LIP = (81, 13, 311), (178, 14, 402)  # landmarks on the inner edges
NOSTRILS = (48, 64, 98, 97, 2, 326, 327, 294, 278, 4)
FEATHER_TEXELS = 4.0  # of a 1024 texture, over which observed and completed skin are blended
NARROW_FEATHER_TEXELS = 1.0  # the same at eyes, nostrils and lips
FACE_OVAL_SCALE = 0.99  # of the face's outline; outside of it earrings, hair or background are visible
OUTSIDE_FACING = (0.11, 0.39)  # cosines to the camera from which skin outside the face is used, and fully
INSIDE_FACING = (0.1, 0.35)  # the same inside: at a slant pixels are stretched, and skin is darker
FEATURE_FACING = (0.03, 0.15)  # the same near eyes, nostrils and lips, whose detail nothing else gives
FACE_MATTE = (0.5, 0.95)  # of the matte, from which the face's colours are used, without a margin
LIP_FACING = (0.04, 0.2)  # cosines to the camera from which the colours of lips are used
LID_FOLDEDNESS = (0.75, 0.9)  # foldedness from which the colours of a lid are not used
LIP_MARGIN = 0.005  # face heights between the lips and the first usable colours of the mouth
MATTE_EROSION = 0.008  # face heights by which the matte is eroded
SIDEBURN_LEVEL = (-0.2, -0.12)  # face heights above the eyes where sideburns end
WIDE_OPEN_GAP = (0.1, 0.14)  # face heights between the lips from which the tongue is visible
PARTED_LIPS_GAP = (0.012, 0.024)  # face heights between closed lips, and between parted ones
ROW_STRIDE = 4  # texture rows between measured ones


@dataclass(frozen=True)
class TexelObservations:
    """Observations of n texels.

    Attributes:
        albedo: (n, 3) linear.
        confidence: 0..1, weight of ``albedo`` in the texture against completed colours.
        is_clean: 0..1, free of lashes, the dark gap between lips and glasses: may be diffused to neighbours.
        label: (n, 3) probabilities of skin, hair, clothes.
        frontality: 0..1, viewed frontally and away from the person's outline; weight in diffusion.
        in_face: 0..1, within the outline of the face, where all visible colours are used.
        label_confidence: 0..1; higher than ``confidence`` at grazing angles, where only colours are unusable.
        foldedness: 0..1, of eyelids: the fraction that is folded away while the eye is open.
        shading: (n, 3) of white in the photo, by which its linear colours were divided, up to a factor.
        facing: cosine between the surface's normal and the direction to the camera.
        texels_per_pixel: texels along one pixel of the photo, where the face is viewed frontally.
    """

    albedo: Float[np.ndarray, "n 3"]
    confidence: Float[np.ndarray, "n"]
    is_clean: Float[np.ndarray, "n"]
    label: Float[np.ndarray, "n 3"]
    frontality: Float[np.ndarray, "n"]
    in_face: Float[np.ndarray, "n"]
    label_confidence: Float[np.ndarray, "n"]
    foldedness: Float[np.ndarray, "n"]
    shading: Float[np.ndarray, "n 3"]
    facing: Float[np.ndarray, "n"]
    texels_per_pixel: float = 2.0

    def scale_confidence(
        self, index: Int[np.ndarray, "m"], factor: Float[np.ndarray, "m"]
    ) -> TexelObservations:
        """Multiply the confidence of some texels."""
        confidence = self.confidence.copy()
        confidence[index] *= factor.astype(np.float32)
        return replace(self, confidence=confidence)


def observe_texels(
    observation: Observation,
    samples: TexelSamples,
    shading: Float[np.ndarray, "n 3"],
    head: HeadModel,
    texels: Texels,
) -> TexelObservations:
    """Observe one photo's texels; inside the face's outline all visible colours are used, even glasses."""
    face_height = observed_face_height(observation)
    in_face = sample_bilinear(
        soft_outline(observation, OVAL, FACE_OVAL_SCALE, 0.025 * face_height), samples.pixel
    )
    feature_rims = outline_band(observation, (EYE_LEFT, EYE_RIGHT, LIPS_OUTER, NOSTRILS), 0.03 * face_height)
    nose = in_face * region_weights(head, texels, "nose")
    near_feature = np.maximum(sample_bilinear(feature_rims, samples.pixel), nose)
    mislabelled = _mislabelled_weight(observation, samples, in_face, head, texels)
    foldedness = region_weights(head, texels, "lids") * (1 - _visible_fraction(observation, head, texels))
    confidence = _albedo_confidence(
        observation, samples, head, texels, in_face, near_feature, mislabelled, foldedness, face_height
    )
    is_clean = _is_clean(observation, samples, face_height)
    label_confidence = _label_confidence(observation, samples, is_clean, mislabelled)
    frontality = smoothstep(samples.facing, 0.3, 0.6) * smoothstep(samples.person, 0.8, 0.99) + 0.003
    return TexelObservations(
        albedo=(samples.colour / shading).astype(np.float32),
        confidence=confidence.astype(np.float32),
        is_clean=is_clean.astype(np.float32),
        label=_normalized_labels(samples).astype(np.float32),
        frontality=frontality.astype(np.float32),
        in_face=in_face.astype(np.float32),
        label_confidence=label_confidence.astype(np.float32),
        foldedness=foldedness.astype(np.float32),
        shading=shading.astype(np.float32),
        facing=samples.facing,
        texels_per_pixel=_texels_per_pixel(texels, samples, in_face),
    )


def _label_confidence(
    observation: Observation, samples: TexelSamples, is_clean: np.ndarray, mislabelled: np.ndarray
) -> np.ndarray:
    """Return the confidence of labels, 0..1: zero where ``mislabelled``, except for sideburns."""
    label_confidence = (
        samples.visible
        * smoothstep(samples.facing, 0.02, 0.15)
        * smoothstep(samples.person, 0.5, 0.9)
        * is_clean
    )
    sideburn = (samples.hair > 0.5) * smoothstep(_height_above_eyes(observation, samples), *SIDEBURN_LEVEL)
    label_confidence *= 1 - mislabelled * (1 - sideburn)
    return label_confidence


def _albedo_confidence(
    observation: Observation,
    samples: TexelSamples,
    head: HeadModel,
    texels: Texels,
    in_face: np.ndarray,
    near_feature: np.ndarray,
    mislabelled: np.ndarray,
    foldedness: np.ndarray,
    face_height: float,
) -> np.ndarray:
    """Return the confidence of colours, 0..1.

    Args:
        near_feature: 0..1, near eyes, nostrils and lips, where a narrow feather keeps detail.
        mislabelled, foldedness: 0..1, to be excluded.
    """
    confidence = _visible_confidence(observation, samples, in_face, near_feature)
    confidence *= 1 - mislabelled
    confidence *= 1 - region_weights(head, texels, "lips") * (1 - smoothstep(samples.facing, *LIP_FACING))
    confidence *= 1 - smoothstep(foldedness, *LID_FOLDEDNESS)
    mouth = _mouth_confidence(observation, samples, head, texels, face_height)
    confidence = np.where(_is_inside_mouth(head, texels), mouth, confidence)
    wide_feather, narrow_feather = (
        feather(confidence, texels, FEATHER_TEXELS),
        feather(confidence, texels, NARROW_FEATHER_TEXELS),
    )
    is_skin_part = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    return np.where(
        is_skin_part, wide_feather + near_feature * in_face * (narrow_feather - wide_feather), confidence
    )


def _visible_confidence(
    observation: Observation,
    samples: TexelSamples,
    in_face: Float[np.ndarray, "n"],
    near_feature: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return 0..1: visible, not at a grazing angle, and within the eroded matte or the face."""
    low, full = (o + (i - o) * in_face for o, i in zip(OUTSIDE_FACING, INSIDE_FACING, strict=True))
    low, full = (a + (f - a) * near_feature for a, f in zip((low, full), FEATURE_FACING, strict=True))
    confidence = samples.visible * smoothstep((samples.facing - low) / (full - low), 0.0, 1.0)
    in_matte = smoothstep(_eroded_matte(observation, samples), 0.6, 0.95)
    return confidence * np.maximum(in_face * smoothstep(samples.person, *FACE_MATTE), in_matte)


def _normalized_labels(samples: TexelSamples) -> Float[np.ndarray, "n 3"]:
    """Return the labels scaled to a sum of 1; skin where all masks are zero."""
    total = samples.skin + samples.hair + samples.clothes
    label = np.stack([samples.skin, samples.hair, samples.clothes], 1) / np.maximum(total, 1e-3)[:, None]
    label[total < 0.05] = [1, 0, 0]
    return label


def _is_clean(observation: Observation, samples: TexelSamples, face_height: float) -> Float[np.ndarray, "n"]:
    """Return 0..1: away from the rims of eyes and mouth and from glasses."""
    near_rims = np.maximum(
        outline_band(observation, (EYE_LEFT, EYE_RIGHT), 0.022 * face_height),
        outline_band(observation, (LIPS_INNER,), 0.012 * face_height),
    )
    return (1 - sample_bilinear(near_rims, samples.pixel)) * (1 - smoothstep(samples.glasses, 0.1, 0.5))


def _texels_per_pixel(texels: Texels, samples: TexelSamples, in_face: Float[np.ndarray, "n"]) -> float:
    """Return the median of texels along one pixel of the photo, where the face is viewed frontally."""
    is_frontal = (samples.visible * samples.facing * in_face > 0.7).astype(np.float32)
    pixel_image = texels.to_image(np.concatenate([samples.pixel, is_frontal[:, None]], 1))[::ROW_STRIDE]
    step = np.linalg.norm(np.diff(pixel_image[..., :2], axis=1), axis=-1)
    step = step[np.minimum(pixel_image[:, 1:, 2], pixel_image[:, :-1, 2]) > 0]
    return float(1 / np.clip(np.median(step), 0.05, 2.0)) if len(step) else 2.0


def _visible_fraction(observation: Observation, head: HeadModel, texels: Texels) -> Float[np.ndarray, "n"]:
    """Return the projected area of each texel's triangles as a fraction of that with closed lids.

    Where it is small the skin is folded away, and its colours would be smeared when the lids close.
    """
    params = observation.params
    with torch.no_grad():
        posed = head(params)
        closed = head(params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    camera, faces = observation.camera, head.faces
    a, b, c = camera.project(posed)[faces].unbind(1)
    visible_area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    a, b, c = closed[faces].unbind(1)
    depth = camera.to_camera(closed)[faces, 2].mean(1)
    closed_area = torch.linalg.cross(b - a, c - a).norm(dim=1) * (camera.K[0, 0] / depth) ** 2
    visible_fraction = (visible_area.abs() / closed_area.clamp(min=1e-9)).clamp(max=1).numpy()
    vertex_fraction = _average_at_vertices(posed, faces, closed_area, visible_fraction)
    return interpolate_attributes(vertex_fraction[:, None], faces.numpy(), texels)[:, 0]


def _average_at_vertices(
    vertices: torch.Tensor, faces: torch.Tensor, area: torch.Tensor, values: np.ndarray
) -> np.ndarray:
    """Average triangle values around each vertex, weighted by area."""
    count, corner = len(vertices), faces.reshape(-1).numpy()
    weight = np.repeat(area.numpy(), 3)
    total = np.bincount(corner, weight, count)
    return np.bincount(corner, weight * np.repeat(values, 3), count) / np.maximum(total, 1e-9)


def _mislabelled_weight(
    observation: Observation,
    samples: TexelSamples,
    in_face: Float[np.ndarray, "n"],
    head: HeadModel,
    texels: Texels,
) -> Float[np.ndarray, "n"]:
    """Return 0..1: hair masks on ears, neck and cheeks, clothes masks on the face; not to be painted."""
    points = observation.detection.points
    up = points[FOREHEAD] - points[CHIN]
    height = _height_above_eyes(observation, samples)
    below_eyes = 1 - smoothstep(height, -0.05, 0.08)
    slanted = 1 - smoothstep(samples.facing, 0.3, 0.6)
    outside_face = (1 - in_face) * (1 - region_weights(head, texels, "scalp"))
    hair = smoothstep(samples.hair, 0.05, 0.35) * np.maximum(
        region_weights(head, texels, "ears", "neck"), outside_face * np.maximum(below_eyes, slanted)
    )
    chin = float((points[CHIN] - points[[IRIS_RIGHT, IRIS_LEFT]].mean(0)) @ up / (up @ up))
    clothes_allowed = region_weights(head, texels, "neck", "shoulders") * (
        1 - smoothstep(height, chin - 0.08, chin + 0.04)
    )
    clothes = smoothstep(samples.clothes, 0.3, 0.7) * (1 - clothes_allowed) * (1 - in_face)
    return np.maximum(hair, clothes)


def _height_above_eyes(observation: Observation, samples: TexelSamples) -> Float[np.ndarray, "n"]:
    """Return the height of texels above the irises in the photo, in face heights."""
    points = observation.detection.points
    up = points[FOREHEAD] - points[CHIN]
    return ((samples.pixel - points[[IRIS_RIGHT, IRIS_LEFT]].mean(0)) @ (up / (up @ up))).astype(np.float32)


def _eroded_matte(observation: Observation, samples: TexelSamples) -> Float[np.ndarray, "n"]:
    """Sample the eroded matte at texels: inside it colours are not mixed with the background."""
    if observation.masks is None:
        return samples.person
    return sample_bilinear(eroded(observation, observation.masks.person, MATTE_EROSION), samples.pixel)


def _is_inside_mouth(head: HeadModel, texels: Texels) -> Bool[np.ndarray, "n"]:
    """Return which texels belong to teeth, gums, tongue and the inside of the mouth."""
    inner = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
    part_index = [i for i, n in enumerate(head.part_names) if n in inner]
    return np.isin(head.part.numpy(), part_index)[texels.triangle]


def _mouth_confidence(
    observation: Observation, samples: TexelSamples, head: HeadModel, texels: Texels, face_height: float
) -> Float[np.ndarray, "n"]:
    """Return the confidence of texels inside the mouth: zero while the lips are closed or near their edges.

    Texels behind the teeth are used only if the mouth is wide open, else they would get the teeth's colours.
    """
    points = observation.detection.points
    lip_gap = np.linalg.norm(points[list(UPPER_LIP)] - points[list(LOWER_LIP)], axis=1).mean() / face_height
    margin = max(1.0, LIP_MARGIN * face_height)
    inside_lips = sample_bilinear(soft_outline(observation, LIPS_INNER, 1.0, margin), samples.pixel)
    teeth = region_weights(head, texels, "teeth")
    open_weight = teeth * smoothstep(np.array(lip_gap), *PARTED_LIPS_GAP) + (1 - teeth) * smoothstep(
        np.array(lip_gap), *WIDE_OPEN_GAP
    )
    return samples.visible * inside_lips * open_weight
