"""Project Gaussians and backpropagate through the projection, ``LANES`` Gaussians at once.

The mathematics is that of ``gaussians_torch``. Names: J Jacobian of the projection, W rotation of the camera,
R rotation and S scales of a Gaussian; T = J W (2x3), U = T R S (2x3), 2D covariance = U Uᵀ.

``project`` writes a record of ``RECORD_FLOATS`` floats (a cache line) per Gaussian, all that blending reads:

    0, 1    mean x, y in pixels
    2 to 5  log2 alpha as a polynomial: coefficients of dx^2, dx dy, dy^2, and the constant (log2 opacity)
    6       camera z
    7 to 9  first three channels of colour
    10-13   pixel range x0, x1, y0, y1, end exclusive; empty if culled
    14      index of the first slot, an integer (see ``gaussians_numba_bin``)
    15      unused

``project_backward`` reads ``SUM_FLOATS`` floats per Gaussian, sums over pixels by the backward pass of
blending. With g = dL/d ln(alpha):

    0 to 5  moments of g: g, g dx, g dy, g dx^2, g dx dy, g dy^2
    6       dL/dz
    7-14    dL/dcolour, up to eight channels
    15      unused

``view``: 0-8 world-to-camera rotation, row by row; 9-11 its translation; 12, 13 fx, fy; 14, 15 cx, cy; 16, 17
range that x/z is clamped to; 18, 19 the same of y/z; 20 near plane; 21, 22 width, height.
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

__all__ = ["RECORD_FLOATS", "SUM_FLOATS", "project", "project_backward"]

RECORD_FLOATS = 16
SUM_FLOATS = 16
_LOG2E = math.log2(math.e)
_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)
_TWO_LN2 = 2.0 * math.log(2.0)

Array = np.ndarray
LaneTuple = tuple[Lanes, ...]


@helper
def _camera_point(means: Array, i: int, view: Array) -> LaneTuple:
    """Compute x/z, y/z, 1/z and z in the camera's frame of LANES means from i on, and visibility (1 or 0)."""
    px, py, pz = gather(means, 3 * i, 3), gather(means, 3 * i + 1, 3), gather(means, 3 * i + 2, 3)
    x = fma(px, view[0], fma(py, view[1], fma(pz, view[2], view[9])))
    y = fma(px, view[3], fma(py, view[4], fma(pz, view[5], view[10])))
    z = fma(px, view[6], fma(py, view[7], fma(pz, view[8], view[11])))
    visible = where_ge(view[20], z, 0.0, where_ge(z, z, 1.0, 0.0))
    z = where_ge(visible, 0.5, z, 1.0)
    inv_z = 1.0 / z
    return x * inv_z, y * inv_z, inv_z, z, visible


@helper
def _load_quaternion(quats: Array, i: int) -> LaneTuple:
    """Load and normalize quaternions (w, x, y, z) from i on; also return the inverses of their norms."""
    w, x, y, z = (
        gather(quats, 4 * i, 4),
        gather(quats, 4 * i + 1, 4),
        gather(quats, 4 * i + 2, 4),
        gather(quats, 4 * i + 3, 4),
    )
    inv_norm = 1.0 / sqrt(fma(w, w, fma(x, x, fma(y, y, z * z))))
    return w * inv_norm, x * inv_norm, y * inv_norm, z * inv_norm, inv_norm


@helper
def _quaternion_matrix(w: Lanes, x: Lanes, y: Lanes, z: Lanes) -> LaneTuple:
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
def _projection_rows(view: Array, ux: Lanes, uy: Lanes, inv_z: Lanes) -> LaneTuple:
    """Compute the projection's Jacobian times the camera's rotation (2x3); ux, uy: clamped x/z, y/z."""
    jx, jy = inv_z * view[12], inv_z * view[13]
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
def _multiply_rows(rows: LaneTuple, matrix: LaneTuple) -> LaneTuple:
    """Multiply a 2x3 matrix by a 3x3 one, both row by row."""
    return (
        fma(rows[0], matrix[0], fma(rows[1], matrix[3], rows[2] * matrix[6])),
        fma(rows[0], matrix[1], fma(rows[1], matrix[4], rows[2] * matrix[7])),
        fma(rows[0], matrix[2], fma(rows[1], matrix[5], rows[2] * matrix[8])),
        fma(rows[3], matrix[0], fma(rows[4], matrix[3], rows[5] * matrix[6])),
        fma(rows[3], matrix[1], fma(rows[4], matrix[4], rows[5] * matrix[7])),
        fma(rows[3], matrix[2], fma(rows[4], matrix[5], rows[5] * matrix[8])),
    )


