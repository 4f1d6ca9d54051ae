"""Displace the scalp out (or in) to the outline of head and hair in the photo.

The head's own shape ends at the skull. Rays from its middle, in the image, measure how far the person's matte
reaches beyond the rendered head; vertices on the rendered outline take that distance, visible bare
skin stays, and between them the displacement is diffused over the mesh.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.observe.types import Observation
from headcast.texture.laplacian import mesh_graph, solve_laplacian

__all__ = ["hair_height", "hair_offset"]

RAYS = 180
REACH = (-0.012, 0.05)  # metres by which the scalp may move
GAP = 4  # steps along a ray that the matte may be interrupted


def hair_offset(
    observation: Observation, head: HeadModel
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "v 3"]]:
    """Displace the rest shape (head frame, metres) to the hair's outline; zero off the scalp or unmasked.

    Also returns its part that goes inwards: for a scalp under a surface of hair.
    """
    none = np.zeros(tuple(head.neutral.shape))
    region = np.array(head.region_names)[head.region.numpy()]
    scalp = region == "scalp"
    masks = observation.masks
    if masks is None or not scalp.any():
        return none, none
    with torch.no_grad():
        posed = head(observation.params)
        normal = head.vertex_normals(posed).numpy()
        rest = head.shape(observation.params.identity).numpy()
    camera = observation.camera
    at = camera.project(posed).numpy()
    depth = camera.to_camera(posed)[:, 2].numpy()
    middle = at[scalp].mean(0)
    reach = _outline_distance(masks.person, at, middle, head)  # pixels, by direction
    target = _outline_target(at, middle, reach, depth, camera)
    facing = _facing(camera, posed, normal)
    on_outline = np.exp(-((facing / 0.25) ** 2)) * np.isfinite(target)
    bare = smoothstep(facing, 0.15, 0.4) * sample_bilinear(
        masks.skin.astype(np.float32), at.astype(np.float32)
    )
    moved = _spread_over_scalp(head, target, scalp, facing, on_outline, bare, rest)
    out = _outwards(rest, scalp)
    return moved.clip(max=REACH[1]) * out, moved.clip(max=0) * out


def _spread_over_scalp(
    head: HeadModel,
    target: np.ndarray,
    scalp: np.ndarray,
    facing: np.ndarray,
    on_outline: np.ndarray,
    bare: np.ndarray,
    rest: np.ndarray,
) -> np.ndarray:
    """Diffuse the distances on the outline over the scalp, around bare skin that stays."""
    known = np.isfinite(target) & scalp & (np.abs(facing) < 0.3)
    usual = float(np.median(target[known])) if known.any() else 0.0
    confidence = np.where(scalp, on_outline + 3 * bare + 0.004, 300.0)
    value = np.where(scalp, (on_outline * np.nan_to_num(target) + 0.004 * usual) / confidence, 0.0)
    moved = solve_laplacian(mesh_graph(head, rest, mirrored=0.02), value[:, None], confidence)
    return np.where(scalp[:, None], moved, 0.0)


def _outwards(rest: np.ndarray, scalp: np.ndarray) -> np.ndarray:
    """Return unit vectors from the middle of the upper head to the vertices."""
    centre = rest[scalp].mean(0)
    centre[1] = min(centre[1], float(rest[scalp][:, 1].max()) - 0.09)
    out = rest - centre
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


def _facing(camera: Camera, posed: torch.Tensor, normal: np.ndarray) -> np.ndarray:
    """Return cosines between vertex normals and the directions to the camera."""
    to_camera = camera.center.numpy() - posed.numpy()
    return (normal * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-9)


def _outline_target(
    at: np.ndarray, middle: np.ndarray, reach: np.ndarray, depth: np.ndarray, camera: Camera
) -> np.ndarray:
    """Return metres to the hair's outline in the direction of each vertex; NaN where unknown."""
    away = at - middle
    sector = ((np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) + 0.5) * RAYS).astype(int) % RAYS
    return np.clip(reach[sector] * depth / float(camera.K[0, 0]), *REACH)


def hair_height(offset: Float[np.ndarray, "v 3"], head: HeadModel) -> float:
    """Return metres by which the top of the scalp was moved outwards; negative: inwards."""
    scalp = np.array(head.region_names)[head.region.numpy()] == "scalp"
    if not scalp.any():
        return 0.0
    rest = head.neutral.numpy()
    top = scalp & (rest[:, 1] > np.quantile(rest[scalp, 1], 0.7))
    out = rest[top] - rest[scalp].mean(0)
    return float(np.median((offset[top] * out).sum(1) / np.linalg.norm(out, axis=1)))


def _outline_distance(
    person: Float[np.ndarray, "h w"],
    at: Float[np.ndarray, "v 2"],
    middle: Float[np.ndarray, "2"],
    head: HeadModel,
) -> Float[np.ndarray, "rays"]:
    """Measure how far the matte reaches beyond the rendered head in every direction; NaN where unknown."""

    h, w = person.shape
    rendered = _render_silhouette(at, head, h, w)
    angle = (np.arange(RAYS) + 0.5) / RAYS * 2 * np.pi - np.pi
    radius = np.arange(0.0, 1.5 * float(np.linalg.norm(at - middle, axis=1).max()), 0.5)
    p = middle + radius[None, :, None] * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    inside = ((p > 1) & (p < [w - 1, h - 1])).all(-1)
    flat = p.reshape(-1, 2).astype(np.float32)
    there = (sample_bilinear(person.astype(np.float32), flat).reshape(inside.shape) > 0.5) & inside
    mesh = (sample_bilinear(rendered, flat).reshape(inside.shape) > 127) & inside
    out = _ray_distances(mesh, there, radius, inside)
    return _median_of_neighbours(out)


def _ray_distances(mesh: np.ndarray, there: np.ndarray, radius: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return how much further the matte reaches than the mesh along every ray; NaN where unknown."""
    out = np.full(RAYS, np.nan)
    for i in range(RAYS):
        edge = np.flatnonzero(mesh[i])
        if len(edge) == 0:
            continue
        end = _run_end(there[i])
        if end + GAP < len(radius) and inside[i, min(end + GAP, len(radius) - 1)]:
            out[i] = radius[end] - radius[edge[-1]]
    return out


def _render_silhouette(at: Float[np.ndarray, "v 2"], head: HeadModel, h: int, w: int) -> np.ndarray:
    """Render the head's skin without shading: 255 inside."""
    import cv2

    rendered = np.zeros((h, w), np.uint8)
    skin = head.faces[head.part == head.part_names.index("skin")].numpy()
    for triangle in np.round((at[skin] - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(rendered, triangle, (255,), cv2.LINE_8, 4)
    return rendered


def _median_of_neighbours(out: Float[np.ndarray, "rays"]) -> Float[np.ndarray, "rays"]:
    """Take medians over neighbouring directions; unknown ones (NaN) stay unknown."""
    good = np.isfinite(out)
    if good.sum() > 5:  # a median over neighbours: single strands and holes of the matte don't count
        window = np.stack([np.roll(out, k) for k in range(-4, 5)])
        few = np.isnan(window).all(0)
        window[:, few] = 0.0
        out = np.where(good, np.nanmedian(window, 0), np.nan)
    return out


def _run_end(there: np.ndarray) -> int:
    """Return where the first run of True ends, interruptions of up to ``GAP`` steps forgiven."""
    gaps = np.flatnonzero(np.convolve(~there, np.ones(GAP), "valid") >= GAP)
    return int(gaps[0]) if len(gaps) else len(there) - 1
