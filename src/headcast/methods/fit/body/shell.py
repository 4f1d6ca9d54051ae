"""Clothes and shoulders as a surface around the torso, down to a bust's end below the photo."""

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
from headcast.methods.fit.body.torso import BACK, FRONT, Torso, column_angles, torso_points
from headcast.observe.types import Observation
from headcast.render.geometry import vertex_normals
from headcast.texture.delight import shading_at

__all__ = ["body_shell", "headroom", "tuck_shoulders"]

FLAT = 0.75  # how far the texture's columns are the photo's, not angles
NEAREST = 4  # head vertices whose joints a point moves with
BRIGHTEST, MOST_ROOM = 0.97, 2.5
INSIDE = 0.93  # fraction of the distance to the surface that the head's shoulders keep within


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
        light: harmonics under which albedo times shading is the photo; None: the photo's, softened.
    """
    if torso is None:
        return None
    first = observations[0]
    world, vertices, faces = _surface_of(torso, first)
    uv, faces_uv = _chart(*world.shape[:2])
    weights = _joint_weights(vertices, head, first.params)
    rest = _unpose(vertices, weights, head, first.params)
    texture = paint_body(first, head, world, vertices, faces, _column_places(), light)
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
    """Return how much brighter the light must be so that nearly no clothes exceed white."""
    if torso is None or observation.masks is None:
        return 1.0
    world, vertices, faces = _surface_of(torso, observation)
    normal = vertex_normals(vertices, faces).numpy()
    pixel = observation.camera.project(vertices).numpy()
    h, w = observation.image.shape[:2]
    visible = np.zeros(len(vertices), bool)
    visible[:-1] = np.tile(np.arange(FRONT + BACK) < FRONT, len(world))
    visible &= ((pixel > 2) & (pixel < [w - 2, h - 2])).all(1) & (
        sample_bilinear(observation.masks.clothes, pixel) > 0.9
    )
    if not visible.any():
        return 1.0
    colour = srgb_to_linear(sample_bilinear(observation.image, pixel[visible]).astype(np.float32) / 255)
    brightest = (colour / shading_at(normal[visible], light)).max(1)
    return float(np.clip(np.quantile(brightest, 0.98) / BRIGHTEST, 1.0, MOST_ROOM))


class _TorsoSurface(NamedTuple):
    """World points by row and column; the same as vertices, the bottom's middle last; triangles."""

    points: Float[np.ndarray, "r c 3"]
    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]


def _surface_of(torso: Torso, observation: Observation) -> _TorsoSurface:
    """Return rows and columns of world points; the same as a list, bottom's middle last; its triangles."""
    world = torso_points(torso, observation.camera)
    rows, columns = world.shape[:2]
    vertices = np.concatenate([world.reshape(-1, 3), world[-1].mean(0)[None]])
    c = np.arange(columns)
    last = (rows - 1) * columns
    cap = np.stack([last + c, np.full(columns, rows * columns), last + (c + 1) % columns], -1)
    faces = np.concatenate([_quads(rows, columns, columns), cap])
    return _TorsoSurface(world, torch.from_numpy(vertices).float(), torch.from_numpy(faces))


def _column_places() -> Float[np.ndarray, "c1"]:
    """Return where the columns lie in the texture's used part, 0..1; the first one also at its end."""
    a = np.linspace(-1, 1, FRONT, endpoint=False)
    front = (FLAT * np.sin(a * np.pi / 2) + (1 - FLAT) * a + 1) / 2 * FRONT_FRACTION
    return np.concatenate([front, np.linspace(FRONT_FRACTION, 1, BACK + 1)])


def _chart(rows: int, columns: int) -> tuple[Float[Tensor, "u 2"], Int[Tensor, "f 3"]]:
    """Return texture coordinates, and those of the triangles of ``_surface_of``."""
    u, v = np.meshgrid(_column_places(), np.linspace(0, 1, rows))
    uv = MARGIN + (1 - 2 * MARGIN) * np.stack([u, v], -1).reshape(-1, 2)
    last = (rows - 1) * (columns + 1) + np.arange(columns)
    faces = np.concatenate([_quads(rows, columns, columns + 1), np.stack([last, last, last + 1], -1)])
    return torch.from_numpy(uv).float(), torch.from_numpy(faces)


