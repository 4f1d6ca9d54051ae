"""Estimate how wide and deep the body is at every row of a photo: neck, collar, shoulders, chest.

Cross-sections lie in the planes through the camera and the image's rows, so that their ends are what the
outline of the clothes shows. Depths come from the head model's own neck, continued as a bust.
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
from headcast.methods.fit.body.outline import body_mask, edges_at, highest_collar, observed_face_height
from headcast.observe.types import Observation
from headcast.rotation import axis_angle_to_matrix

__all__ = ["BACK", "FRONT", "Torso", "column_angles", "estimate_torso", "torso_points"]

MIN_CLOTHES = 0.08  # face heights of clothes that must be visible
RIM = 0.05  # face heights by which the surface begins above the collar, within the neck
ROWS, BELOW = 88, 28  # cross-sections within the image, and below it
END = 0.36  # metres below the base of the neck where the bust ends
TURN = 0.6  # of the head's turn that the shoulders follow
WIDTH = np.array(
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
"""Metres below the base of the neck; half the width of a usual bust."""
WIDEST = 0.26
SLOPES = (0.3, 0.4)  # of chest and back below the head model's end
MOST = (0.125, 0.12)  # metres from the axis to chest and back
STAND = 0.012  # metres by which a collar may stand off the neck
FRONT, BACK = 44, 24  # columns on the side of the camera, and behind
CHEST = (0.02, 0.06)  # metres below the base of the neck between which the head's own skin ends
NARROWEST = 0.6  # of the head model's neck
INSIDE = 0.88  # of the neck's radius, where the surface stays hidden below bare skin
BASE = -0.12  # height of the base of the neck in the head model's frame


@dataclass(frozen=True)
class Torso:
    """Cross-sections, one for each of n rows, downwards; half-ellipses before and behind an axis.

    Attributes:
        row: pixels, centres at +0.5; goes on below the image.
        x, depth: of the axis in the camera's frame, metres.
        reach: towards the image's left and right border, metres.
        thick: towards the camera and away from it, metres.
        neck: (2, n) sideways, (2, n) before and behind: the same of the head's own neck.
        shear: by how much a metre to the image's right is further away.
        cover: at ``column_angles()``: 1 where clothes lie around the neck, 0 where its own skin shows.
        rows_in_image: how many of the rows lie in the image.
    """

    row: Float[np.ndarray, "n"]
    x: Float[np.ndarray, "n"]
    depth: Float[np.ndarray, "n"]
    reach: Float[np.ndarray, "2 n"]
    thick: Float[np.ndarray, "2 n"]
    neck: Float[np.ndarray, "4 n"]
    shear: Float[np.ndarray, "n"]
    cover: Float[np.ndarray, "n c"]
    rows_in_image: int


@dataclass(frozen=True)
class _Neck:
    """The head model's neck and shoulders in the photo, at given rows.

    Attributes:
        sides: columns of its left and right side in the image, pixels.
        lines: camera depth of the middle of front and back, metres.
        end: index of the last row that the head model reaches in front and behind.
        below: metres below the base of the neck.
    """

    sides: Float[np.ndarray, "2 n"]
    lines: Float[np.ndarray, "2 n"]
    end: tuple[int, int]
    below: Float[np.ndarray, "n"]


def estimate_torso(observation: Observation, head: HeadModel) -> Torso | None:
    """Estimate the body's cross-sections; None when no clothes are visible or the head has no neck."""
    if observation.masks is None or not {"neck", "shoulders"} <= set(head.region_names):
        return None
    unit, height = observed_face_height(observation), observation.image.shape[0]
    top = highest_collar(observation)
    if top is None or height - top < MIN_CLOTHES * unit:
        return None
    with torch.no_grad():
        posed = head(observation.params)
    camera = observation.camera
    focal, cx = float(camera.K[0, 0]), float(camera.K[0, 2])
    base, scale = _base_of(head, posed, observation)
    inside, row = _rows(top, unit, height, base, scale)
    neck = _neck_at(row, head, posed, observation, base, scale)
    depth = neck.lines.mean(0)
    middle = neck.sides.mean(0)
    half = np.abs(neck.sides - middle) * depth / focal
    body = body_mask(observation, head, posed)
    reach = _visible_reach(observation, inside, body, middle, depth, focal, half, neck)
    shear = _shoulder_shear(observation, neck)
    x = (middle - cx) / focal * depth
    reach = _keep_columns(x, reach, depth, shear)
    own = np.concatenate([np.minimum(half, reach), np.abs(neck.lines - depth)])
    thick = _thickness(neck, own, reach)
    torso = Torso(
        row=row,
        x=x,
        depth=depth,
        reach=reach,
        thick=thick,
        neck=own,
        shear=shear,
        cover=np.ones((len(row), FRONT + BACK)),
        rows_in_image=ROWS,
    )
    return replace(torso, cover=_cover_of(torso, observation, neck.below))


