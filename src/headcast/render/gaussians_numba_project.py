"""Projection of Gaussians, forward and backward, ``LANES`` of them at once. The maths is
``gaussians_torch``'s.

Forward writes one record of ``RECORD`` floats a Gaussian, all that blending needs (one cache line):
mean x, y (px) | exponent's coefficients of dx², dx·dy, dy² and constant (base 2, opacity included) | camera z
|
first three channels of colour | pixel range x0, x1, y0, y1 (end exclusive; empty where culled) | its first
slot,
an integer (see ``gaussians_numba_bin``) | unused.

Backward takes what blending's backward summed per Gaussian, ``SUMS`` floats: with g = dL/d ln(alpha),
the sums of
g, g·dx, g·dy, g·dx², g·dx·dy, g·dy² | dL/dz | dL/dcolour (up to 8) | unused.

``view``: world-to-camera rotation (9), translation (3), fx fy cx cy, clamp of x/z and y/z (4), near, width,
height.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_lanes import (
    LANES,
    Lanes,
    absolute,
    ceil,
    exp,
    floor,
    fma,
    gather,
    log2,
    maximum,
    minimum,
    scatter,
    sqrt,
    where_ge,
)
from headcast.render.gaussians_torch import DILATION, MAX_DETERMINANT, MIN_ALPHA, MIN_COMPENSATION
from headcast.render.jit import helper, kernel

__all__ = ["RECORD", "SUMS", "project", "project_backward"]

RECORD = 16
SUMS = 16
_LOG2E = math.log2(math.e)
_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)
_TWO_LN2 = 2.0 * math.log(2.0)

Array = np.ndarray
Several = tuple[Lanes, ...]


@helper
def _camera_point(means: Array, i: int, view: Array) -> Several:
    """Compute camera x/z, y/z, 1/z and z of LANES means from i on, and visibility (1 or 0)."""
    px, py, pz = gather(means, 3 * i, 3), gather(means, 3 * i + 1, 3), gather(means, 3 * i + 2, 3)
    x = fma(px, view[0], fma(py, view[1], fma(pz, view[2], view[9])))
    y = fma(px, view[3], fma(py, view[4], fma(pz, view[5], view[10])))
    z = fma(px, view[6], fma(py, view[7], fma(pz, view[8], view[11])))
    far = where_ge(view[20], z, 0.0, where_ge(z, z, 1.0, 0.0))
    z = where_ge(far, 0.5, z, 1.0)
    over = 1.0 / z
    return x * over, y * over, over, z, far


@helper
def _rotation(quats: Array, i: int) -> Several:
    """Load unit quaternions (w, x, y, z) from i on, and the inverse of their original length."""
    w, x, y, z = (
        gather(quats, 4 * i, 4),
        gather(quats, 4 * i + 1, 4),
        gather(quats, 4 * i + 2, 4),
        gather(quats, 4 * i + 3, 4),
    )
    over = 1.0 / sqrt(fma(w, w, fma(x, x, fma(y, y, z * z))))
    return w * over, x * over, y * over, z * over, over


@helper
def _matrix(w: Lanes, x: Lanes, y: Lanes, z: Lanes) -> Several:
    """Compute the rotation matrix of a unit quaternion, row by row."""
    return (
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    )


@helper
def _jacobian(view: Array, ux: Lanes, uy: Lanes, over: Lanes) -> Several:
    """Compute rows of the linearized projection times the camera's rotation; ux, uy: clamped x/z, y/z."""
    jx, jy = over * view[12], over * view[13]
    kx, ky = -(jx * ux), -(jy * uy)
    return (
        fma(jx, view[0], kx * view[6]),
        fma(jx, view[1], kx * view[7]),
        fma(jx, view[2], kx * view[8]),
        fma(jy, view[3], ky * view[6]),
        fma(jy, view[4], ky * view[7]),
        fma(jy, view[5], ky * view[8]),
    )


