"""What one photo shows of the hair along every ray of the grid around the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME, HairGrid, blur_around, normals
from headcast.observe.types import Masks, Observation

__all__ = ["HairObservation", "observe_hair"]

# metres beyond the skin at which the photo is sampled
RADII = np.arange(0.0, 0.16, 0.003, dtype=np.float32)
CLOSE = 0.003  # metres above the skin where hair is looked for
FEW = 2  # steps along a ray that hair may be interrupted


@dataclass(frozen=True)
class HairObservation:
    """What one photo shows of the hair along every ray.

    Attributes:
        outline: how far out the hair ends where the photo shows its outline, beyond the base; NaN elsewhere.
        limit: how far out anything can be; infinite where the photo does not show it.
        weight: 0..1, how much ``outline`` counts. cover: hair (1) or not (0); confidence: of ``cover``, 0..1.
    """

    outline: Float[np.ndarray, "n m"]
    limit: Float[np.ndarray, "n m"]
    weight: Float[np.ndarray, "n m"]
    cover: Float[np.ndarray, "n m"]
    confidence: Float[np.ndarray, "n m"]


def observe_hair(
    observation: Observation,
    grid: HairGrid,
    head: HeadModel,
    skin: Float[np.ndarray, "n m"],
    base: Float[np.ndarray, "n m"],
    reach: Float[np.ndarray, "n m"],
) -> HairObservation:
    """Observe the hair along every ray of the grid in one photo.

    Args:
        skin, base, reach: metres along the rays to the skin, to what hair lies on, and to the hair's surface
            as far as it is known.
    """
    camera, params = observation.camera, observation.params
    near, far = grid.posed(base, head, params), grid.posed(base + 0.1, head, params)
    along = (far - near) * np.float32(10)
    surface = near + along * (reach - base)[..., None]
    facing = _facing(surface, camera)
    outline, limit = _outline(observation, near, along)
    weight = np.exp(-((facing / 0.25) ** 2)) * np.isfinite(outline)
    # the visible part of the hair's own surface
    close = near + along * CLOSE
    level = _surface_level(grid, skin, base)
    cover, at = _hair_at(observation, close + (surface - close) * level[..., None])
    h, w = observation.image.shape[:2]
    ok = ((at > 1) & (at < [w - 1, h - 1])).all(-1)
    confidence = smoothstep(np.minimum(facing, _facing(close, camera)), 0.05, 0.3) * ok
    rim, cover = _with_rim(observation, near, along, outline, confidence, weight, cover)
    cover, confidence = _extend_down(cover, confidence + rim, at[..., 1] >= h - 1)
    return HairObservation(
        outline=np.nan_to_num(outline), limit=limit, weight=weight, cover=cover, confidence=confidence
    )


def _surface_level(
    grid: HairGrid, skin: Float[np.ndarray, "n m"], base: Float[np.ndarray, "n m"]
) -> np.ndarray:
    """Return 0..1: from close to the skin to the hair's surface, where hair is looked for."""
    beside = smoothstep(-grid.direction[-1, :, 2], -0.8, -0.4)[None] * np.ones_like(base)
    return np.maximum(beside, smoothstep(base - skin, 0.002, 0.006))