def _quads(rows: int, columns: int, width: int) -> Int[np.ndarray, "f 3"]:
    """Return triangles between neighbours, ``width`` points in a row; the last column meets the next."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    right = (c + 1) % width
    a, b, d, e = (r * width + c, r * width + right, (r + 1) * width + c, (r + 1) * width + right)
    return np.stack([np.stack([a, d, b], -1), np.stack([b, d, e], -1)], 2).reshape(-1, 3)


def _joint_weights(world: Float[Tensor, "n 3"], head: HeadModel, params: HeadParams) -> Float[Tensor, "n j"]:
    """Return skinning weights: those of the head's neck nearby, the root's further away."""
    trunk = head.region_mask("neck", "shoulders")
    with torch.no_grad():
        own = head(params)[trunk]
    distance, index = torch.cdist(world, own).topk(NEAREST, largest=False)
    near = 1 / (distance + 1e-3) ** 2
    weights = (head.skin_weights[trunk][index] * (near / near.sum(1, keepdim=True))[..., None]).sum(1)
    jaw, skull, root = (JOINTS.index(n) for n in ("jaw", "head", "root"))
    weights[:, skull] += weights[:, jaw]
    weights[:, jaw] = 0
    away = torch.from_numpy(smoothstep(distance[:, 0].numpy(), 0.015, 0.07)).float()[:, None]
    out = weights * (1 - away)
    out[:, root] += away[:, 0]
    return out / out.sum(1, keepdim=True)


def _unpose(
    world: Float[Tensor, "n 3"], weights: Float[Tensor, "n j"], head: HeadModel, params: HeadParams
) -> Float[Tensor, "n 3"]:
    """Return the rest shape (head frame) that ``HeadModel.carry`` poses at these points."""
    zero = torch.zeros_like(world)
    start = head.carry(zero, weights, params)
    axes = [head.carry(zero + torch.eye(3)[k], weights, params) - start for k in range(3)]
    return torch.linalg.solve(torch.stack(axes, -1), (world - start)[..., None])[..., 0]


def tuck_shoulders(
    torso: Torso | None, observation: Observation, head: HeadModel
) -> Float[np.ndarray, "v 3"]:
    """Displace the head's rest shape (head frame, metres) so that its shoulders keep within the body."""
    none = np.zeros(tuple(head.neutral.shape))
    if torso is None:
        return none
    trunk = head.region_mask("neck", "shoulders")
    with torch.no_grad():
        posed = head(observation.params)[trunk]
    camera = observation.camera
    row = camera.project(posed)[:, 1].numpy()
    p = camera.to_camera(posed).numpy()

    step = _steps_inwards(torso, row, p)
    world = step @ camera.cam_from_world[:3, :3].numpy()
    weights = head.skin_weights[trunk]
    to = _unpose(posed + torch.from_numpy(world).float(), weights, head, observation.params)
    none[trunk.numpy()] = (to - _unpose(posed, weights, head, observation.params)).double().numpy()
    return none


def _steps_inwards(torso: Torso, row: Float[np.ndarray, "m"], p: Float[np.ndarray, "m 3"]) -> np.ndarray:
    """Return camera frame steps that bring covered points within the torso, bare ones within its outline."""

    def at(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "m"]:
        return np.interp(row, torso.row, values)

    across = p[:, 0] - at(torso.x)
    along = at(torso.depth) + at(torso.shear) * across - p[:, 2]
    reach = np.where(across < 0, at(torso.reach[0]), at(torso.reach[1]))
    thick = np.where(along > 0, at(torso.thick[0]), at(torso.thick[1]))
    out = np.hypot(across / reach, along / thick)
    around = np.degrees(np.arctan2(across / reach, along / thick))
    covered = smoothstep(_cover_at(torso, row, around), 0.4, 0.9)
    inwards = covered * (np.minimum(1, INSIDE / np.maximum(out, 1e-6)) - 1)
    narrower = _narrowing(torso, row, reach, along, thick, covered, across)
    aside = across * (inwards + narrower)
    return np.stack([aside, 0 * aside, -along * inwards + at(torso.shear) * aside], -1)


def _narrowing(
    torso: Torso,
    row: Float[np.ndarray, "m"],
    reach: np.ndarray,
    along: np.ndarray,
    thick: np.ndarray,
    covered: np.ndarray,
    across: np.ndarray,
) -> np.ndarray:
    """Return by how much bare skin, before the surface, is scaled sideways to stay within the outline."""
    # bare skin stays before the surface, but not beyond the outline
    room = reach * np.sqrt(np.maximum(1 - (along / thick) ** 2, 0.1))
    begun = smoothstep((row - torso.row[0]) / (torso.row[6] - torso.row[0]), 0.0, 1.0)
    return (1 - covered) * begun * (np.minimum(1, room / np.maximum(np.abs(across), 1e-6)) - 1)


def _cover_at(
    torso: Torso, row: Float[np.ndarray, "m"], around: Float[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """Interpolate ``Torso.cover`` at rows and angles (degrees)."""
    a = np.degrees(column_angles())
    column = np.interp((around + 90) % 360, np.append(a, 270) + 90, np.arange(len(a) + 1))
    closed = np.concatenate([torso.cover, torso.cover[:, :1]], 1).astype(np.float32)
    line = np.interp(row, torso.row, np.arange(len(torso.row)))
    return sample_bilinear(closed, np.stack([column, line], 1).astype(np.float32) + 0.5)