@helper
def _covariance(U: LaneTuple) -> LaneTuple:
    """Compute the 2D covariance (a, b, c) = U Uᵀ, its determinant, and the dilated one."""
    a = fma(U[0], U[0], fma(U[1], U[1], U[2] * U[2]))
    b = fma(U[0], U[3], fma(U[1], U[4], U[2] * U[5]))
    c = fma(U[3], U[3], fma(U[4], U[4], U[5] * U[5]))
    minor_x, minor_y, minor_z = (
        U[1] * U[5] - U[2] * U[4],
        U[2] * U[3] - U[0] * U[5],
        U[0] * U[4] - U[1] * U[3],
    )
    undilated_det = fma(minor_x, minor_x, fma(minor_y, minor_y, minor_z * minor_z))
    return a, b, c, undilated_det, undilated_det + fma(a + c, DILATION, DILATION * DILATION)


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
    """Write the records of Gaussians start..stop.

    The last vector starts earlier if it would pass the end, so that some Gaussians are written twice.
    """
    for begin in range(start, stop, LANES):
        i = min(begin, len(logits) - LANES)
        tx, ty, inv_z, z, visible = _camera_point(means, i, view)
        ux, uy = minimum(maximum(tx, view[16]), view[17]), minimum(maximum(ty, view[18]), view[19])
        qw, qx, qy, qz, _ = _load_quaternion(quats, i)
        TR = _multiply_rows(_projection_rows(view, ux, uy, inv_z), _quaternion_matrix(qw, qx, qy, qz))
        sx, sy, sz = (
            exp(gather(scales, 3 * i, 3)),
            exp(gather(scales, 3 * i + 1, 3)),
            exp(gather(scales, 3 * i + 2, 3)),
        )
        a, b, c, undilated_det, det = _covariance(
            (
                TR[0] * sx,
                TR[1] * sy,
                TR[2] * sz,
                TR[3] * sx,
                TR[4] * sy,
                TR[5] * sz,
            )
        )
        visible = where_ge(det, MAX_DETERMINANT, 0.0, where_ge(det, 0.0, visible, 0.0))
        opacity = 1.0 / (1.0 + exp(-gather(logits, i, 1)))
        if antialiased:
            opacity = opacity * sqrt(maximum(undilated_det / det, MIN_COMPENSATION))
        log2_opacity = log2(maximum(opacity, 1e-30))
        mx, my = fma(tx, view[12], view[14]), fma(ty, view[13], view[15])
        inverse = _LOG2E / det
        r = RECORD_FLOATS * i
        scatter(records, r, RECORD_FLOATS, mx)
        scatter(records, r + 1, RECORD_FLOATS, my)
        scatter(records, r + 2, RECORD_FLOATS, (c + DILATION) * inverse * -0.5)
        scatter(records, r + 3, RECORD_FLOATS, b * inverse)
        scatter(records, r + 4, RECORD_FLOATS, (a + DILATION) * inverse * -0.5)
        scatter(records, r + 5, RECORD_FLOATS, log2_opacity)
        scatter(records, r + 6, RECORD_FLOATS, z)
        for ch in range(3):
            scatter(records, r + 7 + ch, RECORD_FLOATS, gather(colours, i * channels + ch, channels))
        # slightly wider than exact, so that rounding never drops a pixel that passes the threshold
        squared_radius = maximum((log2_opacity - _LOG2_MIN_ALPHA + 1e-5) * _TWO_LN2, 0.0)
        rx, ry = sqrt(squared_radius * (a + DILATION)) - 0.499, sqrt(squared_radius * (c + DILATION)) - 0.499
        visible = where_ge(opacity, MIN_ALPHA, visible, 0.0)
        x1 = where_ge(visible, 0.5, minimum(maximum(floor(mx + rx) + 1.0, 0.0), view[21]), 0.0)
        y1 = where_ge(visible, 0.5, minimum(maximum(floor(my + ry) + 1.0, 0.0), view[22]), 0.0)
        scatter(records, r + 10, RECORD_FLOATS, minimum(maximum(ceil(mx - rx - 1.0), 0.0), x1))
        scatter(records, r + 11, RECORD_FLOATS, x1)
        scatter(records, r + 12, RECORD_FLOATS, minimum(maximum(ceil(my - ry - 1.0), 0.0), y1))
        scatter(records, r + 13, RECORD_FLOATS, y1)


