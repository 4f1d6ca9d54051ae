"""Numba kernels: nearest triangles on a grid, and marching rays through it."""

from __future__ import annotations

import numpy as np

from headcast.render.jit import helper, kernel

__all__ = ["fill_nearest", "march_rays"]

SWEEPS = 2  # of the grid, there and back


@helper
def _squared(p, x, y, z):
    """Return the squared distance of a point to coordinates."""
    return (p[0] - x) ** 2 + (p[1] - y) ** 2 + (p[2] - z) ** 2


@kernel("void(f4[:,::1], f4[::1], f8, f8, i4[:,:,::1])")
def fill_nearest(middle, low, cell, reach, nearest):
    """Write the triangle whose middle is nearest to each cell's centre, -1 beyond ``reach``.

    Triangles start in their own cells; cells then take the best of their neighbours', sweep by sweep.
    """
    n = nearest.shape[0]
    best = np.full(nearest.shape, np.inf)
    for t in range(len(middle)):
        i = int((middle[t, 0] - low[0]) / cell)
        j = int((middle[t, 1] - low[1]) / cell)
        k = int((middle[t, 2] - low[2]) / cell)
        if 0 <= i < n and 0 <= j < n and 0 <= k < n:
            x, y, z = low[0] + (i + 0.5) * cell, low[1] + (j + 0.5) * cell, low[2] + (k + 0.5) * cell
            d = _squared(middle[t], x, y, z)
            if d < best[k, j, i]:
                best[k, j, i], nearest[k, j, i] = d, t
    for sweep in range(2 * SWEEPS):
        for a in range(n * n * n):
            at = a if sweep % 2 == 0 else n * n * n - 1 - a
            k, j, i = at // (n * n), (at // n) % n, at % n
            x, y, z = low[0] + (i + 0.5) * cell, low[1] + (j + 0.5) * cell, low[2] + (k + 0.5) * cell
            for c in range(27):
                kk, jj, ii = k + c // 9 - 1, j + (c // 3) % 3 - 1, i + c % 3 - 1
                if 0 <= kk < n and 0 <= jj < n and 0 <= ii < n and nearest[kk, jj, ii] >= 0:
                    t = nearest[kk, jj, ii]
                    d = _squared(middle[t], x, y, z)
                    if d < best[k, j, i]:
                        best[k, j, i], nearest[k, j, i] = d, t
    for k in range(n):
        for j in range(n):
            for i in range(n):
                if best[k, j, i] > reach * reach:
                    nearest[k, j, i] = -1


@helper
def _nearest_of_eight(nearest, middle, x, y, z, px, py, pz):
    """Return the best triangle of the eight cells around a place (in cells), -1 where there is none."""
    n = nearest.shape[0]
    i0, j0, k0 = int(np.floor(x - 0.5)), int(np.floor(y - 0.5)), int(np.floor(z - 0.5))
    found, least = -1, np.inf
    for c in range(8):
        i = min(max(i0 + (c & 1), 0), n - 1)
        j = min(max(j0 + ((c >> 1) & 1), 0), n - 1)
        k = min(max(k0 + (c >> 2), 0), n - 1)
        t = nearest[k, j, i]
        if t >= 0:
            d = _squared(middle[t], px, py, pz)
            if d < least:
                found, least = t, d
    return found


@kernel(
    "void(f4[:,::1], f4[:,::1], i8[::1], f4[::1], f4[::1], i4[:,:,:,::1], f4[:,:,::1], f4[:,:,::1], f4[::1],"
    " b1[:,:,::1], f4[::1], f4[::1], f4[:,:,::1], f4[:,::1], f4[:,::1], i8[::1], f4[::1], i8, i8)"
)
def march_rays(
    origin,
    direction,
    head,
    shift,
    begin,
    nearest,
    middle,
    affine,
    in_mouth,
    occupied,
    low,
    numbers,
    points,
    depth,
    mouth,
    count,
    end,
    first,
    last,
):
    """Write the next samples of rays ``first`` to ``last``; ``end``: where each goes on, or infinity."""
    side, step = numbers[0], numbers[1]
    n, m, most = nearest.shape[1], occupied.shape[0], points.shape[1]
    per_metre = np.float32(n) / side
    for r in range(first, last):
        near, far = np.float32(0), np.float32(1e9)
        for c in range(3):
            d = direction[r, c]
            if abs(d) < np.float32(1e-9):
                d = np.float32(1e-9)
            a, b = (low[c] - origin[r, c]) / d, (low[c] + side - origin[r, c]) / d
            near, far = max(near, min(a, b)), min(far, max(a, b))
        t = near + shift[r] * step if begin[r] < 0 else begin[r]
        h, k = head[r], 0
        while t < far and k < most:
            px, py, pz = (
                origin[r, 0] + t * direction[r, 0],
                origin[r, 1] + t * direction[r, 1],
                origin[r, 2] + t * direction[r, 2],
            )
            x, y, z = (px - low[0]) * per_metre, (py - low[1]) * per_metre, (pz - low[2]) * per_metre
            i, j, q = min(max(int(x), 0), n - 1), min(max(int(y), 0), n - 1), min(max(int(z), 0), n - 1)
            triangle = -1
            if nearest[h, q, j, i] >= 0:
                triangle = _nearest_of_eight(nearest[h], middle[h], x, y, z, px, py, pz)
            if triangle >= 0:
                f = affine[h, triangle]
                u = (f[0] * px + f[1] * py + f[2] * pz + f[3] - low[0]) / side
                v = (f[4] * px + f[5] * py + f[6] * pz + f[7] - low[1]) / side
                w = (f[8] * px + f[9] * py + f[10] * pz + f[11] - low[2]) / side
                if 0 <= u < 1 and 0 <= v < 1 and 0 <= w < 1 and occupied[int(w * m), int(v * m), int(u * m)]:
                    points[r, k, 0], points[r, k, 1], points[r, k, 2] = u, v, w
                    depth[r, k], mouth[r, k] = t, in_mouth[triangle]
                    k += 1
            t += step
        count[r] = k
        end[r] = t if t < far else np.float32(np.inf)