@helper
def _times(v: Several, m: Several) -> Several:
    """Multiply the two rows v (2x3) by the matrix m (3x3)."""
    return (
        fma(v[0], m[0], fma(v[1], m[3], v[2] * m[6])),
        fma(v[0], m[1], fma(v[1], m[4], v[2] * m[7])),
        fma(v[0], m[2], fma(v[1], m[5], v[2] * m[8])),
        fma(v[3], m[0], fma(v[4], m[3], v[5] * m[6])),
        fma(v[3], m[1], fma(v[4], m[4], v[5] * m[7])),
        fma(v[3], m[2], fma(v[4], m[5], v[5] * m[8])),
    )


@helper
def _covariance(u: Several) -> Several:
    """Compute the undilated 2D covariance (a, b, c) and its determinant, then the dilated determinant."""
    a = fma(u[0], u[0], fma(u[1], u[1], u[2] * u[2]))
    b = fma(u[0], u[3], fma(u[1], u[4], u[2] * u[5]))
    c = fma(u[3], u[3], fma(u[4], u[4], u[5] * u[5]))
    p, q, r = u[1] * u[5] - u[2] * u[4], u[2] * u[3] - u[0] * u[5], u[0] * u[4] - u[1] * u[3]
    before = fma(p, p, fma(q, q, r * r))
    return a, b, c, before, before + fma(a + c, DILATION, DILATION * DILATION)


@kernel("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], i8, f4[::1], b1, f4[::1], i8, i8)")
def project(
    means: Array,
    scales: Array,
    quats: Array,
    logits: Array,
    colours: Array,
    channels: int,
    view: Array,
    antialiased: bool,
    records: Array,
    start: int,
    stop: int,
) -> None:
    """Write the records of Gaussians start..stop; the last group reaches back where it would pass the
    end."""
    for begin in range(start, stop, LANES):
        i = min(begin, len(logits) - LANES)
        tx, ty, over, z, visible = _camera_point(means, i, view)
        ux, uy = minimum(maximum(tx, view[16]), view[17]), minimum(maximum(ty, view[18]), view[19])
        w, x, y, k, _ = _rotation(quats, i)
        n = _times(_jacobian(view, ux, uy, over), _matrix(w, x, y, k))
        sx, sy, sz = (
            exp(gather(scales, 3 * i, 3)),
            exp(gather(scales, 3 * i + 1, 3)),
            exp(gather(scales, 3 * i + 2, 3)),
        )
        a, b, c, before, det = _covariance((n[0] * sx, n[1] * sy, n[2] * sz, n[3] * sx, n[4] * sy, n[5] * sz))
        visible = where_ge(det, MAX_DETERMINANT, 0.0, where_ge(det, 0.0, visible, 0.0))
        opacity = 1.0 / (1.0 + exp(-gather(logits, i, 1)))
        if antialiased:
            opacity = opacity * sqrt(maximum(before / det, MIN_COMPENSATION))
        level = log2(maximum(opacity, 1e-30))
        mx, my = fma(tx, view[12], view[14]), fma(ty, view[13], view[15])
        inverse = _LOG2E / det
        r = 16 * i
        scatter(records, r, 16, mx)
        scatter(records, r + 1, 16, my)
        scatter(records, r + 2, 16, (c + DILATION) * inverse * -0.5)
        scatter(records, r + 3, 16, b * inverse)
        scatter(records, r + 4, 16, (a + DILATION) * inverse * -0.5)
        scatter(records, r + 5, 16, level)
        scatter(records, r + 6, 16, z)
        for ch in range(3):
            scatter(records, r + 7 + ch, 16, gather(colours, i * channels + ch, channels))
        # a hair wider than exact, so that rounding never drops a pixel that passes the threshold
        square = maximum((level - _LOG2_MIN_ALPHA + 1e-5) * _TWO_LN2, 0.0)
        rx, ry = sqrt(square * (a + DILATION)) - 0.499, sqrt(square * (c + DILATION)) - 0.499
        visible = where_ge(opacity, MIN_ALPHA, visible, 0.0)
        x1 = where_ge(visible, 0.5, minimum(maximum(floor(mx + rx) + 1.0, 0.0), view[21]), 0.0)
        y1 = where_ge(visible, 0.5, minimum(maximum(floor(my + ry) + 1.0, 0.0), view[22]), 0.0)
        scatter(records, r + 10, 16, minimum(maximum(ceil(mx - rx - 1.0), 0.0), x1))
        scatter(records, r + 11, 16, x1)
        scatter(records, r + 12, 16, minimum(maximum(ceil(my - ry - 1.0), 0.0), y1))
        scatter(records, r + 13, 16, y1)


