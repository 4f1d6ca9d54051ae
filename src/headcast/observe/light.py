"""Estimate the light of a photo: second-order spherical harmonics from the colours of visible skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe.landmark_points import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_OUTER,
    OVAL,
)
from headcast.observe.types import Masks

__all__ = ["SkinSamples", "estimate_light", "sample_skin", "solve_light"]

ENOUGH = 60
DARKEST = 0.12
RIDGE = np.array([0.0, 0.002, 0.002, 0.002, 0.008, 0.008, 0.008, 0.008, 0.008])
ROUNDS = 12
HUBER = 2.0


@dataclass(frozen=True)
class SkinSamples:
    """Vertices of visible bare skin: indices, linear colours, world normals, and trust in 0..1."""

    vertex: Int[np.ndarray, " n"]
    colour: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    weight: Float[np.ndarray, " n"]


def estimate_light(
    rgb: UInt8[np.ndarray, "h w 3"],
    masks: Masks | None,
    head: HeadModel,
    params: HeadParams,
    camera: Camera,
    points: Float[np.ndarray, "478 2"],
    albedo: Float[np.ndarray, "v 3"] | None = None,
) -> Float[np.ndarray, "9 3"] | None:
    """Estimate the irradiance of a fitted photo; None when too little skin is visible.

    Shading is ``sh_basis(normal) @ light`` and colour is albedo times shading, all linear.

    Args:
        points: the photo's landmarks, which separate skin from eyes, brows and lips.
        albedo: linear albedo of every vertex; None takes one colour everywhere.
    """
    from headcast.render.shading import sh_basis

    samples = sample_skin(rgb, masks, head, params, camera, points)
    if len(samples.vertex) < ENOUGH:
        return None
    basis = sh_basis(torch.from_numpy(samples.normal)).double().numpy()
    sphere = sh_basis(torch.from_numpy(fibonacci_sphere(200))).double().numpy()
    if albedo is None:
        base = np.average(samples.colour, axis=0, weights=samples.weight)
        base = np.repeat(base[None], len(samples.vertex), 0)
    else:
        base = albedo[samples.vertex]
    return solve_light(samples.colour, base, basis, samples.weight, sphere)


def sample_skin(
    rgb: UInt8[np.ndarray, "h w 3"],
    masks: Masks | None,
    head: HeadModel,
    params: HeadParams,
    camera: Camera,
    points: Float[np.ndarray, "478 2"],
) -> SkinSamples:
    """Sample colours of skin vertices visible to the camera in the face oval, off eyes, brows and lips."""

    from headcast.image import srgb_to_linear

    with torch.no_grad():
        posed = head(params)
        normal = head.vertex_normals(posed).double().numpy()
        pixel = camera.project(posed).double().numpy()
        depth = camera.to_camera(posed)[:, 2].double().numpy()
    skin = _is_skin_vertex(pixel, head)
    facing = _facing(posed, normal, camera)
    h, w = rgb.shape[:2]
    mask, smooth = _mask_and_blur(points, h, w, masks, rgb)
    keep = _visible_vertices(pixel, w, h, skin, facing, depth)
    ix, iy = pixel[keep].astype(int).T
    confidence = mask[iy, ix] * np.clip(facing[keep] * 2, 0, 1)
    value = smooth[iy, ix]
    confidence = confidence * (value.max(1) < 0.98)
    good = confidence > 0.3
    return SkinSamples(
        keep[good],
        np.asarray(srgb_to_linear(value[good].astype(np.float64))),
        normal[keep[good]],
        confidence[good].astype(np.float64),
    )


def _visible_vertices(
    pixel: np.ndarray, w: int, h: int, skin: np.ndarray, facing: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Return the skin vertices in the image that face the camera and are not behind others."""
    inside = (pixel > 1).all(1) & (pixel[:, 0] < w - 1) & (pixel[:, 1] < h - 1)
    keep = np.flatnonzero(inside & skin & (facing > 0.2))
    return keep[in_front(pixel[keep], depth[keep])]


