"""Observe the hair in one photo along every ray of the grid around the head."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME_ROWS, HairGrid, blur_around, normals
from headcast.observe.outlines import height_above_chin, observed_face_height, pixel_grid
from headcast.observe.types import Masks, Observation

__all__ = ["HairObservation", "observe_hair", "without_rims"]

# beyond the skin, at which the photo is sampled
RAY_DISTANCES_M = np.arange(0.0, 0.16, 0.003, dtype=np.float32)
NEAR_SKIN_M = 0.003  # above the skin, where the hair mask is sampled
ON_SKIN_FACING = (0.3, 0.5)  # cosines to the camera between which skin under hair begins to count
OUTLINE_MARGIN_M = 0.006  # inside the person's outline, where the hair mask is sampled at the latest
BELOW_CHIN = 0.05  # face heights above the chin, under which hair hangs free of the face
EYE_LEVEL = (0.6, 0.75)  # face heights above the chin
RIM = 0.045  # face heights; narrower hair beside the face is the rim of a beard or of an ear
MAX_GAP_STEPS = 2  # longest gap along a ray that is ignored


@dataclass(frozen=True)
class HairObservation:
    """Observation of the hair in one photo along every ray.

    Attributes:
        outline: distance of the hair's outline beyond the base, metres; 0 where it is not visible.
        limit: upper bound of that distance, metres; infinite where the photo gives none.
        weight: of ``outline``, 0..1. cover: hair (1) or not (0). confidence: of ``cover``, 0..1.
        on_skin: 0..1, hair is seen lying on skin that faces the camera.
    """

    outline: Float[np.ndarray, "n m"]
    limit: Float[np.ndarray, "n m"]
    weight: Float[np.ndarray, "n m"]
    cover: Float[np.ndarray, "n m"]
    confidence: Float[np.ndarray, "n m"]
    on_skin: Float[np.ndarray, "n m"]


def without_rims(observation: Observation) -> Observation:
    """Return the observation without hair below the eyes that is as narrow as a line."""
    import cv2

    masks = observation.masks
    if masks is None:
        return observation
    size = 2 * max(1, round(RIM / 2 * observed_face_height(observation))) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(masks.hair.astype(np.float32), cv2.MORPH_OPEN, disk)
    height = height_above_chin(observation, pixel_grid(observation))
    above = smoothstep(height, *EYE_LEVEL)
    hair = (opened + above * (masks.hair - opened)).astype(np.float32)
    return replace(observation, masks=replace(masks, hair=hair))


def observe_hair(
    observation: Observation,
    grid: HairGrid,
    head: HeadModel,
    skin: Float[np.ndarray, "n m"],
    base: Float[np.ndarray, "n m"],
    reach: Float[np.ndarray, "n m"],
    ears: Bool[np.ndarray, "n m"],
) -> HairObservation:
    """Observe the hair along every ray of the grid in one photo.

    Args:
        skin, base, reach: distances along the rays, metres: of the skin, of the surface that the hair lies
            on, and of the hair's surface as estimated before.
        ears: rays through an ear, whose outline says nothing of the hair behind it.
    """
    camera, params = observation.camera, observation.params
    start, end = grid.posed(base, head, params), grid.posed(base + 0.1, head, params)
    direction = (end - start) * np.float32(10)
    surface = start + direction * (reach - base)[..., None]
    facing = _facing_cosines(surface, camera)
    outline, limit = _outline(observation, start, direction)
    weight = np.exp(-((facing / 0.25) ** 2)) * np.isfinite(outline)
    # the visible part of the hair's own surface
    # a skull that is fitted too large ends beyond the person's outline, where there is no hair to be seen
    inside = np.where(np.isfinite(limit), np.minimum(limit - OUTLINE_MARGIN_M, 0.0), 0.0)
    inside[DOME_ROWS:] = 0.0
    near_skin = start + direction * (NEAR_SKIN_M + inside)[..., None]
    surface_fraction = _surface_fraction(grid, skin, base)
    cover, pixel = _sample_hair(observation, near_skin + (surface - near_skin) * surface_fraction[..., None])
    h, w = observation.image.shape[:2]
    in_image = np.all((pixel > 1) & (pixel < [w - 1, h - 1]), -1)
    skin_facing = _facing_cosines(near_skin, camera)
    confidence = smoothstep(np.minimum(facing, skin_facing), 0.05, 0.3) * in_image
    hair_on_skin = _sample_hair(observation, near_skin)[0]
    on_skin = hair_on_skin * smoothstep(skin_facing, *ON_SKIN_FACING)
    cover = np.maximum(cover, hair_on_skin)
    rim, cover = _combine_with_rim(
        observation, start, direction, outline, confidence, weight, cover, ears, inside
    )
    cover, confidence = _extend_below_image(cover, confidence + rim, pixel[..., 1] >= h - 1)
    return HairObservation(
        outline=np.nan_to_num(outline),
        limit=limit,
        weight=weight,
        cover=cover,
        confidence=confidence,
        on_skin=on_skin,
    )


def _surface_fraction(
    grid: HairGrid, skin: Float[np.ndarray, "n m"], base: Float[np.ndarray, "n m"]
) -> np.ndarray:
    """Return where the mask is sampled, from near the skin (0) to the hair's surface (1)."""
    not_behind = smoothstep(-grid.direction[-1, :, 2], -0.8, -0.4)[None] * np.ones_like(base)
    return np.maximum(not_behind, smoothstep(base - skin, 0.002, 0.006))


