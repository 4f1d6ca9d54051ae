"""Build the surface of clothes and shoulders around the torso, down to a bust's end below the photo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.shell import Shell
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.image import sample_bilinear, srgb_to_linear
from headcast.interpolation import smoothstep
from headcast.methods.fit.body.texture import FRONT_FRACTION, MARGIN, paint_body
from headcast.methods.fit.body.torso import BACK_COLUMNS, FRONT_COLUMNS, Torso, column_angles, torso_points
from headcast.observe.types import Observation
from headcast.render.geometry import vertex_normals
from headcast.texture.delight import shading_at

__all__ = ["body_shell", "headroom", "tuck_shoulders"]

FLATNESS = 0.75  # of the texture's columns: 1 spaces them as in the photo, 0 by angle
ROOT_DISTANCE_M = (0.006, 0.05)  # from the neck's skin, over which the root's weight rises to 1
COLLAR_HEIGHT_M = (-0.085, -0.14)  # in the head frame, over which collars come to lie on the shoulders
COLLAR_ROOT_WEIGHT = 0.7  # of collars that lie on the shoulders, next to the neck's skin
NEIGHBOUR_COUNT = 4  # head vertices that a point takes skinning weights from
MAX_ALBEDO, MAX_HEADROOM = 0.97, 2.5  # of clothes; factor on the light
INSIDE_FRACTION = 0.93  # of the distance to the surface, within which the head's shoulders stay


def body_shell(
    observations: list[Observation],
    head: HeadModel,
    torso: Torso | None,
    light: Float[np.ndarray, "9 3"] | None = None,
) -> Shell | None:
    """Build the body's shell from the first photo; None when no clothes are visible.

    Args:
        head: bound to this person (see ``tuck_shoulders``).
        torso: ``estimate_torso`` of the first photo and the head before ``tuck_shoulders``.
        light: spherical harmonics to de-light the photo by; None: the photo's estimated light, softened.
    """
    if torso is None:
        return None
    first = observations[0]
    world, vertices, faces = _torso_surface(torso, first)
    uv, faces_uv = _texture_coordinates(*world.shape[:2])
    weights = _joint_weights(vertices, head, first.params)
    rest = _unpose(vertices, weights, head, first.params)
    texture = paint_body(first, head, world, vertices, faces, _column_positions(), light)
    return Shell(
        name="body",
        rest=rest,
        faces=faces,
        uv=uv,
        faces_uv=faces_uv,
        skin_weights=weights,
        texture=texture,
    )


def headroom(torso: Torso | None, observation: Observation, light: Float[np.ndarray, "9 3"]) -> float:
    """Return the factor on the light at which nearly no albedo of clothes exceeds white."""
    if torso is None or observation.masks is None:
        return 1.0
    world, vertices, faces = _torso_surface(torso, observation)
    normal = vertex_normals(vertices, faces).numpy()
    pixel = observation.camera.project(vertices).numpy()
    h, w = observation.image.shape[:2]
    visible = np.zeros(len(vertices), bool)
    visible[:-1] = np.tile(np.arange(FRONT_COLUMNS + BACK_COLUMNS) < FRONT_COLUMNS, len(world))
    visible &= ((pixel > 2) & (pixel < [w - 2, h - 2])).all(1) & (
        sample_bilinear(observation.masks.clothes, pixel) > 0.9
    )
    if not visible.any():
        return 1.0
    colour = srgb_to_linear(sample_bilinear(observation.image, pixel[visible]).astype(np.float32) / 255)
    brightest = (colour / shading_at(normal[visible], light)).max(1)
    return float(np.clip(np.quantile(brightest, 0.98) / MAX_ALBEDO, 1.0, MAX_HEADROOM))


class _TorsoSurface(NamedTuple):
    """World points by row and column; the same as a list, with the centre of the bottom last; triangles."""

    points: Float[np.ndarray, "r c 3"]
    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]


def _torso_surface(torso: Torso, observation: Observation) -> _TorsoSurface:
    """Triangulate the torso's surface in the world, its bottom closed."""
    world = torso_points(torso, observation.camera)
    rows, columns = world.shape[:2]
    vertices = np.concatenate([world.reshape(-1, 3), world[-1].mean(0)[None]])
    column = np.arange(columns)
    last_row = (rows - 1) * columns
    cap = np.stack(
        [last_row + column, np.full(columns, rows * columns), last_row + (column + 1) % columns], -1
    )
    faces = np.concatenate([_grid_triangles(rows, columns, columns), cap])
    return _TorsoSurface(world, torch.from_numpy(vertices).float(), torch.from_numpy(faces))


