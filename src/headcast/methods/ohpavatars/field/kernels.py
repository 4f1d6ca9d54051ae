"""Numba kernels of the field: hash encoding and compositing, forward and backward, in both precisions.

Each is written once as a helper; the kernels of one precision only call it.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.nets.hashgrid import PRIMES
from headcast.render.jit import helper, kernel

__all__ = ["COMPOSITE", "COMPOSITE_BACKWARD", "ENCODE", "ENCODE_BACKWARD", "MIN_TRANSMITTANCE"]

PRIME_Y, PRIME_Z = np.int64(PRIMES[1]), np.int64(PRIMES[2])
MIN_TRANSMITTANCE = 1e-4
"""Below it a ray has ended: what lies behind counts nothing."""


@helper
def _row(x, y, z, cells, size):
    """Return the table's row of a corner: its number where all corners have one, else its hash."""
    side = cells + 1
    if side * side * side <= size:
        return x + side * (y + side * z)
    return (x ^ (y * PRIME_Y) ^ (z * PRIME_Z)) % size


@helper
def _encode(points, table, start, cells, size, features, out, level, first, last):
    """Interpolate one level's features at points ``first`` to ``last``; ``start``: its first row."""
    for n in range(first, last):
        at_x, at_y, at_z = points[n, 0] * cells, points[n, 1] * cells, points[n, 2] * cells
        x = min(max(int(at_x), 0), cells - 1)
        y = min(max(int(at_y), 0), cells - 1)
        z = min(max(int(at_z), 0), cells - 1)
        u, v, w = at_x - x, at_y - y, at_z - z
        for f in range(features):
            out[n, level * features + f] = 0
        for k in range(8):
            i, j, m = k & 1, (k >> 1) & 1, k >> 2
            weight = (u if i else 1 - u) * (v if j else 1 - v) * (w if m else 1 - w)
            row = start + _row(x + i, y + j, z + m, cells, size)
            for f in range(features):
                out[n, level * features + f] += weight * table[row, f]


@helper
def _encode_backward(points, d_out, start, cells, size, features, d_table, level):
    """Scatter the gradient of one level's features to its rows."""
    for n in range(len(points)):
        at_x, at_y, at_z = points[n, 0] * cells, points[n, 1] * cells, points[n, 2] * cells
        x = min(max(int(at_x), 0), cells - 1)
        y = min(max(int(at_y), 0), cells - 1)
        z = min(max(int(at_z), 0), cells - 1)
        u, v, w = at_x - x, at_y - y, at_z - z
        for k in range(8):
            i, j, m = k & 1, (k >> 1) & 1, k >> 2
            weight = (u if i else 1 - u) * (v if j else 1 - v) * (w if m else 1 - w)
            row = start + _row(x + i, y + j, z + m, cells, size)
            for f in range(features):
                d_table[row, f] += weight * d_out[n, level * features + f]


@helper
def _composite(start, count, density, colour, step, depth, out, transmittance, first, last):
    """Composite rays ``first`` to ``last`` front to back; out: colour, coverage, depth times coverage."""
    for r in range(first, last):
        through = density[0] * 0 + 1 if len(density) else 1.0
        for c in range(5):
            out[r, c] = 0
        for n in range(start[r], start[r] + count[r]):
            transmittance[n] = through
            if through < MIN_TRANSMITTANCE:
                continue
            weight = through * (1 - math.exp(-density[n] * step[n]))
            for c in range(3):
                out[r, c] += weight * colour[n, c]
            out[r, 3] += weight
            out[r, 4] += weight * depth[n]
            through *= math.exp(-density[n] * step[n])