@helper
def _covariance_gradient(m: Several, cov: Several, antialiased: bool) -> Several:
    """Compute dL/d(a, b, c) of the undilated covariance (b counted once) and dL/d(mean x, mean y).

    ``m`` are the six moments of g; the conic X gives dL/dcov = 1/2 X M X with M = [[xx, xy], [xy, yy]].
    """
    a, b, c, before, det = cov
    over = 1.0 / det
    A, B, C = (c + DILATION) * over, -(b * over), (a + DILATION) * over
    p, q, r, s = (
        fma(A, m[3], B * m[4]),
        fma(A, m[4], B * m[5]),
        fma(B, m[3], C * m[4]),
        fma(B, m[4], C * m[5]),
    )
    da, db, dc = 0.5 * fma(p, A, q * B), fma(p, B, q * C), 0.5 * fma(r, B, s * C)
    if antialiased:
        # ln of the compensation = (ln before - ln det) / 2; d before = c da + a dc - 2 b db
        half = where_ge(before, MIN_COMPENSATION * det, 0.5 * m[0], 0.0)
        one, two = half / maximum(before, 1e-30), half * over
        da = da + one * c - two * (c + DILATION)
        dc = dc + one * a - two * (a + DILATION)
        db = db - 2.0 * b * (one - two)
    return da, db, dc, fma(A, m[1], B * m[2]), fma(B, m[1], C * m[2])


@helper
def _quaternion_gradient(g: Several, w: Lanes, x: Lanes, y: Lanes, z: Lanes, over: Lanes) -> Several:
    """Compute dL/dquaternion (not normalised) from dL/dmatrix."""
    dw = 2.0 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    dx = 2.0 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6])) - 4.0 * x * (g[4] + g[8])
    dy = 2.0 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7])) - 4.0 * y * (g[0] + g[8])
    dz = 2.0 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7])) - 4.0 * z * (g[0] + g[4])
    along = fma(dw, w, fma(dx, x, fma(dy, y, dz * z)))
    return (dw - along * w) * over, (dx - along * x) * over, (dy - along * y) * over, (dz - along * z) * over


@helper
def _mean_gradient(
    view: Array, dv: Several, at: Several, clamped: Several, dmx: Lanes, dmy: Lanes, dz: Lanes
) -> Several:
    """Compute dL/dmean (world) from dL/d(Jacobian times rotation), dL/d(image mean) and dL/dz."""
    tx, ty, over = at
    ux, uy = clamped
    jx, jy = over * view[12], over * view[13]
    # dL/dJ, the four entries that aren't constant
    d00 = fma(dv[0], view[0], fma(dv[1], view[1], dv[2] * view[2]))
    d02 = fma(dv[0], view[6], fma(dv[1], view[7], dv[2] * view[8]))
    d11 = fma(dv[3], view[3], fma(dv[4], view[4], dv[5] * view[5]))
    d12 = fma(dv[3], view[6], fma(dv[4], view[7], dv[5] * view[8]))
    dtx = fma(dmx, view[12], where_ge(0.0, absolute(tx - ux), -(jx * d02), 0.0))
    dty = fma(dmy, view[13], where_ge(0.0, absolute(ty - uy), -(jy * d12), 0.0))
    x, y = dtx * over, dty * over
    z = dz - x * tx - y * ty - over * (jx * (d00 - ux * d02) + jy * (d11 - uy * d12))
    return (
        fma(x, view[0], fma(y, view[3], z * view[6])),
        fma(x, view[1], fma(y, view[4], z * view[7])),
        fma(x, view[2], fma(y, view[5], z * view[8])),
    )


