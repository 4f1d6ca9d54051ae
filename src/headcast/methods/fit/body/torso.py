"""Estimate the width and depth of the body in every row of a photo: neck, collar, shoulders, chest.

Each cross-section lies in the plane through the camera's centre and a row of the image, so that its ends
project to the outline of the clothes. Depths are those of the head model's neck, extended to a bust.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.body.outline import body_mask, edges_at, highest_collar
from headcast.observe.outlines import observed_face_height
from headcast.observe.types import Observation
from headcast.rotation import axis_angle_to_matrix

__all__ = ["BACK_COLUMNS", "FRONT_COLUMNS", "Torso", "column_angles", "estimate_torso", "torso_points"]

MIN_CLOTHES = 0.08  # face heights of visible clothes below the collar, for an estimate at all
COLLAR_OVERLAP = 0.05  # face heights above the collar, inside the neck, where the surface starts
IMAGE_ROWS, ROWS_BELOW_IMAGE = 88, 28  # numbers of cross-sections
BUST_END_M = 0.36  # below the base of the neck
SHOULDER_TURN = 0.6  # fraction of the head's yaw that the shoulders follow
USUAL_HALF_WIDTHS = np.array(
    [
        [-0.06, 0.055],
        [-0.02, 0.065],
        [0, 0.08],
        [0.03, 0.13],
        [0.06, 0.17],
        [0.1, 0.2],
        [0.16, 0.215],
        [0.24, 0.22],
        [0.4, 0.215],
    ]
)
"""Half width of a usual bust (second column) by distance below the base of the neck (first), metres."""
MAX_HALF_WIDTH_M = 0.26
DEPTH_SLOPES = (0.3, 0.4)  # depth gained per metre downwards, chest and back, below the end of the head model
MAX_HALF_DEPTH_M = (0.125, 0.12)  # from the axis to chest and back
MAX_COLLAR_GAP_M = 0.012  # between collar and neck
FRONT_COLUMNS, BACK_COLUMNS = 44, 24  # of the surface, facing the camera and behind
CHEST_START_M = (0.02, 0.06)  # below the base of the neck: everything lower is covered by clothes
MIN_NECK_FRACTION = 0.6  # half width of the body as a fraction of the head model's neck
HIDDEN_FRACTION = 0.88  # of the neck's radius, at which the surface is hidden under bare skin
NECK_BASE_Y = -0.12  # of the base of the neck, head frame, metres


@dataclass(frozen=True)
class Torso:
    """Cross-sections of the body in n rows, downwards: four quarter ellipses around an axis.

    Attributes:
        row: image rows, pixels, centres at +0.5; continued below the image.
        axis_x, axis_depth: position of the axis in the camera's frame, metres.
        half_width: towards the image's left and right border, metres.
        half_depth: towards the camera and away from it, metres.
        neck_half_size: half widths (first two) and half depths (last two) of the head model's neck, metres.
        shear: increase of depth per metre to the image's right.
        clothes_cover: 1 where clothes lie around the neck, 0 where its skin is bare, at ``column_angles()``.
        rows_in_image: number of rows that lie in the image.
    """

    row: Float[np.ndarray, "n"]
    axis_x: Float[np.ndarray, "n"]
    axis_depth: Float[np.ndarray, "n"]
    half_width: Float[np.ndarray, "2 n"]
    half_depth: Float[np.ndarray, "2 n"]
    neck_half_size: Float[np.ndarray, "4 n"]
    shear: Float[np.ndarray, "n"]
    clothes_cover: Float[np.ndarray, "n c"]
    rows_in_image: int


@dataclass(frozen=True)
class _NeckProfile:
    """Neck and shoulders of the head model in the photo, at given rows.

    Attributes:
        column: of the left and right outline in the image, pixels.
        depth: of front and back in the median plane, camera frame, metres.
        last_row: index of the last row that the head model covers, in front and behind.
        below_base: distance below the base of the neck, metres.
    """

    column: Float[np.ndarray, "2 n"]
    depth: Float[np.ndarray, "2 n"]
    last_row: tuple[int, int]
    below_base: Float[np.ndarray, "n"]


def estimate_torso(observation: Observation, head: HeadModel) -> Torso | None:
    """Estimate the body's cross-sections; None when no clothes are visible or the head has no neck."""
    if observation.masks is None or not {"neck", "shoulders"} <= set(head.region_names):
        return None
    face_height, image_height = observed_face_height(observation), observation.image.shape[0]
    collar_row = highest_collar(observation)
    if collar_row is None or image_height - collar_row < MIN_CLOTHES * face_height:
        return None
    with torch.no_grad():
        posed = head(observation.params)
    camera = observation.camera
    focal, cx = float(camera.K[0, 0]), float(camera.K[0, 2])
    base_row, pixels_per_metre = _locate_neck_base(head, posed, observation)
    image_rows, rows = _row_positions(collar_row, face_height, image_height, base_row, pixels_per_metre)
    neck = _neck_profile(rows, head, posed, observation, base_row, pixels_per_metre)
    axis_depth = neck.depth.mean(0)
    middle_column = neck.column.mean(0)
    neck_half_width = np.abs(neck.column - middle_column) * axis_depth / focal
    body = body_mask(observation, head, posed)
    half_width = _observe_half_width(
        observation, image_rows, body, middle_column, axis_depth, focal, neck_half_width, neck
    )
    shear = _shoulder_shear(observation, neck)
    axis_x = (middle_column - cx) / focal * axis_depth
    half_width = _correct_for_shear(axis_x, half_width, axis_depth, shear)
    neck_half_size = np.concatenate(
        [np.minimum(neck_half_width, half_width), np.abs(neck.depth - axis_depth)]
    )
    half_depth = _estimate_half_depth(neck, neck_half_size, half_width)
    torso = Torso(
        row=rows,
        axis_x=axis_x,
        axis_depth=axis_depth,
        half_width=half_width,
        half_depth=half_depth,
        neck_half_size=neck_half_size,
        shear=shear,
        clothes_cover=np.ones((len(rows), FRONT_COLUMNS + BACK_COLUMNS)),
        rows_in_image=IMAGE_ROWS,
    )
    return replace(torso, clothes_cover=_clothes_cover(torso, observation, neck.below_base))