def _mask_and_blur(
    points: Float[np.ndarray, "478 2"], h: int, w: int, masks: Masks | None, rgb: UInt8[np.ndarray, "h w 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where bare skin is, and the image in 0..1 smoothed against noise."""
    import cv2

    mask = skin_polygon(points, h, w).astype(np.float32)
    if masks is not None:
        mask = mask * masks.skin * (1 - masks.glasses)
    radius = max(0.5, 0.006 * float(np.ptp(points[:, 1])))
    smooth = cv2.GaussianBlur(rgb.astype(np.float32) / 255, (0, 0), radius)
    return mask, smooth


def _is_skin_vertex(pixel: np.ndarray, head: HeadModel) -> np.ndarray:
    """Mark the vertices of the part "skin"."""
    skin = np.zeros(len(pixel), bool)
    skin[np.unique(head.faces.numpy()[head.part.numpy() == head.part_names.index("skin")])] = True
    return skin


def _facing(posed: torch.Tensor, normal: Float[np.ndarray, "v 3"], camera: Camera) -> Float[np.ndarray, "v"]:
    """Return cosines between vertex normals and the directions to the camera."""
    to_camera = camera.center.double().numpy() - posed.double().numpy()
    return (normal * to_camera).sum(1) / np.linalg.norm(to_camera, axis=1)


def skin_polygon(points: Float[np.ndarray, "478 2"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """Rasterize the face oval, scaled down a little, without eyes, brows and lips."""
    import cv2

    def fill(rows: tuple[int, ...], grow: float, value: int) -> None:
        p = points[list(rows)]
        c = p.mean(0)
        hull = cv2.convexHull(((p - c) * grow + c).astype(np.int32))
        cv2.fillPoly(canvas, [hull], (value,))

    canvas = np.zeros((height, width), np.uint8)
    fill(OVAL, 0.93, 1)
    for rows, grow in (
        (EYE_LEFT, 1.5),
        (EYE_RIGHT, 1.5),
        (BROW_LEFT, 1.2),
        (BROW_RIGHT, 1.2),
        (LIPS_OUTER, 1.15),
    ):
        fill(rows, grow, 0)
    return canvas.astype(bool)


def in_front(
    pixel: Float[np.ndarray, "n 2"], depth: Float[np.ndarray, " n"], cells: int = 64, slack: float = 0.012
) -> Bool[np.ndarray, " n"]:
    """Test that no other point of a coarse grid's cell lies clearly before a point; metres."""
    low, size = pixel.min(0), np.ptp(pixel, 0).max() / cells + 1e-9
    cell = ((pixel - low) / size).astype(int)
    index = cell[:, 1] * (cells + 1) + cell[:, 0]
    nearest = np.full((cells + 2) * (cells + 1), np.inf)
    np.minimum.at(nearest, index, depth)
    return depth < nearest[index] + slack


def solve_light(
    colour: Float[np.ndarray, "n 3"],
    albedo: Float[np.ndarray, "n 3"],
    basis: Float[np.ndarray, "n 9"],
    weight: Float[np.ndarray, " n"],
    sphere: Float[np.ndarray, "m 9"] | None = None,
) -> Float[np.ndarray, "9 3"]:
    """Solve colour = albedo x (basis @ light) for light: weighted ridge regression with Huber's weights.

    Args:
        sphere: the basis in all directions; where the light there comes out darker than a fraction of its
            mean it is raised, so that hidden sides are neither black nor negative.
    """
    light = np.zeros((9, 3))
    robust = np.ones(len(colour))
    scale = np.maximum(np.median(colour, 0), 1e-4)
    pull = np.zeros((0, 9)), np.zeros((0, 3))
    for _ in range(ROUNDS):
        _solve_channels(basis, albedo, scale, weight, robust, colour, pull, light)
        robust = _huber_weights(colour, albedo, basis, light, scale)
        if sphere is not None:
            mean = (basis @ light).mean(0)
            dark = ((sphere @ light) < DARKEST * mean).any(1)
            pull = sphere[dark], np.maximum(sphere[dark] @ light, 1.5 * DARKEST * mean)
    return light


def _huber_weights(
    colour: Float[np.ndarray, "n 3"],
    albedo: Float[np.ndarray, "n 3"],
    basis: Float[np.ndarray, "n 9"],
    light: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """Weigh down samples whose colours are far from the fitted ones."""
    off = ((colour - albedo * (basis @ light)) / scale).std(1) + np.abs(
        ((colour - albedo * (basis @ light)) / scale).mean(1)
    )
    limit = HUBER * max(float(np.median(off)), 1e-4)
    return np.minimum(1.0, limit / np.maximum(off, 1e-9))


def _solve_channels(
    basis: Float[np.ndarray, "n 9"],
    albedo: Float[np.ndarray, "n 3"],
    scale: np.ndarray,
    weight: Float[np.ndarray, " n"],
    robust: np.ndarray,
    colour: Float[np.ndarray, "n 3"],
    pull: tuple[np.ndarray, np.ndarray],
    light: np.ndarray,
) -> None:
    """Solve the ridge regression of each channel under given robust weights, into ``light``."""
    for c in range(3):
        A = basis * (albedo[:, c] / scale[c] * np.sqrt(weight * robust))[:, None]
        b = colour[:, c] / scale[c] * np.sqrt(weight * robust)
        unit = len(colour) * float(np.mean((albedo[:, c] / scale[c]) ** 2))
        ridge = np.diag(RIDGE * unit)
        strong = 0.05 * unit / max(1, len(pull[0]))
        left = A.T @ A + ridge + strong * pull[0].T @ pull[0] + 1e-9 * unit * np.eye(9)
        light[:, c] = np.linalg.solve(left, A.T @ b + strong * pull[0].T @ pull[1][:, c])


def fibonacci_sphere(count: int) -> Float[np.ndarray, "n 3"]:
    """Return evenly spread unit vectors on the sphere."""
    i = np.arange(count) + 0.5
    z, a = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(a), r * np.sin(a), z], 1)