@helper
def _covariance_gradient(m: LaneTuple, cov: LaneTuple, antialiased: bool) -> LaneTuple:
    """Compute dL/d(a, b, c) of the undilated covariance, b as one variable, and dL/d(mean x, mean y).

    With the conic X (inverse of the dilated covariance) and the second moments M = [[xx, xy], [xy, yy]] of g,
    dL/dcov = P X / 2 with P = X M.
    """
    a, b, c, undilated_det, det = cov
    inv_det = 1.0 / det
    conic_a, conic_b, conic_c = (c + DILATION) * inv_det, -(b * inv_det), (a + DILATION) * inv_det
    p_xx, p_xy, p_yx, p_yy = (
        fma(conic_a, m[3], conic_b * m[4]),
        fma(conic_a, m[4], conic_b * m[5]),
        fma(conic_b, m[3], conic_c * m[4]),
        fma(conic_b, m[4], conic_c * m[5]),
    )
    da, db, dc = (
        0.5 * fma(p_xx, conic_a, p_xy * conic_b),
        fma(p_xx, conic_b, p_xy * conic_c),
        0.5 * fma(p_yx, conic_b, p_yy * conic_c),
    )
    if antialiased:
        # ln(compensation) = (ln undilated_det - ln det) / 2; d undilated_det = c da + a dc - 2 b db
        half_g = where_ge(undilated_det, MIN_COMPENSATION * det, 0.5 * m[0], 0.0)
        d_undilated, d_dilated = (
            half_g / maximum(undilated_det, 1e-30),
            half_g * inv_det,
        )
        da = da + d_undilated * c - d_dilated * (c + DILATION)
        dc = dc + d_undilated * a - d_dilated * (a + DILATION)
        db = db - 2.0 * b * (d_undilated - d_dilated)
    return (
        da,
        db,
        dc,
        fma(conic_a, m[1], conic_b * m[2]),
        fma(conic_b, m[1], conic_c * m[2]),
    )


@helper
def _quaternion_gradient(g: LaneTuple, w: Lanes, x: Lanes, y: Lanes, z: Lanes, inv_norm: Lanes) -> LaneTuple:
    """Compute dL/d(quaternion before normalization) from dL/d(rotation matrix)."""
    dw = 2.0 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    dx = 2.0 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6])) - 4.0 * x * (g[4] + g[8])
    dy = 2.0 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7])) - 4.0 * y * (g[0] + g[8])
    dz = 2.0 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7])) - 4.0 * z * (g[0] + g[4])
    radial = fma(dw, w, fma(dx, x, fma(dy, y, dz * z)))
    return (
        (dw - radial * w) * inv_norm,
        (dx - radial * x) * inv_norm,
        (dy - radial * y) * inv_norm,
        (dz - radial * z) * inv_norm,
    )


@helper
def _mean_gradient(
    view: Array,
    d_T: LaneTuple,
    point: LaneTuple,
    clamped_point: LaneTuple,
    dmx: Lanes,
    dmy: Lanes,
    dz: Lanes,
) -> LaneTuple:
    """Compute dL/dmean (world) from dL/d(Jacobian times rotation), dL/d(mean in the image) and dL/dz."""
    tx, ty, inv_z = point
    ux, uy = clamped_point
    jx, jy = inv_z * view[12], inv_z * view[13]
    # dL/d(Jacobian), its four entries that aren't constant
    d00 = fma(d_T[0], view[0], fma(d_T[1], view[1], d_T[2] * view[2]))
    d02 = fma(d_T[0], view[6], fma(d_T[1], view[7], d_T[2] * view[8]))
    d11 = fma(d_T[3], view[3], fma(d_T[4], view[4], d_T[5] * view[5]))
    d12 = fma(d_T[3], view[6], fma(d_T[4], view[7], d_T[5] * view[8]))
    dtx = fma(dmx, view[12], where_ge(0.0, absolute(tx - ux), -(jx * d02), 0.0))
    dty = fma(dmy, view[13], where_ge(0.0, absolute(ty - uy), -(jy * d12), 0.0))
    d_cam_x, d_cam_y = dtx * inv_z, dty * inv_z
    d_cam_z = dz - d_cam_x * tx - d_cam_y * ty - inv_z * (jx * (d00 - ux * d02) + jy * (d11 - uy * d12))
    return (
        fma(d_cam_x, view[0], fma(d_cam_y, view[3], d_cam_z * view[6])),
        fma(d_cam_x, view[1], fma(d_cam_y, view[4], d_cam_z * view[7])),
        fma(d_cam_x, view[2], fma(d_cam_y, view[5], d_cam_z * view[8])),
    )