def _column_positions() -> Float[np.ndarray, "c1"]:
    """Return columns' positions in the texture, 0..1 within the margin; the first again at the end."""
    column = np.linspace(-1, 1, FRONT_COLUMNS, endpoint=False)
    front = (FLATNESS * np.sin(column * np.pi / 2) + (1 - FLATNESS) * column + 1) / 2 * FRONT_FRACTION
    return np.concatenate([front, np.linspace(FRONT_FRACTION, 1, BACK_COLUMNS + 1)])


def _texture_coordinates(rows: int, columns: int) -> tuple[Float[Tensor, "u 2"], Int[Tensor, "f 3"]]:
    """Return uv coordinates and uv faces of the triangles of ``_torso_surface``."""
    u, v = np.meshgrid(_column_positions(), np.linspace(0, 1, rows))
    uv = MARGIN + (1 - 2 * MARGIN) * np.stack([u, v], -1).reshape(-1, 2)
    last = (rows - 1) * (columns + 1) + np.arange(columns)
    faces = np.concatenate(
        [_grid_triangles(rows, columns, columns + 1), np.stack([last, last, last + 1], -1)]
    )
    return torch.from_numpy(uv).float(), torch.from_numpy(faces)


def _grid_triangles(rows: int, columns: int, width: int) -> Int[np.ndarray, "f 3"]:
    """Triangulate a grid with ``width`` points in a row, each column with its right neighbour (cyclic)."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    right = (c + 1) % width
    a, b, d, e = (r * width + c, r * width + right, (r + 1) * width + c, (r + 1) * width + right)
    return np.stack([np.stack([a, d, b], -1), np.stack([b, d, e], -1)], 2).reshape(-1, 3)


def _joint_weights(world: Float[Tensor, "n 3"], head: HeadModel, params: HeadParams) -> Float[Tensor, "n j"]:
    """Return skinning weights: near the head's neck those of its vertices, further away the root's.

    Clothes never follow the head itself, and a collar bends with the neck only in part: it lies on the
    shoulders.
    """
    trunk = head.region_mask("neck", "shoulders")
    with torch.no_grad():
        head_points = head(params)[trunk]
    distance, index = torch.cdist(world, head_points).topk(NEIGHBOUR_COUNT, largest=False)
    inverse_weight = 1 / (distance + 1e-3) ** 2
    weights = (
        head.skin_weights[trunk][index] * (inverse_weight / inverse_weight.sum(1, keepdim=True))[..., None]
    ).sum(1)
    jaw, skull, neck, root = (JOINTS.index(n) for n in ("jaw", "head", "neck", "root"))
    weights[:, neck] += weights[:, jaw] + weights[:, skull]
    weights[:, [jaw, skull]] = 0
    off_neck = smoothstep(distance[:, 0].numpy(), *ROOT_DISTANCE_M)
    height = _unpose(world, weights, head, params)[:, 1].numpy()
    on_shoulders = COLLAR_ROOT_WEIGHT * smoothstep(height, *COLLAR_HEIGHT_M)
    root_weight = torch.from_numpy(np.maximum(off_neck, on_shoulders)).float()[:, None]
    blended = weights * (1 - root_weight)
    blended[:, root] += root_weight[:, 0]
    return blended / blended.sum(1, keepdim=True)


def _unpose(
    world: Float[Tensor, "n 3"], weights: Float[Tensor, "n j"], head: HeadModel, params: HeadParams
) -> Float[Tensor, "n 3"]:
    """Return the rest shape (head frame) that ``HeadModel.skin_points`` poses at these points."""
    zero = torch.zeros_like(world)
    origin = head.skin_points(zero, weights, params)
    axes = [head.skin_points(zero + torch.eye(3)[k], weights, params) - origin for k in range(3)]
    return torch.linalg.solve(torch.stack(axes, -1), (world - origin)[..., None])[..., 0]


def tuck_shoulders(
    torso: Torso | None, observation: Observation, head: HeadModel
) -> Float[np.ndarray, "v 3"]:
    """Displace the head's rest shape (head frame, metres) so that its shoulders stay inside the body."""
    displacement = np.zeros(tuple(head.neutral.shape))
    if torso is None:
        return displacement
    trunk = head.region_mask("neck", "shoulders")
    with torch.no_grad():
        posed = head(observation.params)[trunk]
    camera = observation.camera
    row = camera.project(posed)[:, 1].numpy()
    points = camera.to_camera(posed).numpy()

    step = _inward_steps(torso, row, points)
    world = step @ camera.cam_from_world[:3, :3].numpy()
    weights = head.skin_weights[trunk]
    rest_target = _unpose(posed + torch.from_numpy(world).float(), weights, head, observation.params)
    displacement[trunk.numpy()] = (
        (rest_target - _unpose(posed, weights, head, observation.params)).double().numpy()
    )
    return displacement