def _shoulder_shear(observation: Observation, neck: _NeckProfile) -> np.ndarray:
    """Return the increase of depth per metre to the image's right, from a part of the head's yaw."""
    turn = axis_angle_to_matrix(observation.params.rotation)[:, 2]
    return SHOULDER_TURN * float(turn[0] / turn[2].clamp(min=0.3)) * smoothstep(neck.below_base, -0.03, 0.06)


def _row_positions(
    collar_row: float, face_height: float, image_height: int, base_row: float, pixels_per_metre: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of cross-sections within the image, and all rows."""
    image_rows = np.linspace(collar_row - COLLAR_OVERLAP * face_height, image_height, IMAGE_ROWS)
    rows_below = np.linspace(
        image_height,
        max(base_row + BUST_END_M * pixels_per_metre, image_height + 0.05 * pixels_per_metre),
        ROWS_BELOW_IMAGE + 1,
    )[1:]
    rows = np.concatenate([image_rows, rows_below])
    return image_rows, rows


def _correct_for_shear(
    axis_x: np.ndarray, half_width: np.ndarray, axis_depth: np.ndarray, shear: np.ndarray
) -> np.ndarray:
    """Return the half widths whose ends stay in their image columns under the shear of depth."""
    sign = np.array([[-1.0], [1.0]])
    tangent = (axis_x + sign * half_width) / axis_depth
    return np.maximum(sign * (tangent * axis_depth - axis_x) / (1 - tangent * shear), 0.01)


def _observe_half_width(
    observation: Observation,
    image_rows: np.ndarray,
    body: np.ndarray,
    middle_column: np.ndarray,
    axis_depth: np.ndarray,
    focal: float,
    neck_half_width: np.ndarray,
    neck: _NeckProfile,
) -> np.ndarray:
    """Return half widths in all rows from the outline of the visible body, metres."""
    edge_column, known = edges_at(image_rows, body, observation)
    return np.stack(
        [
            _extend_half_width(
                np.abs(edge_column[s] - middle_column[:IMAGE_ROWS]) * axis_depth[:IMAGE_ROWS] / focal,
                known[s],
                neck_half_width[s],
                neck.below_base,
            )
            for s in (0, 1)
        ]
    )


def column_angles() -> Float[np.ndarray, "c"]:
    """Return the angles of the surface's columns, radians: -90° is left in the image, 0 faces the camera."""
    front = np.linspace(-90, 90, FRONT_COLUMNS, endpoint=False)
    return np.radians(np.concatenate([front, np.linspace(90, 270, BACK_COLUMNS, endpoint=False)]))


def torso_points(torso: Torso, camera: Camera) -> Float[np.ndarray, "n c 3"]:
    """Return the points of the surface in the world, metres, by row and column."""
    angle = column_angles()
    sine, cosine = np.sin(angle)[None], np.cos(angle)[None]
    side_index, face_index = np.where(sine < 0, 0, 1)[0], np.where(cosine > 0, 0, 1)[0]
    clothes_cover = torso.clothes_cover
    sideways = (
        torso.half_width[side_index].T * clothes_cover
        + HIDDEN_FRACTION * torso.neck_half_size[side_index].T * (1 - clothes_cover)
    ) * sine
    towards_camera = (
        torso.half_depth[face_index].T * clothes_cover
        + HIDDEN_FRACTION * torso.neck_half_size[2 + face_index].T * (1 - clothes_cover)
    ) * cosine
    depth = torso.axis_depth[:, None] + torso.shear[:, None] * sideways - towards_camera
    K = camera.K.numpy().astype(np.float64)
    y = (torso.row[:, None] - K[1, 2]) / K[1, 1] * depth
    points = np.stack([torso.axis_x[:, None] + sideways, y, depth], -1)
    cam_from_world = camera.cam_from_world.numpy().astype(np.float64)
    return (points - cam_from_world[:3, 3]) @ cam_from_world[:3, :3]


def _clothes_cover(
    torso: Torso, observation: Observation, below_base: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n c"]:
    """Estimate ``Torso.clothes_cover``: observed in front, interpolated behind, 1 from the chest down."""
    import cv2

    world = torch.from_numpy(torso_points(torso, observation.camera)).float()
    pixel = observation.camera.project(world[:, :FRONT_COLUMNS]).numpy().reshape(-1, 2)
    shape = (len(torso.row), FRONT_COLUMNS)
    front = _observe_front_cover(torso, observation, pixel, shape)
    ends = [front[:, -3:].mean(1), front[:, :3].mean(1)]
    fraction = np.linspace(0, 1, BACK_COLUMNS)[None]
    back = ends[0][:, None] * (1 - fraction) + ends[1][:, None] * fraction
    cover = np.concatenate([front, back], 1)
    wrapped_cover = np.concatenate([cover[:, -4:], cover, cover[:, :4]], 1).astype(np.float32)
    cover = cv2.GaussianBlur(wrapped_cover, (0, 0), 1.0)[:, 4:-4].astype(np.float64)
    chest = smoothstep(below_base, *CHEST_START_M)[:, None]
    return (cover * (1 - chest) + chest) * smoothstep(np.arange(len(below_base)) / 5, 0.0, 1.0)[:, None]


def _observe_front_cover(
    torso: Torso, observation: Observation, pixel: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return the cover of clothes in front, with a wider blur where the body is occluded."""
    import cv2

    assert observation.masks is not None
    # outside of the person's matte the mask of clothes is undefined
    visible = sample_bilinear(observation.masks.person, pixel).reshape(shape)
    visible[torso.rows_in_image :] = 0
    clothes = sample_bilinear(observation.masks.clothes, pixel).reshape(shape) * (visible > 0.3)
    fine_cover, coarse_cover = (
        cv2.GaussianBlur(clothes, (0, 0), k) / (cv2.GaussianBlur(visible, (0, 0), k) + 0.01) for k in (1.2, 5)
    )
    fine_weight = smoothstep(cv2.GaussianBlur(visible, (0, 0), 1.2), 0.05, 0.3)
    return smoothstep(fine_cover * fine_weight + coarse_cover * (1 - fine_weight), 0.25, 0.6)


def _locate_neck_base(
    head: HeadModel, posed: Float[torch.Tensor, "v 3"], observation: Observation
) -> tuple[float, float]:
    """Return the image row of the base of the neck, and pixels per metre at its depth."""
    names = np.array(head.region_names)[head.region.numpy()]
    is_base = np.isin(names, ["neck", "shoulders"]) & (
        np.abs(head.neutral[:, 1].numpy() - NECK_BASE_Y) < 0.01
    )
    centre = posed[torch.from_numpy(is_base)].mean(0)
    camera = observation.camera
    return float(camera.project(centre)[1]), float(camera.K[0, 0] / camera.to_camera(centre)[2])


def _neck_profile(
    rows: Float[np.ndarray, "n"],
    head: HeadModel,
    posed: Float[torch.Tensor, "v 3"],
    observation: Observation,
    base_row: float,
    pixels_per_metre: float,
) -> _NeckProfile:
    """Measure the head model's neck at the rows; values outside of its rows are those of its ends."""
    names = np.array(head.region_names)[head.region.numpy()]
    neutral = head.neutral.numpy()
    camera = observation.camera
    pixel = camera.project(posed).numpy()
    depth = camera.to_camera(posed)[:, 2].numpy()
    is_trunk = np.isin(names, ["neck", "shoulders"])
    depth_profiles, last_rows = _neck_depths(rows, is_trunk, neutral, pixel, depth)
    columns = _neck_columns(rows, is_trunk, neutral, names, pixel)
    return _NeckProfile(
        np.stack(columns),
        np.stack(depth_profiles),
        (last_rows[0], last_rows[1]),
        (rows - base_row) / pixels_per_metre,
    )


def _neck_columns(
    rows: Float[np.ndarray, "n"],
    is_trunk: np.ndarray,
    neutral: np.ndarray,
    names: np.ndarray,
    pixel: np.ndarray,
) -> list[np.ndarray]:
    """Return the image columns of the neck's left and right outline at the rows."""
    columns = []
    for sign in (-1, 1):
        edge_pixels = []
        for y in np.arange(-0.06, -0.121, -0.01):
            candidates = np.flatnonzero(is_trunk & (np.abs(neutral[:, 1] - y) < 0.007) & (names == "neck"))
            outermost = candidates[np.argmax(sign * pixel[candidates, 0])]
            edge_pixels.append(pixel[outermost])
        edge_pixels = np.array(sorted(edge_pixels, key=lambda p: p[1]))
        columns.append(np.interp(rows, edge_pixels[:, 1], edge_pixels[:, 0]))
    return columns


def _neck_depths(
    rows: Float[np.ndarray, "n"],
    is_trunk: np.ndarray,
    neutral: np.ndarray,
    pixel: np.ndarray,
    depth: np.ndarray,
) -> tuple[list[np.ndarray], list[int]]:
    """Return camera depths of front and back in the median plane, and the last rows of the head model."""
    depth_profiles, last_rows = [], []
    for front in (True, False):
        is_middle = (
            is_trunk
            & (np.abs(neutral[:, 0]) < 0.012)
            & ((neutral[:, 2] > 0) == front)
            & (neutral[:, 1] < -0.1)
        )
        order = np.argsort(pixel[is_middle, 1])
        profile = np.interp(rows, pixel[is_middle, 1][order], depth[is_middle][order])
        depth_profiles.append(_smooth(profile, 6.0))
        last_rows.append(int(np.searchsorted(rows, pixel[is_middle, 1].max())))
    return depth_profiles, last_rows


def _extend_half_width(
    observed: Float[np.ndarray, "m"],
    known: Bool[np.ndarray, "m"],
    neck_half_width: Float[np.ndarray, "n"],
    below_base: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return the half width on one side in all rows, from the observed ones in the first m rows, metres.

    Hidden rows are interpolated; below the image the width grows like that of a usual bust.
    """
    n, m = len(below_base), len(observed)
    lower_bound = np.zeros(n)
    lower_bound[:m] = np.where(np.isfinite(observed), observed, 0.0)
    usual_half_width = np.interp(below_base, *USUAL_HALF_WIDTHS.T)
    half_width = np.full(n, np.nan)
    half_width[:m][known] = observed[known]
    _fill_hidden_rows(known, neck_half_width, half_width, lower_bound, usual_half_width)
    half_width = np.maximum(half_width, lower_bound)
    import cv2

    filtered = cv2.medianBlur(half_width.astype(np.float32)[:, None], 5)[:, 0].astype(np.float64)
    return np.maximum(_smooth(filtered, 0.7), MIN_NECK_FRACTION * neck_half_width)


def _fill_hidden_rows(
    known: Bool[np.ndarray, "m"],
    neck_half_width: Float[np.ndarray, "n"],
    half_width: np.ndarray,
    lower_bound: np.ndarray,
    usual_half_width: np.ndarray,
) -> None:
    """Interpolate hidden rows and extend below the last known one like a usual bust, in place."""
    first_half_width = 0.9 * neck_half_width
    known_rows = np.flatnonzero(known)
    if len(known_rows) == 0 or known_rows[0] > 0:
        half_width[0] = first_half_width[0]
    known_rows = np.flatnonzero(np.isfinite(half_width))
    last = known_rows[-1]
    interpolated = np.interp(np.arange(last + 1), known_rows, half_width[known_rows])
    half_width[: last + 1] = np.maximum(
        interpolated, np.where(np.isfinite(half_width[: last + 1]), 0, lower_bound[: last + 1])
    )
    widened = half_width[last] + np.maximum(usual_half_width[last + 1 :] - usual_half_width[last], 0)
    half_width[last + 1 :] = np.minimum(widened, max(MAX_HALF_WIDTH_M, half_width[last]))


def _smooth(values: Float[np.ndarray, "n"], sigma: float) -> Float[np.ndarray, "n"]:
    """Smooth along the rows with a Gaussian, replicating the ends."""
    import cv2

    return cv2.GaussianBlur(values[:, None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[:, 0]


def _estimate_half_depth(
    neck: _NeckProfile, neck_half_size: Float[np.ndarray, "4 n"], half_width: Float[np.ndarray, "2 n"]
) -> Float[np.ndarray, "2 n"]:
    """Return half depths, metres: those of the neck plus the collar's gap, below it growing to a bust's."""
    collar_gap = _smooth(
        np.clip(half_width.mean(0) - neck_half_size[:2].mean(0), 0.002, MAX_COLLAR_GAP_M), 3.0
    )
    half_depths = []
    for side in (0, 1):
        neck_depth = neck_half_size[2 + side] + collar_gap
        last_row = min(neck.last_row[side], len(neck_depth) - 1)
        extended = neck_depth + DEPTH_SLOPES[side] * np.maximum(
            neck.below_base - neck.below_base[last_row], 0
        )
        half_depths.append(
            _smooth(np.minimum(extended, max(MAX_HALF_DEPTH_M[side], neck_depth[last_row] + 0.01)), 4.0)
        )
    return np.stack(half_depths)
