"""Rasterization on the CPU: triangles are sorted into bands of rows, threads rasterize bands.

See ``raster_reference``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.render.jit import helper, kernel, parallel
from headcast.render.raster_reference import ROUNDING

__all__ = ["barycentrics", "interpolated", "raster_numpy", "rasterize"]

ROWS = 32
"""Rows in a band."""

CHUNK = 4096
"""Triangles or rows' pixels given to a thread at once."""


@helper
def cross(p0, p1, p2, q0, q1, q2):
    """Compute p x q: the line through two homogeneous pixels."""
    return p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0


@kernel("void(f8[:,::1], i4[:,::1], i8, i8, i8, i8, f8, b1, i4[:,::1])")
def bound(points, faces, first, last, width, height, near, cull, box):
    """Compute screen boxes (x0, y0, x1, y1) of triangles first..last-1; y1 < y0: nothing to rasterize."""
    for f in range(first, last):
        box[f, 1], box[f, 3] = 0, -1
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        a, b, c = cross(points[j, 0], points[j, 1], points[j, 2], points[k, 0], points[k, 1], points[k, 2])
        det = points[i, 0] * a + points[i, 1] * b + points[i, 2] * c
        if not (det < 0.0 or (det > 0.0 and not cull)):
            continue
        x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
        for m in range(3):
            i, j = faces[f, m], faces[f, m + 1 if m < 2 else 0]
            zi, zj = points[i, 2], points[j, 2]
            if zi >= near:
                x, y = points[i, 0] / zi, points[i, 1] / zi
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
            if (zi >= near) != (zj >= near):
                s = (near - zi) / (zj - zi)
                x = (points[i, 0] + (points[j, 0] - points[i, 0]) * s) / near
                y = (points[i, 1] + (points[j, 1] - points[i, 1]) * s) / near
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        x0, y0 = max(np.ceil(x0 - 0.500001), 0.0), max(np.ceil(y0 - 0.500001), 0.0)
        x1, y1 = min(np.floor(x1 - 0.499999), width - 1.0), min(np.floor(y1 - 0.499999), height - 1.0)
        if x0 <= x1 and y0 <= y1:
            box[f, 0], box[f, 1], box[f, 2], box[f, 3] = int(x0), int(y0), int(x1), int(y1)