@helper
def _composite_backward(
    start, count, density, colour, step, depth, transmittance, d_out, d_density, d_colour, first, last
):
    """Gradients of ``_composite``, back to front: what lies behind a sample is dimmed by it."""
    for r in range(first, last):
        behind = 0 * d_out[r, 0]
        for k in range(count[r] - 1, -1, -1):
            n = start[r] + k
            if transmittance[n] < MIN_TRANSMITTANCE:
                d_density[n] = 0
                for c in range(3):
                    d_colour[n, c] = 0
                continue
            passed = math.exp(-density[n] * step[n])
            weight = transmittance[n] * (1 - passed)
            value = d_out[r, 3] + d_out[r, 4] * depth[n]
            for c in range(3):
                value += d_out[r, c] * colour[n, c]
                d_colour[n, c] = weight * d_out[r, c]
            d_density[n] = step[n] * (transmittance[n] * passed * value - behind)
            behind += weight * value


@kernel("void(f4[:,::1], f4[:,::1], i8, i8, i8, i8, f4[:,::1], i8, i8, i8)")
def encode_single(points, table, start, cells, size, features, out, level, first, last):
    """Run ``_encode`` in single precision."""
    _encode(points, table, start, cells, size, features, out, level, first, last)


@kernel("void(f8[:,::1], f8[:,::1], i8, i8, i8, i8, f8[:,::1], i8, i8, i8)")
def encode_double(points, table, start, cells, size, features, out, level, first, last):
    """Run ``_encode`` in double precision."""
    _encode(points, table, start, cells, size, features, out, level, first, last)


@kernel("void(f4[:,::1], f4[:,::1], i8, i8, i8, i8, f4[:,::1], i8)")
def encode_backward_single(points, d_out, start, cells, size, features, d_table, level):
    """Run ``_encode_backward`` in single precision."""
    _encode_backward(points, d_out, start, cells, size, features, d_table, level)


@kernel("void(f8[:,::1], f8[:,::1], i8, i8, i8, i8, f8[:,::1], i8)")
def encode_backward_double(points, d_out, start, cells, size, features, d_table, level):
    """Run ``_encode_backward`` in double precision."""
    _encode_backward(points, d_out, start, cells, size, features, d_table, level)


@kernel("void(i8[::1], i8[::1], f4[::1], f4[:,::1], f4[::1], f4[::1], f4[:,::1], f4[::1], i8, i8)")
def composite_single(start, count, density, colour, step, depth, out, transmittance, first, last):
    """Run ``_composite`` in single precision."""
    _composite(start, count, density, colour, step, depth, out, transmittance, first, last)


@kernel("void(i8[::1], i8[::1], f8[::1], f8[:,::1], f8[::1], f8[::1], f8[:,::1], f8[::1], i8, i8)")
def composite_double(start, count, density, colour, step, depth, out, transmittance, first, last):
    """Run ``_composite`` in double precision."""
    _composite(start, count, density, colour, step, depth, out, transmittance, first, last)


@kernel(
    "void(i8[::1], i8[::1], f4[::1], f4[:,::1], f4[::1], f4[::1], f4[::1], f4[:,::1], f4[::1], f4[:,::1], i8,"
    " i8)"
)
def composite_backward_single(
    start, count, density, colour, step, depth, transmittance, d_out, d_density, d_colour, first, last
):
    """Run ``_composite_backward`` in single precision."""
    _composite_backward(
        start, count, density, colour, step, depth, transmittance, d_out, d_density, d_colour, first, last
    )


@kernel(
    "void(i8[::1], i8[::1], f8[::1], f8[:,::1], f8[::1], f8[::1], f8[::1], f8[:,::1], f8[::1], f8[:,::1], i8,"
    " i8)"
)
def composite_backward_double(
    start, count, density, colour, step, depth, transmittance, d_out, d_density, d_colour, first, last
):
    """Run ``_composite_backward`` in double precision."""
    _composite_backward(
        start, count, density, colour, step, depth, transmittance, d_out, d_density, d_colour, first, last
    )


ENCODE = {np.float32: encode_single, np.float64: encode_double}
ENCODE_BACKWARD = {np.float32: encode_backward_single, np.float64: encode_backward_double}
COMPOSITE = {np.float32: composite_single, np.float64: composite_double}
COMPOSITE_BACKWARD = {np.float32: composite_backward_single, np.float64: composite_backward_double}
