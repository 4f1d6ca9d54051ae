"""Rasterization on the CPU: triangles are sorted into bands of rows, threads take bands. See ``raster_reference``."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.render.jit import helper, kernel, parallel

__all__ = ["barycentrics", "raster_numpy", "rasterize"]

ROWS = 16
"""Rows in a band."""

CHUNK = 4096
"""Triangles or rows' pixels given to a thread at once."""


@kernel("void(f8[:,::1], i4[:,::1], i8, i8, i8, i8, f8, b1, i4[:,::1])")
def bound(points, faces, first, last, width, height, near, cull, box):  # noqa: ANN001, ANN201
    """Screen box (x0, y0, x1, y1) of triangles first..last-1; y1 < y0 where nothing is to be drawn."""
    for f in range(first, last):
        box[f, 1], box[f, 3] = 0, -1
        p, q, r = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        det = (
            p[0] * (q[1] * r[2] - q[2] * r[1]) + p[1] * (q[2] * r[0] - q[0] * r[2]) + p[2] * (q[0] * r[1] - q[1] * r[0])
        )
        if not (det < 0.0 or (det > 0.0 and not cull)):
            continue
        x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
        for k in range(3):
            a, b = points[faces[f, k]], points[faces[f, (k + 1) % 3]]
            if a[2] >= near:
                x, y = a[0] / a[2], a[1] / a[2]
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
            if (a[2] >= near) != (b[2] >= near):
                s = (near - a[2]) / (b[2] - a[2])
                x, y = (a[0] + (b[0] - a[0]) * s) / near, (a[1] + (b[1] - a[1]) * s) / near
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        x0, y0 = max(np.ceil(x0 - 0.500001), 0.0), max(np.ceil(y0 - 0.500001), 0.0)
        x1, y1 = min(np.floor(x1 - 0.499999), width - 1.0), min(np.floor(y1 - 0.499999), height - 1.0)
        if x0 <= x1 and y0 <= y1:
            box[f, 0], box[f, 1], box[f, 2], box[f, 3] = int(x0), int(y0), int(x1), int(y1)


@kernel("i4[::1](i4[:,::1], i8, i8[::1])")
def sort_into_bands(box, rows, start):  # noqa: ANN001, ANN201
    """Triangles of each band in order; those of band b are at start[b]..start[b+1]-1."""
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
def edge(p, q, sign):  # noqa: ANN001, ANN201
    """Coefficients of the line through two points, and whether pixel centres on it are inside."""
    a = (p[1] * q[2] - p[2] * q[1]) * sign
    b = (p[2] * q[0] - p[0] * q[2]) * sign
    c = (p[0] * q[1] - p[1] * q[0]) * sign
    return a, b, c, a > 0.0 or (a == 0.0 and b > 0.0)


@kernel("void(f8[:,::1], i4[:,::1], i4[:,::1], i4[::1], i8, i8, f8, i4[:,::1], f4[:,::1])")
def raster_band(points, faces, box, members, top, bottom, near, triangle, depth):  # noqa: ANN001, ANN201
    """Draws the listed triangles into rows top..bottom-1."""
    triangle[top:bottom] = -1
    depth[top:bottom] = 0.0
    for f in members:
        p, q, r = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        a0, b0, c0, in0 = edge(q, r, 1.0)
        det = p[0] * a0 + p[1] * b0 + p[2] * c0
        sign = 1.0 if det > 0.0 else -1.0
        det *= sign
        a0, b0, c0, in0 = edge(q, r, sign)
        a1, b1, c1, in1 = edge(r, p, sign)
        a2, b2, c2, in2 = edge(p, q, sign)
        for y in range(max(top, box[f, 1]), min(bottom - 1, box[f, 3]) + 1):
            k0, k1, k2 = b0 * (y + 0.5) + c0, b1 * (y + 0.5) + c1, b2 * (y + 0.5) + c2
            for x in range(box[f, 0], box[f, 2] + 1):
                e0, e1, e2 = a0 * (x + 0.5) + k0, a1 * (x + 0.5) + k1, a2 * (x + 0.5) + k2
                if e0 < 0.0 or e1 < 0.0 or e2 < 0.0:
                    continue
                if (e0 == 0.0 and not in0) or (e1 == 0.0 and not in1) or (e2 == 0.0 and not in2):
                    continue
                z = np.float32(det / (e0 + e1 + e2))
                if z >= near and z < np.inf and (triangle[y, x] < 0 or z < depth[y, x]):
                    triangle[y, x] = f
                    depth[y, x] = z


@kernel("void(f8[:,::1], i4[:,::1], i4[:,::1], i8, i8, f8[:,:,::1])")
def barycentric_rows(points, faces, triangle, top, bottom, out):  # noqa: ANN001, ANN201
    """Perspective-correct barycentrics of rows top..bottom-1."""
    for y in range(top, bottom):
        for x in range(triangle.shape[1]):
            f = triangle[y, x]
            if f < 0:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = 0.0, 0.0, 0.0
                continue
            p, q, r = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
            a0, b0, c0, _ = edge(q, r, 1.0)
            a1, b1, c1, _ = edge(r, p, 1.0)
            a2, b2, c2, _ = edge(p, q, 1.0)
            e0 = a0 * (x + 0.5) + (b0 * (y + 0.5) + c0)
            e1 = a1 * (x + 0.5) + (b1 * (y + 0.5) + c1)
            e2 = a2 * (x + 0.5) + (b2 * (y + 0.5) + c2)
            s = 1.0 / (e0 + e1 + e2)
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = e0 * s, e1 * s, e2 * s


def raster_numpy(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], width: int, height: int, near: float, cull: bool
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """:func:`rasterize` on arrays: float64 points and int32 faces, both contiguous."""
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
        raster_band(points, faces, box, own, top, min(top + ROWS, height), near, triangle, depth)

    parallel(bound_piece, -(-len(faces) // CHUNK))
    members = sort_into_bands(box, ROWS, start)
    parallel(draw_band, bands)
    return triangle, depth


def rasterize(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], width: int, height: int, near: float, cull: bool
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre."""
    triangle, depth = raster_numpy(
        points.detach().contiguous().numpy(), faces.int().contiguous().numpy(), width, height, near, cull
    )
    return torch.from_numpy(triangle), torch.from_numpy(depth)


def barycentrics(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], triangle: Int[Tensor, "h w"]
) -> Float[Tensor, "h w 3"]:
    """Perspective-correct barycentrics (float64) of the triangles seen at the pixel centres."""
    height, width = triangle.shape
    out = np.empty((height, width, 3))
    p, f, t = points.detach().contiguous().numpy(), faces.int().contiguous().numpy(), triangle.contiguous().numpy()
    rows = max(1, 4 * CHUNK // max(width, 1))

    def piece(i: int) -> None:
        barycentric_rows(p, f, t, i * rows, min((i + 1) * rows, height), out)

    parallel(piece, -(-height // rows))
    return torch.from_numpy(out)