def _shoulder_shear(observation: Observation, neck: _Neck) -> np.ndarray:
    """Return by how much a metre to the image's right is further away: shoulders follow the head in part."""
    turn = axis_angle_to_matrix(observation.params.rotation)[:, 2]
    return TURN * float(turn[0] / turn[2].clamp(min=0.3)) * smoothstep(neck.below, -0.03, 0.06)


def _rows(top: float, unit: float, height: int, base: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of cross-sections within the image, and those with the rows below it."""
    inside = np.linspace(top - RIM * unit, height, ROWS)
    outside = np.linspace(height, max(base + END * scale, height + 0.05 * scale), BELOW + 1)[1:]
    row = np.concatenate([inside, outside])
    return inside, row


def _keep_columns(x: np.ndarray, reach: np.ndarray, depth: np.ndarray, shear: np.ndarray) -> np.ndarray:
    """Return metres to both sides that keep the ends in their columns when shear changes their depth."""
    # the ends keep their columns when their depth changes
    sign = np.array([[-1.0], [1.0]])
    tangent = (x + sign * reach) / depth
    return np.maximum(sign * (tangent * depth - x) / (1 - tangent * shear), 0.01)


def _visible_reach(
    observation: Observation,
    inside: np.ndarray,
    body: np.ndarray,
    middle: np.ndarray,
    depth: np.ndarray,
    focal: float,
    half: np.ndarray,
    neck: _Neck,
) -> np.ndarray:
    """Return metres to both sides at all rows from the ends of the visible body."""
    at, known = edges_at(inside, body, observation)
    return np.stack(
        [
            _reach_of(np.abs(at[s] - middle[:ROWS]) * depth[:ROWS] / focal, known[s], half[s], neck.below)
            for s in (0, 1)
        ]
    )


def column_angles() -> Float[np.ndarray, "c"]:
    """Return radians around the torso of its columns: -90° is the image's left end, 0 faces the camera."""
    front = np.linspace(-90, 90, FRONT, endpoint=False)
    return np.radians(np.concatenate([front, np.linspace(90, 270, BACK, endpoint=False)]))


def torso_points(torso: Torso, camera: Camera) -> Float[np.ndarray, "n c 3"]:
    """Return world points of the surface, metres."""
    a = column_angles()
    sine, cosine = np.sin(a)[None], np.cos(a)[None]
    side, face = np.where(sine < 0, 0, 1)[0], np.where(cosine > 0, 0, 1)[0]
    cover = torso.cover
    across = (torso.reach[side].T * cover + INSIDE * torso.neck[side].T * (1 - cover)) * sine
    along = (torso.thick[face].T * cover + INSIDE * torso.neck[2 + face].T * (1 - cover)) * cosine
    depth = torso.depth[:, None] + torso.shear[:, None] * across - along
    K = camera.K.numpy().astype(np.float64)
    y = (torso.row[:, None] - K[1, 2]) / K[1, 1] * depth
    p = np.stack([torso.x[:, None] + across, y, depth], -1)
    T = camera.cam_from_world.numpy().astype(np.float64)
    return (p - T[:3, 3]) @ T[:3, :3]


def _cover_of(
    torso: Torso, observation: Observation, below: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n c"]:
    """Return where clothes are by the photo; behind, as at the ends; everywhere below the head model."""
    import cv2

    world = torch.from_numpy(torso_points(torso, observation.camera)).float()
    pixel = observation.camera.project(world[:, :FRONT]).numpy().reshape(-1, 2)
    shape = (len(torso.row), FRONT)
    front = _front_cover(torso, observation, pixel, shape)
    ends = [front[:, -3:].mean(1), front[:, :3].mean(1)]
    t = np.linspace(0, 1, BACK)[None]
    behind = ends[0][:, None] * (1 - t) + ends[1][:, None] * t
    out = np.concatenate([front, behind], 1)
    wrapped = np.concatenate([out[:, -4:], out, out[:, :4]], 1).astype(np.float32)
    out = cv2.GaussianBlur(wrapped, (0, 0), 1.0)[:, 4:-4].astype(np.float64)
    chest = smoothstep(below, *CHEST)[:, None]
    return (out * (1 - chest) + chest) * smoothstep(np.arange(len(below)) / 5, 0.0, 1.0)[:, None]


def _front_cover(
    torso: Torso, observation: Observation, pixel: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return where the photo shows clothes in front, filled in where it shows neither clothes nor skin."""
    import cv2

    assert observation.masks is not None
    # what lies before the body, hair or chin, says nothing about clothes
    known = sample_bilinear(observation.masks.person, pixel).reshape(shape)
    known[torso.rows_in_image :] = 0
    clothes = sample_bilinear(observation.masks.clothes, pixel).reshape(shape) * (known > 0.3)
    near, far = (
        cv2.GaussianBlur(clothes, (0, 0), k) / (cv2.GaussianBlur(known, (0, 0), k) + 0.01) for k in (1.2, 5)
    )
    sure = smoothstep(cv2.GaussianBlur(known, (0, 0), 1.2), 0.05, 0.3)
    return smoothstep(near * sure + far * (1 - sure), 0.25, 0.6)


def _base_of(
    head: HeadModel, posed: Float[torch.Tensor, "v 3"], observation: Observation
) -> tuple[float, float]:
    """Return the row of the base of the neck, and pixels of a metre there."""
    names = np.array(head.region_names)[head.region.numpy()]
    near = np.isin(names, ["neck", "shoulders"]) & (np.abs(head.neutral[:, 1].numpy() - BASE) < 0.01)
    p = posed[torch.from_numpy(near)].mean(0)
    camera = observation.camera
    return float(camera.project(p)[1]), float(camera.K[0, 0] / camera.to_camera(p)[2])


def _neck_at(
    row: Float[np.ndarray, "n"],
    head: HeadModel,
    posed: Float[torch.Tensor, "v 3"],
    observation: Observation,
    base: float,
    scale: float,
) -> _Neck:
    """Return sides, front and back of the head model's neck, extended straight above and below."""
    names = np.array(head.region_names)[head.region.numpy()]
    n = head.neutral.numpy()
    camera = observation.camera
    pixel = camera.project(posed).numpy()
    depth = camera.to_camera(posed)[:, 2].numpy()
    trunk = np.isin(names, ["neck", "shoulders"])
    lines, ends = _neck_lines(row, trunk, n, pixel, depth)
    sides = _neck_sides(row, trunk, n, names, pixel)
    return _Neck(np.stack(sides), np.stack(lines), (ends[0], ends[1]), (row - base) / scale)


def _neck_sides(
    row: Float[np.ndarray, "n"], trunk: np.ndarray, n: np.ndarray, names: np.ndarray, pixel: np.ndarray
) -> list[np.ndarray]:
    """Return the columns of both sides at the rows."""
    sides = []
    for sign in (-1, 1):
        edge = []
        for y in np.arange(-0.06, -0.121, -0.01):
            level = np.flatnonzero(trunk & (np.abs(n[:, 1] - y) < 0.007) & (names == "neck"))
            best = level[np.argmax(sign * pixel[level, 0])]
            edge.append(pixel[best])
        edge = np.array(sorted(edge, key=lambda p: p[1]))
        sides.append(np.interp(row, edge[:, 1], edge[:, 0]))
    return sides


def _neck_lines(
    row: Float[np.ndarray, "n"], trunk: np.ndarray, n: np.ndarray, pixel: np.ndarray, depth: np.ndarray
) -> tuple[list[np.ndarray], list[int]]:
    """Return depths of the middle of front and back at the rows, and the rows where the head model ends."""
    lines, ends = [], []
    for front in (True, False):
        line = trunk & (np.abs(n[:, 0]) < 0.012) & ((n[:, 2] > 0) == front) & (n[:, 1] < -0.1)
        order = np.argsort(pixel[line, 1])
        along = np.interp(row, pixel[line, 1][order], depth[line][order])
        lines.append(_smooth(along, 6.0))
        ends.append(int(np.searchsorted(row, pixel[line, 1].max())))
    return lines, ends


def _reach_of(
    wide: Float[np.ndarray, "m"],
    known: Bool[np.ndarray, "m"],
    neck: Float[np.ndarray, "n"],
    below: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return metres to one side at all rows, from the visible ends at the first m of them.

    Hidden stretches are bridged; outside of the image the width grows as a usual bust's.
    """
    n, m = len(below), len(wide)
    least = np.zeros(n)
    least[:m] = np.where(np.isfinite(wide), wide, 0.0)
    usual = np.interp(below, *WIDTH.T)
    out = np.full(n, np.nan)
    out[:m][known] = wide[known]
    _bridge_hidden(known, neck, out, least, usual)
    out = np.maximum(out, least)
    import cv2

    whole = cv2.medianBlur(out.astype(np.float32)[:, None], 5)[:, 0].astype(np.float64)
    return np.maximum(_smooth(whole, 0.7), NARROWEST * neck)


def _bridge_hidden(
    known: Bool[np.ndarray, "m"],
    neck: Float[np.ndarray, "n"],
    out: np.ndarray,
    least: np.ndarray,
    usual: np.ndarray,
) -> None:
    """Bridge hidden stretches and continue below the last known row as a usual bust, in place."""
    inset = 0.9 * neck
    fill = np.flatnonzero(known)
    if len(fill) == 0 or fill[0] > 0:
        out[0] = inset[0]
    fill = np.flatnonzero(np.isfinite(out))
    last = fill[-1]
    bridged = np.interp(np.arange(last + 1), fill, out[fill])
    out[: last + 1] = np.maximum(bridged, np.where(np.isfinite(out[: last + 1]), 0, least[: last + 1]))
    widened = out[last] + np.maximum(usual[last + 1 :] - usual[last], 0)
    out[last + 1 :] = np.minimum(widened, max(WIDEST, out[last]))


def _smooth(values: Float[np.ndarray, "n"], sigma: float) -> Float[np.ndarray, "n"]:
    """Smooth along the rows; the ends are repeated."""
    import cv2

    return cv2.GaussianBlur(values[:, None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[:, 0]


def _thickness(
    neck: _Neck, own: Float[np.ndarray, "4 n"], reach: Float[np.ndarray, "2 n"]
) -> Float[np.ndarray, "2 n"]:
    """Return metres before and behind the axis: the head model's, off it under a collar, then a bust's."""
    stand = _smooth(np.clip(reach.mean(0) - own[:2].mean(0), 0.002, STAND), 3.0)
    out = []
    for side in (0, 1):
        line = own[2 + side] + stand
        end = min(neck.end[side], len(line) - 1)
        thickened = line + SLOPES[side] * np.maximum(neck.below - neck.below[end], 0)
        out.append(_smooth(np.minimum(thickened, max(MOST[side], line[end] + 0.01)), 4.0))
    return np.stack(out)