@helper
def _write_gradient(out: Array, i: int, visible: Lanes, values: LaneTuple) -> None:
    """Write LANES rows of a gradient from i on, zero where the Gaussian was culled."""
    count = len(values)
    for column, v in enumerate(values):
        scatter(out, i * count + column, count, where_ge(visible, 0.5, v, 0.0))


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
    """Write gradients of Gaussians start..stop from their ``sums``, which contain the colours' already."""
    for begin in range(start, stop, LANES):
        i = min(begin, len(logits) - LANES)
        visible = gather(records, RECORD_FLOATS * i + 11, RECORD_FLOATS) - gather(
            records, RECORD_FLOATS * i + 10, RECORD_FLOATS
        )
        tx, ty, inv_z, _, _ = _camera_point(means, i, view)
        ux, uy = minimum(maximum(tx, view[16]), view[17]), minimum(maximum(ty, view[18]), view[19])
        qw, qx, qy, qz, inv_norm = _load_quaternion(quats, i)
        T, R = _projection_rows(view, ux, uy, inv_z), _quaternion_matrix(qw, qx, qy, qz)
        TR = _multiply_rows(T, R)
        sx, sy, sz = (
            exp(gather(scales, 3 * i, 3)),
            exp(gather(scales, 3 * i + 1, 3)),
            exp(gather(scales, 3 * i + 2, 3)),
        )
        U = (
            TR[0] * sx,
            TR[1] * sy,
            TR[2] * sz,
            TR[3] * sx,
            TR[4] * sy,
            TR[5] * sz,
        )
        first = i * SUM_FLOATS
        moments = (
            gather(sums, first, SUM_FLOATS),
            gather(sums, first + 1, SUM_FLOATS),
            gather(sums, first + 2, SUM_FLOATS),
            gather(sums, first + 3, SUM_FLOATS),
            gather(sums, first + 4, SUM_FLOATS),
            gather(sums, first + 5, SUM_FLOATS),
        )
        da, db, dc, dmx, dmy = _covariance_gradient(moments, _covariance(U), antialiased)
        # covariance = U Uᵀ
        d_U = (
            2.0 * da * U[0] + db * U[3],
            2.0 * da * U[1] + db * U[4],
            2.0 * da * U[2] + db * U[5],
            2.0 * dc * U[3] + db * U[0],
            2.0 * dc * U[4] + db * U[1],
            2.0 * dc * U[5] + db * U[2],
        )
        _write_gradient(
            d_scales,
            i,
            visible,
            (
                d_U[0] * U[0] + d_U[3] * U[3],
                d_U[1] * U[1] + d_U[4] * U[4],
                d_U[2] * U[2] + d_U[5] * U[5],
            ),
        )
        d_TR = (
            d_U[0] * sx,
            d_U[1] * sy,
            d_U[2] * sz,
            d_U[3] * sx,
            d_U[4] * sy,
            d_U[5] * sz,
        )
        d_R = (
            T[0] * d_TR[0] + T[3] * d_TR[3],
            T[0] * d_TR[1] + T[3] * d_TR[4],
            T[0] * d_TR[2] + T[3] * d_TR[5],
            T[1] * d_TR[0] + T[4] * d_TR[3],
            T[1] * d_TR[1] + T[4] * d_TR[4],
            T[1] * d_TR[2] + T[4] * d_TR[5],
            T[2] * d_TR[0] + T[5] * d_TR[3],
            T[2] * d_TR[1] + T[5] * d_TR[4],
            T[2] * d_TR[2] + T[5] * d_TR[5],
        )
        _write_gradient(d_quats, i, visible, _quaternion_gradient(d_R, qw, qx, qy, qz, inv_norm))
        d_T = _multiply_rows(
            d_TR,
            (
                R[0],
                R[3],
                R[6],
                R[1],
                R[4],
                R[7],
                R[2],
                R[5],
                R[8],
            ),
        )
        dz = gather(sums, first + 6, SUM_FLOATS)
        _write_gradient(
            d_means, i, visible, _mean_gradient(view, d_T, (tx, ty, inv_z), (ux, uy), dmx, dmy, dz)
        )
        scatter(d_logits, i, 1, where_ge(visible, 0.5, moments[0] / (1.0 + exp(gather(logits, i, 1))), 0.0))