@kernel("i4[::1](i4[:,::1], i8, i8[::1])")
def sort_into_bands(box, rows, start):
    """List the triangles of each band in order; those of band b are at start[b]..start[b+1]-1."""
    start[:] = 0
    for f in range(len(box)):
        if box[f, 1] <= box[f, 3]:
            for b in range(box[f, 1] // rows, box[f, 3] // rows + 1):
                start[b + 1] += 1
    for b in range(1, len(start)):
        start[b] += start[b - 1]
    fill = start.copy()
    members = np.empty(start[-1], np.int32)
    for f in range(len(box)):
        if box[f, 1] <= box[f, 3]:
            for b in range(box[f, 1] // rows, box[f, 3] // rows + 1):
                members[fill[b]] = f
                fill[b] += 1
    return members


@helper
def least_inside(a, b, c, width, height):
    """Return the smallest edge value inside, see ``raster_reference.Setup``."""
    zero = ROUNDING * (abs(a) * width + abs(b) * height + abs(c))
    return -zero if a > 0.0 or (a == 0.0 and b > 0.0) else zero


@kernel("void(f8[:,::1], i4[:,::1], i4[:,::1], i4[::1], i8, i8, f4[:,::1], i4[:,::1], f4[:,::1])")
def raster_band(points, faces, box, members, top, bottom, limit, triangle, depth):
    """Rasterize the listed triangles into rows top..bottom-1; meanwhile ``depth`` holds the reciprocal.

    ``limit``: the largest reciprocal that is accepted at each pixel.
    """
    triangle[top:bottom] = -1
    depth[top:bottom] = 0.0
    height, width = triangle.shape[0], triangle.shape[1]
    for m in range(len(members)):
        f = members[m]
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
        q0, q1, q2 = points[j, 0], points[j, 1], points[j, 2]
        r0, r1, r2 = points[k, 0], points[k, 1], points[k, 2]
        a0, b0, c0 = cross(q0, q1, q2, r0, r1, r2)
        a1, b1, c1 = cross(r0, r1, r2, p0, p1, p2)
        a2, b2, c2 = cross(p0, p1, p2, q0, q1, q2)
        det = p0 * a0 + p1 * b0 + p2 * c0
        if det < 0.0:
            det, a0, b0, c0, a1, b1, c1, a2, b2, c2 = -det, -a0, -b0, -c0, -a1, -b1, -c1, -a2, -b2, -c2
        t0, t1 = least_inside(a0, b0, c0, width, height), least_inside(a1, b1, c1, width, height)
        t2, scale = least_inside(a2, b2, c2, width, height), 1.0 / det
        for y in range(max(top, box[f, 1]), min(bottom - 1, box[f, 3]) + 1):
            k0, k1, k2 = b0 * (y + 0.5) + c0, b1 * (y + 0.5) + c1, b2 * (y + 0.5) + c2
            within = False
            for x in range(box[f, 0], box[f, 2] + 1):
                e0, e1, e2 = a0 * (x + 0.5) + k0, a1 * (x + 0.5) + k1, a2 * (x + 0.5) + k2
                if e0 < t0 or e1 < t1 or e2 < t2:
                    if within:
                        break
                    continue
                within = True
                w = np.float32((e0 + e1 + e2) * scale)
                if w > depth[y, x] and w <= limit[y, x]:
                    triangle[y, x] = f
                    depth[y, x] = w
    for y in range(top, bottom):
        for x in range(triangle.shape[1]):
            depth[y, x] = np.float32(1.0) / depth[y, x] if triangle[y, x] >= 0 else np.float32(0.0)


@kernel("void(f8[:,::1], i4[:,::1], i4[:,::1], i8, i8, f8[:,:,::1])")
def barycentric_rows(points, faces, triangle, top, bottom, out):
    """Compute perspective-correct barycentrics of rows top..bottom-1."""
    for y in range(top, bottom):
        for x in range(triangle.shape[1]):
            f = triangle[y, x]
            if f < 0:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = 0.0, 0.0, 0.0
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
            q0, q1, q2 = points[j, 0], points[j, 1], points[j, 2]
            r0, r1, r2 = points[k, 0], points[k, 1], points[k, 2]
            a0, b0, c0 = cross(q0, q1, q2, r0, r1, r2)
            a1, b1, c1 = cross(r0, r1, r2, p0, p1, p2)
            a2, b2, c2 = cross(p0, p1, p2, q0, q1, q2)
            e0 = a0 * (x + 0.5) + (b0 * (y + 0.5) + c0)
            e1 = a1 * (x + 0.5) + (b1 * (y + 0.5) + c1)
            e2 = a2 * (x + 0.5) + (b2 * (y + 0.5) + c2)
            s = 1.0 / (e0 + e1 + e2)
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = e0 * s, e1 * s, e2 * s


@kernel("void(i4[:,::1], f4[:,:,::1], i4[:,::1], f4[:,::1], i8, i8, f4[:,:,::1])")
def interpolate_rows(triangle, barycentric, faces, attributes, top, bottom, out):
    """Interpolate attributes over rows top..bottom-1."""
    for y in range(top, bottom):
        for x in range(triangle.shape[1]):
            f = triangle[y, x]
            if f < 0:
                out[y, x] = 0.0
                continue
            a, b, c = barycentric[y, x, 0], barycentric[y, x, 1], barycentric[y, x, 2]
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            for m in range(attributes.shape[1]):
                out[y, x, m] = a * attributes[i, m] + b * attributes[j, m] + c * attributes[k, m]


def raster_numpy(
    points: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    width: int,
    height: int,
    near: float,
    cull: bool,
    limit: Float[np.ndarray, "h w"] | None = None,
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Run :func:`rasterize` on arrays: float64 points and int32 faces, both contiguous."""
    if limit is None:
        limit = np.full((height, width), 1 / near, np.float32)
    box = np.empty((len(faces), 4), np.int32)
    triangle = np.empty((height, width), np.int32)
    depth = np.empty((height, width), np.float32)
    bands = -(-height // ROWS)
    start = np.empty(bands + 1, np.int64)

    def bound_piece(i: int) -> None:
        bound(points, faces, i * CHUNK, min((i + 1) * CHUNK, len(faces)), width, height, near, cull, box)

    def draw_band(b: int) -> None:
        top = b * ROWS
        own = members[start[b] : start[b + 1]]
        raster_band(points, faces, box, own, top, min(top + ROWS, height), limit, triangle, depth)

    parallel(bound_piece, -(-len(faces) // CHUNK))
    members = sort_into_bands(box, ROWS, start)
    parallel(draw_band, bands)
    return triangle, depth


def rasterize(
    points: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    width: int,
    height: int,
    near: float,
    cull: bool,
    limit: Float[Tensor, "h w"] | None = None,
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Find the nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre."""
    triangle, depth = raster_numpy(
        points.detach().contiguous().numpy(),
        faces.int().contiguous().numpy(),
        width,
        height,
        near,
        cull,
        None if limit is None else limit.contiguous().numpy(),
    )
    return torch.from_numpy(triangle), torch.from_numpy(depth)


def barycentrics(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], triangle: Int[Tensor, "h w"]
) -> Float[Tensor, "h w 3"]:
    """Compute perspective-correct barycentrics (float64) of the visible triangles at pixel centres."""
    out = np.empty((*triangle.shape, 3))
    p, f, t = (
        points.detach().contiguous().numpy(),
        faces.int().contiguous().numpy(),
        triangle.contiguous().numpy(),
    )
    _by_rows(lambda top, bottom: barycentric_rows(p, f, t, top, bottom, out), *triangle.shape)
    return torch.from_numpy(out)


def interpolated(
    triangle: Int[Tensor, "h w"],
    barycentric: Float[Tensor, "h w 3"],
    faces: Int[Tensor, "f 3"],
    attributes: Float[Tensor, "n c"],
) -> Float[Tensor, "h w c"]:
    """Interpolate attributes over the image (float32, no gradients), 0 where nothing is."""
    out = np.empty((*triangle.shape, attributes.shape[1]), np.float32)
    t, b = triangle.contiguous().numpy(), barycentric.detach().contiguous().numpy()
    f, a = faces.int().contiguous().numpy(), attributes.detach().contiguous().numpy()
    _by_rows(lambda top, bottom: interpolate_rows(t, b, f, a, top, bottom, out), *triangle.shape)
    return torch.from_numpy(out)


def _by_rows(work: Callable[[int, int], object], height: int, width: int) -> None:
    rows = max(1, 4 * CHUNK // max(width, 1))
    parallel(lambda i: work(i * rows, min((i + 1) * rows, height)), -(-height // rows))
