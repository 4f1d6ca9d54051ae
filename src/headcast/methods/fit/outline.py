"""Move cheeks, jaw and neck to the outline of the skin in a photo, which landmarks say little about."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.ears import head_axes
from headcast.observe.types import Observation

__all__ = ["fit_outline"]

MARGIN_M = 0.001  # inside of the skin's outline, where the head ends: what is beyond is hair or background
FEATURES = ("lips", "nose", "lids", "brows")
BIN_M = 0.004  # of height, in which the outline's outermost vertex is taken
REACH_M = (-0.018, 0.008)  # from the fitted outline, along which the skin's outline is searched
STEP_M = 0.0004
MOVE_M = (-0.006, 0.0015)  # that cheeks and jaw may move, outwards; the neck up to twice as far
MIN_BINS = 6  # with an outline on one side, for it to be moved
SMOOTH_BINS = 2.5  # deviation of the filter over heights
FACING = (0.65, 0.15)  # cosines to the camera between which skin begins to move
NEAR_FEATURES_M = (0.01, 0.03)  # from lips, nose, lids and brows, between which skin begins to move
FADE_M = 0.025  # over which the movement fades above, below and behind
NECK_M = 0.06  # of the neck below the chin, whose outline is used
BEYOND_M = 0.003  # the skin's end, where clothes would be its reason


def fit_outline(observation: Observation, head: HeadModel) -> Float[Tensor, "v 3"]:
    """Return offsets (metres, head frame) that narrow or widen cheeks, jaw and neck to the photo's skin.

    Zero without masks, and on a side whose outline the photo does not show.
    """
    offset = torch.zeros_like(head.neutral)
    if observation.masks is None or "face" not in head.region_names:
        return offset
    rest, posed = head.shape(observation.params.identity), head(observation.params)
    to_camera = torch.nn.functional.normalize(observation.camera.center - posed, dim=1)
    facing = (head.vertex_normals(posed) * to_camera).sum(1).numpy()
    face = head.region_mask("face", "neck").numpy()
    chin, eyes = _height_range(head, rest)
    heights = np.arange(chin - NECK_M, eyes, BIN_M)
    place = rest.numpy()
    features = [n for n in FEATURES if n in head.region_names]
    off_features = smoothstep(_distance_to(rest, rest[head.region_mask(*features)]), *NEAR_FEATURES_M)
    for side in (1.0, -1.0):
        moved = _moved_by_height(observation, head, place, posed, face, heights, chin, side)
        if moved is None:
            continue
        own = place[:, 0] * side > 0
        by_height = np.interp(place[:, 1], heights, moved)
        outside = np.maximum(heights[0] - place[:, 1], place[:, 1] - heights[-1])
        edge = place[own & face & (np.abs(facing) < FACING[1]), 2]
        behind = (float(np.median(edge)) if len(edge) else 0.0) - place[:, 2]
        weight = (
            off_features
            * smoothstep(facing, *FACING)
            * smoothstep(outside, FADE_M, 0.0)
            * smoothstep(behind, 2 * FADE_M, FADE_M / 2)
        )
        offset[:, 0] += torch.from_numpy(np.where(own, side * weight * by_height, 0.0)).float()
    return offset


def _distance_to(points: Float[Tensor, "v 3"], others: Float[Tensor, "k 3"]) -> Float[np.ndarray, "v"]:
    """Return every point's distance to the nearest of others, metres."""
    from scipy.spatial import KDTree

    return KDTree(others.numpy()).query(points.numpy(), workers=1)[0]


def _height_range(head: HeadModel, rest: Float[Tensor, "v 3"]) -> tuple[float, float]:
    """Return the heights of the chin's lowest point and of the eyes, head frame, metres."""
    points = head.landmarks(rest, 68)
    return float(points[8, 1]), float(points[36:48, 1].mean())


def _moved_by_height(
    observation: Observation,
    head: HeadModel,
    rest: Float[np.ndarray, "v 3"],
    posed: Float[Tensor, "v 3"],
    face: np.ndarray,
    heights: Float[np.ndarray, "k"],
    chin: float,
    side: float,
) -> Float[np.ndarray, "k"] | None:
    """Return metres outwards by which the outline moves at each height; None: the photo does not show it."""
    pixel, beside = _pixels_beside(observation, head, posed, side)
    mean = (beside / np.maximum(np.linalg.norm(beside, axis=1, keepdims=True), 1e-9))[face].mean(0)
    along = pixel @ (mean / np.linalg.norm(mean))
    ears = head.region_mask("ears").numpy()
    candidates = _on_skin(head) & ~ears & (rest[:, 0] * side > 0)
    found = np.full(len(heights), np.nan)
    for k, height in enumerate(heights):
        index = np.flatnonzero(candidates & (np.abs(rest[:, 1] - height) < BIN_M / 2))
        if len(index) == 0:
            continue
        outermost = index[np.argmax(along[index])]
        if face[outermost]:
            found[k] = _end_of_skin(observation, pixel[outermost], beside[outermost])
        if height > rest[ears, 1].min(initial=np.inf) and not found[k] < 0:
            found[k] = np.nan  # the ear's outline
    known = np.isfinite(found)
    if known.sum() < MIN_BINS:
        return None
    found[~known] = np.interp(heights[~known], heights[known], found[known])
    least = np.where(heights < chin, 2 * MOVE_M[0], MOVE_M[0])
    return _smoothed(np.clip(found, least, MOVE_M[1]))


def _pixels_beside(
    observation: Observation, head: HeadModel, posed: Float[Tensor, "v 3"], side: float
) -> tuple[Float[np.ndarray, "v 2"], Float[np.ndarray, "v 2"]]:
    """Return every vertex's pixel, and the step in pixels from there that is a metre outwards."""
    outwards = side * head_axes(head, observation)[0]
    pixel = observation.camera.project(posed).numpy()
    return pixel, (observation.camera.project(posed + 0.01 * outwards).numpy() - pixel) * 100


def _on_skin(head: HeadModel) -> Bool[np.ndarray, "v"]:
    """Return which vertices belong to the head's skin."""
    on_skin = np.zeros(len(head.neutral), bool)
    on_skin[head.faces[head.part == head.part_names.index("skin")].unique().numpy()] = True
    return on_skin


def _end_of_skin(
    observation: Observation, pixel: Float[np.ndarray, "2"], metre: Float[np.ndarray, "2"]
) -> float:
    """Return metres outwards from a pixel at which the skin ends; NaN where it does not, or at clothes.

    Args:
        metre: step in pixels that is a metre outwards.
    """
    masks = observation.masks
    assert masks is not None
    steps = np.arange(*REACH_M, STEP_M)
    skin = sample_bilinear(masks.skin.astype(np.float32), _along(pixel, metre, steps)) > 0.5
    if not skin[0] or skin.all():
        return np.nan
    end = float(steps[np.argmin(skin)])
    clothes = sample_bilinear(
        masks.clothes.astype(np.float32), _along(pixel, metre, np.array([end + BEYOND_M]))
    )
    return np.nan if clothes[0] > 0.5 else end - MARGIN_M


def _along(
    pixel: Float[np.ndarray, "2"], metre: Float[np.ndarray, "2"], steps: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "k 2"]:
    return (pixel + steps[:, None] * metre).astype(np.float32)


def _smoothed(values: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """Filter by medians of five and then by a Gaussian, ends continued."""
    padded = np.pad(values, 2, "edge")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), 1)
    radius = round(3 * SMOOTH_BINS)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SMOOTH_BINS) ** 2)
    return np.convolve(np.pad(median, radius, "edge"), kernel / kernel.sum(), "valid")