@helper
def _write(out: Array, i: int, visible: Lanes, values: Several) -> None:
    """Write rows of a gradient, zero where the Gaussian was culled."""
    count = len(values)
    for k, v in enumerate(values):
        scatter(out, i * count + k, count, where_ge(visible, 0.5, v, 0.0))


@kernel("void(" + 4 * "f4[::1], " + "f4[::1], b1" + 6 * ", f4[::1]" + ", i8, i8)")
def project_backward(
    means: Array,
    scales: Array,
    quats: Array,
    logits: Array,
    view: Array,
    antialiased: bool,
    records: Array,
    sums: Array,
    d_means: Array,
    d_scales: Array,
    d_quats: Array,
    d_logits: Array,
    start: int,
    stop: int,
) -> None:
    """Compute gradients of Gaussians start..stop from their ``sums``; colour's are in there already."""
    for begin in range(start, stop, LANES):
        i = min(begin, len(logits) - LANES)
        visible = gather(records, 16 * i + 11, 16) - gather(records, 16 * i + 10, 16)
        tx, ty, over, _, _ = _camera_point(means, i, view)
        ux, uy = minimum(maximum(tx, view[16]), view[17]), minimum(maximum(ty, view[18]), view[19])
        w, x, y, k, length = _rotation(quats, i)
        v, m = _jacobian(view, ux, uy, over), _matrix(w, x, y, k)
        n = _times(v, m)
        sx, sy, sz = (
            exp(gather(scales, 3 * i, 3)),
            exp(gather(scales, 3 * i + 1, 3)),
            exp(gather(scales, 3 * i + 2, 3)),
        )
        u = (n[0] * sx, n[1] * sy, n[2] * sz, n[3] * sx, n[4] * sy, n[5] * sz)
        s = i * SUMS
        g = (
            gather(sums, s, SUMS),
            gather(sums, s + 1, SUMS),
            gather(sums, s + 2, SUMS),
            gather(sums, s + 3, SUMS),
            gather(sums, s + 4, SUMS),
            gather(sums, s + 5, SUMS),
        )
        da, db, dc, dmx, dmy = _covariance_gradient(g, _covariance(u), antialiased)
        # cov = u uᵀ
        du = (
            2.0 * da * u[0] + db * u[3],
            2.0 * da * u[1] + db * u[4],
            2.0 * da * u[2] + db * u[5],
            2.0 * dc * u[3] + db * u[0],
            2.0 * dc * u[4] + db * u[1],
            2.0 * dc * u[5] + db * u[2],
        )
        _write(
            d_scales,
            i,
            visible,
            (du[0] * u[0] + du[3] * u[3], du[1] * u[1] + du[4] * u[4], du[2] * u[2] + du[5] * u[5]),
        )
        dn = (du[0] * sx, du[1] * sy, du[2] * sz, du[3] * sx, du[4] * sy, du[5] * sz)
        dm = (
            v[0] * dn[0] + v[3] * dn[3],
            v[0] * dn[1] + v[3] * dn[4],
            v[0] * dn[2] + v[3] * dn[5],
            v[1] * dn[0] + v[4] * dn[3],
            v[1] * dn[1] + v[4] * dn[4],
            v[1] * dn[2] + v[4] * dn[5],
            v[2] * dn[0] + v[5] * dn[3],
            v[2] * dn[1] + v[5] * dn[4],
            v[2] * dn[2] + v[5] * dn[5],
        )
        _write(d_quats, i, visible, _quaternion_gradient(dm, w, x, y, k, length))
        dv = _times(dn, (m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]))
        dz = gather(sums, s + 6, SUMS)
        _write(d_means, i, visible, _mean_gradient(view, dv, (tx, ty, over), (ux, uy), dmx, dmy, dz))
        scatter(d_logits, i, 1, where_ge(visible, 0.5, g[0] / (1.0 + exp(gather(logits, i, 1))), 0.0))