def _combine_with_rim(
    observation: Observation,
    start: np.ndarray,
    direction: np.ndarray,
    outline: np.ndarray,
    confidence: np.ndarray,
    weight: np.ndarray,
    cover: np.ndarray,
    ears: np.ndarray,
    inside: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Combine the cover of the hair's surface with that at its outline; return the rim's weight and it."""
    rim_cover, _ = _sample_hair(
        observation, start + direction * (np.maximum(np.nan_to_num(outline) - 0.005, 0) + inside)[..., None]
    )
    in_dome = np.arange(len(confidence))[:, None] < DOME_ROWS
    reliability = np.where(in_dome | ears, smoothstep(rim_cover, 0.3, 0.7), 1.0)
    rim_weight = (
        0.5 * weight * (1 - confidence) * reliability
    )  # above the eyes a thin matte is no sign of baldness
    cover = (confidence * cover + rim_weight * rim_cover) / np.maximum(confidence + rim_weight, 1e-9)
    return rim_weight, cover


def _outline(
    observation: Observation, start: Float[np.ndarray, "n m 3"], direction: Float[np.ndarray, "n m 3"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Return ``outline`` (NaN where the photo does not show it) and ``limit`` of a ``HairObservation``.

    Args:
        start, direction: of the rays, world, metres.
    """
    masks = observation.masks
    assert masks is not None
    radii = RAY_DISTANCES_M[:, None, None] - 0.02
    pixel = project_points(start[None] + direction[None] * radii[..., None], observation.camera)[0]
    h, w = observation.image.shape[:2]
    in_image = np.all((pixel > 1) & (pixel < [w - 1, h - 1]), -1)
    flat_samples = pixel.reshape(-1, 2).astype(np.float32)
    is_hair, person = _hair_and_person(masks, flat_samples, in_image)
    person_end, end_visible = _last_in_run(person & in_image, in_image)
    last_hair, _ = _last_in_run(is_hair & in_image, in_image, start=person_end)
    below_chin = height_above_chin(observation, pixel[0]) < BELOW_CHIN
    limit = np.where(
        end_visible, RAY_DISTANCES_M[np.minimum(person_end, len(RAY_DISTANCES_M) - 1)] - 0.02, np.inf
    )
    has_hair = last_hair >= 0
    outline = np.where(below_chin, np.where(has_hair, RAY_DISTANCES_M[last_hair] - 0.02, np.nan), limit)
    return np.where(np.isfinite(outline) & in_image[0] & end_visible, outline, np.nan), limit


def _hair_and_person(
    masks: Masks, flat_samples: np.ndarray, in_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which samples along the rays are hair, and which are the person without clothes."""
    is_hair = sample_bilinear(masks.hair.astype(np.float32), flat_samples).reshape(in_image.shape) > 0.5
    unclothed = (masks.person * (1 - masks.clothes)).astype(np.float32)
    person = sample_bilinear(unclothed, flat_samples).reshape(in_image.shape) > 0.5
    return is_hair, person


def _sample_hair(
    observation: Observation, points: Float[np.ndarray, "n m 3"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m 2"]]:
    """Sample the hair mask at world points; also return their pixels."""
    assert observation.masks is not None
    pixel = project_points(points, observation.camera)[0]
    hair = observation.masks.hair.astype(np.float32)
    return sample_bilinear(hair, pixel.reshape(-1, 2).astype(np.float32)).reshape(pixel.shape[:2]), pixel


def _extend_below_image(
    cover: Float[np.ndarray, "n m"], confidence: Float[np.ndarray, "n m"], is_below: Bool[np.ndarray, "n m"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Extend values to rows below the image, where the frame cuts the hair."""
    cover, confidence = (
        blur_around(cover * confidence, 1.5) / np.maximum(blur_around(confidence, 1.5), 1e-9),
        confidence.copy(),
    )
    for i in range(1, len(cover)):
        below_image = is_below[i]
        cover[i, below_image], confidence[i, below_image] = (
            cover[i - 1, below_image],
            confidence[i - 1, below_image] * 0.98,
        )
    return cover, confidence


def _last_in_run(
    is_inside: Bool[np.ndarray, "k n m"], in_image: Bool[np.ndarray, "k n m"], start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the last index of the first run, ignoring short gaps, and whether it ends in the image."""
    k = len(is_inside)
    gap = np.zeros(is_inside.shape[1:], int)
    last = np.full(is_inside.shape[1:], -1)
    done = np.zeros(is_inside.shape[1:], bool)
    for i in range(k):
        if start is not None:
            done |= i > start
        hits = is_inside[i] & ~done
        last[hits] = i
        gap = np.where(is_inside[i], 0, gap + 1)
        if start is None:
            done |= (gap > MAX_GAP_STEPS) & (RAY_DISTANCES_M[i] > 0.024)
    ends_in_image = done & (np.take_along_axis(in_image, np.clip(last + 1, 0, k - 1)[None], 0)[0])
    return last, ends_in_image


def _facing_cosines(surface: Float[np.ndarray, "n m 3"], camera: Camera) -> Float[np.ndarray, "n m"]:
    """Return cosines between outward normals and the direction to the camera."""
    to_camera = camera.center.numpy() - surface
    return (normals(surface) * to_camera).sum(-1) / np.maximum(np.linalg.norm(to_camera, axis=-1), 1e-9)