def _inward_steps(torso: Torso, row: Float[np.ndarray, "m"], points: Float[np.ndarray, "m 3"]) -> np.ndarray:
    """Return steps (camera frame) that move covered points inside the torso, bare ones inside its outline."""

    def interpolate_rows(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "m"]:
        return np.interp(row, torso.row, values)

    sideways = points[:, 0] - interpolate_rows(torso.axis_x)
    towards_camera = (
        interpolate_rows(torso.axis_depth) + interpolate_rows(torso.shear) * sideways - points[:, 2]
    )
    half_width = np.where(
        sideways < 0, interpolate_rows(torso.half_width[0]), interpolate_rows(torso.half_width[1])
    )
    half_depth = np.where(
        towards_camera > 0, interpolate_rows(torso.half_depth[0]), interpolate_rows(torso.half_depth[1])
    )
    relative_radius = np.hypot(sideways / half_width, towards_camera / half_depth)
    angle = np.degrees(np.arctan2(sideways / half_width, towards_camera / half_depth))
    covered = smoothstep(_interpolate_cover(torso, row, angle), 0.4, 0.9)
    inwards = covered * (np.minimum(1, INSIDE_FRACTION / np.maximum(relative_radius, 1e-6)) - 1)
    sideways_scale = _sideways_scale(torso, row, half_width, towards_camera, half_depth, covered, sideways)
    step_x = sideways * (inwards + sideways_scale)
    return np.stack(
        [step_x, 0 * step_x, -towards_camera * inwards + interpolate_rows(torso.shear) * step_x], -1
    )


def _sideways_scale(
    torso: Torso,
    row: Float[np.ndarray, "m"],
    half_width: np.ndarray,
    towards_camera: np.ndarray,
    half_depth: np.ndarray,
    covered: np.ndarray,
    sideways: np.ndarray,
) -> np.ndarray:
    """Return the relative sideways step (negative) of bare skin that keeps it inside the torso's outline."""
    half_chord = half_width * np.sqrt(np.maximum(1 - (towards_camera / half_depth) ** 2, 0.1))
    fade_in = smoothstep((row - torso.row[0]) / (torso.row[6] - torso.row[0]), 0.0, 1.0)
    return (1 - covered) * fade_in * (np.minimum(1, half_chord / np.maximum(np.abs(sideways), 1e-6)) - 1)


def _interpolate_cover(
    torso: Torso, row: Float[np.ndarray, "m"], angle: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """Interpolate ``Torso.clothes_cover`` at rows and angles (degrees)."""
    column_angle = np.degrees(column_angles())
    column = np.interp(
        (angle + 90) % 360, np.append(column_angle, 270) + 90, np.arange(len(column_angle) + 1)
    )
    wrapped_cover = np.concatenate([torso.clothes_cover, torso.clothes_cover[:, :1]], 1).astype(np.float32)
    row_index = np.interp(row, torso.row, np.arange(len(torso.row)))
    return sample_bilinear(wrapped_cover, np.stack([column, row_index], 1).astype(np.float32) + 0.5)