def _with_rim(
    observation: Observation,
    near: np.ndarray,
    along: np.ndarray,
    outline: np.ndarray,
    confidence: np.ndarray,
    weight: np.ndarray,
    cover: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Combine the cover of the hair's surface with that at its outline; also return the latter's weight."""
    at_rim, _ = _hair_at(observation, near + along * np.maximum(np.nan_to_num(outline) - 0.005, 0)[..., None])
    positive = np.where(np.arange(len(confidence))[:, None] < DOME, smoothstep(at_rim, 0.3, 0.7), 1.0)
    rim = 0.5 * weight * (1 - confidence) * positive  # above the eyes a thin matte is no sign of baldness
    cover = (confidence * cover + rim * at_rim) / np.maximum(confidence + rim, 1e-9)
    return rim, cover


def _outline(
    observation: Observation, near: Float[np.ndarray, "n m 3"], along: Float[np.ndarray, "n m 3"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Return ``outline`` (NaN where the photo does not show it) and ``limit`` of a ``HairObservation``.

    Args:
        near, along: where rays start, and a metre along them, in the world.
    """
    masks = observation.masks
    assert masks is not None
    radii = RADII[:, None, None] - 0.02
    pixel = project_points(near[None] + along[None] * radii[..., None], observation.camera)[0]
    h, w = observation.image.shape[:2]
    inside = ((pixel > 1) & (pixel < [w - 1, h - 1])).all(-1)
    flat = pixel.reshape(-1, 2).astype(np.float32)
    is_hair, person = _hair_and_person(masks, flat, inside)
    end, known_end = _last_of(person & inside, inside)
    last_hair, _ = _last_of(is_hair & inside, inside, start=end)
    below = _chin_level(observation, pixel[0]) < 0
    limit = np.where(known_end, RADII[np.minimum(end, len(RADII) - 1)] - 0.02, np.inf)
    hairy = last_hair >= 0
    outline = np.where(below, np.where(hairy, RADII[last_hair] - 0.02, np.nan), limit)
    return np.where(np.isfinite(outline) & inside[0] & known_end, outline, np.nan), limit


def _hair_and_person(masks: Masks, flat: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the samples along the rays are hair, and where the person without clothes."""
    is_hair = sample_bilinear(masks.hair.astype(np.float32), flat).reshape(inside.shape) > 0.5
    unclothed = (masks.person * (1 - masks.clothes)).astype(np.float32)
    person = sample_bilinear(unclothed, flat).reshape(inside.shape) > 0.5
    return is_hair, person


def _hair_at(
    observation: Observation, points: Float[np.ndarray, "n m 3"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m 2"]]:
    """Sample the hair mask at world points; also return their pixels."""
    assert observation.masks is not None
    at = project_points(points, observation.camera)[0]
    hair = observation.masks.hair.astype(np.float32)
    return sample_bilinear(hair, at.reshape(-1, 2).astype(np.float32)).reshape(at.shape[:2]), at


def _extend_down(
    cover: Float[np.ndarray, "n m"], confidence: Float[np.ndarray, "n m"], below: Bool[np.ndarray, "n m"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Continue values below the image from above: hair that the frame cuts goes on."""
    cover, confidence = (
        blur_around(cover * confidence, 1.5) / np.maximum(blur_around(confidence, 1.5), 1e-9),
        confidence.copy(),
    )
    for i in range(1, len(cover)):
        cut = below[i]
        cover[i, cut], confidence[i, cut] = cover[i - 1, cut], confidence[i - 1, cut] * 0.98
    return cover, confidence


def _last_of(
    there: Bool[np.ndarray, "k n m"], inside: Bool[np.ndarray, "k n m"], start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the first run's last True (short gaps forgiven); whether it ends in the image."""
    k = len(there)
    gap = np.zeros(there.shape[1:], int)
    last = np.full(there.shape[1:], -1)
    done = np.zeros(there.shape[1:], bool)
    for i in range(k):
        if start is not None:
            done |= i > start
        hit = there[i] & ~done
        last[hit] = i
        gap = np.where(there[i], 0, gap + 1)
        if start is None:
            done |= (gap > FEW) & (RADII[i] > 0.024)
    ended = done & (np.take_along_axis(inside, np.clip(last + 1, 0, k - 1)[None], 0)[0])
    return last, ended


def _chin_level(observation: Observation, pixel: Float[np.ndarray, "n m 2"]) -> Float[np.ndarray, "n m"]:
    """Return how far above the chin's level pixels lie, in heights of the face."""
    points = observation.detection.points
    up = points[10] - points[152]
    return (pixel - points[152]) @ (up / (up @ up)) - 0.05


def _facing(surface: Float[np.ndarray, "n m 3"], camera: Camera) -> Float[np.ndarray, "n m"]:
    """Return cosines between outward normals and the direction to the camera."""
    to_camera = camera.center.numpy() - surface
    return (normals(surface) * to_camera).sum(-1) / np.maximum(np.linalg.norm(to_camera, axis=-1), 1e-9)
