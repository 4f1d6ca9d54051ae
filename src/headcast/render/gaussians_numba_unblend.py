"""Backward of blending: again front to back, so that every alpha and transmittance is exactly forward's.

With q = gradient · (colour, depth, 1) the contribution of a blended Gaussian to the loss is weight · q; what
lies
behind it contributes R = total - (all up to it), known from forward's image. Then
dL/d ln(alpha) = weight · q - alpha · R / (1 - alpha), and position,
covariance and opacity need only its moments.
Each pair of Gaussian and tile writes its own slot and a last pass adds a Gaussian's slots in their order: the
result
doesn't depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_bin import SHIFT, TILE, tile_box
from headcast.render.gaussians_numba_blend import (
    ACROSS,
    AHEAD,
    AREA,
    BLOCKS,
    TALL,
    TALL_SHIFT,
    aligned,
    block_range,
    lane_offsets,
    weigh,
)
from headcast.render.gaussians_numba_lanes import (
    LANES,
    any_ge,
    fma,
    load,
    load_block,
    prefetch,
    read,
    splat,
    store,
    store_totals,
    total,
    where_ge,
)
from headcast.render.gaussians_numba_project import RECORD, SUMS
from headcast.render.gaussians_torch import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from headcast.render.jit import helper, kernel

__all__ = ["sum_slots", "unblend_rows"]

_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)

Array = np.ndarray


@helper
def _begin(
    state: Array,
    busy: Array,
    channels: int,
    background: Array,
    varied: bool,
    straight: bool,
    corner: int,
    pitch: int,
    plane: int,
    rgb: Array,
    alpha: Array,
    depth: Array,
    d_rgb: Array,
    d_alpha: Array,
    d_depth: Array,
) -> int:
    """Initialise planes: transmittance, R, and the gradients of alpha, depth and channels before compositing.

    Returns how many blocks something covers.
    """
    live = 0
    for b in range(BLOCKS):
        p, at = b * LANES, corner + (b // ACROSS) * TALL * pitch + (b % ACROSS) * 4
        covered = load_block(alpha, at, pitch)
        busy[b] = any_ge(covered, MIN_ALPHA * 0.5)
        if not busy[b]:
            continue
        live += 1
        through, over = 1.0 - covered, where_ge(0.0, covered, 0.0, 1.0 / covered)
        mean_depth = load_block(depth, at, pitch)
        of_depth = load_block(d_depth, at, pitch) * over
        of_alpha = load_block(d_alpha, at, pitch) - of_depth * mean_depth
        rest = of_depth * mean_depth * covered
        for c in range(channels):
            d, v = load_block(d_rgb, c * plane + at, pitch), load_block(rgb, c * plane + at, pitch)
            if straight:
                rest = fma(d, v, rest)
                d = d * over
                of_alpha = of_alpha - d * v
            else:
                back = load_block(background, c * plane + at, pitch) if varied else splat(background[c])
                rest = fma(d, v - through * back, rest)
                of_alpha = of_alpha - d * back
            store(state, p + (4 + c) * AREA, d)
        store(state, p, where_ge(0.0, covered, 0.0, 1.0))
        store(state, p + AREA, fma(of_alpha, covered, rest))
        store(state, p + 2 * AREA, of_alpha)
        store(state, p + 3 * AREA, of_depth)
    return live


@helper
def _unblend(
    g: int,
    records: Array,
    colours: Array,
    channels: int,
    grid: Array,
    left: int,
    top: int,
    state: Array,
    busy: Array,
    extra: Array,
    slot: Array,
) -> int:
    """Process one Gaussian in one tile: write its slot, return how many blocks it finished."""
    lane_x, lane_y = load(grid, 0), load(grid, LANES)
    r = g * RECORD
    mx, my = read(records, r) - np.float32(left), read(records, r + 1) - np.float32(top)
    A, B, C, level, z = (
        read(records, r + 2),
        read(records, r + 3),
        read(records, r + 4),
        read(records, r + 5),
        read(records, r + 6),
    )
    red, green, blue = read(records, r + 7), read(records, r + 8), read(records, r + 9)
    x0, x1 = block_range(read(records, r + 10), read(records, r + 11), left, 2)
    y0, y1 = block_range(read(records, r + 12), read(records, r + 13), top, TALL_SHIFT)
    s = sx = sy = sxx = sxy = syy = sz = sr = sg = sb = splat(0.0)
    for c in range(3, channels):
        store(extra, c * LANES, splat(0.0))
    finished = 0
    for by in range(y0, y1):
        dy = lane_y + (np.float32(by * TALL) - my)
        one, zero = B * dy, fma(C * dy, dy, level)
        for bx in range(x0, x1):
            b = by * ACROSS + bx
            dx = lane_x + (np.float32(bx * 4) - mx)
            exponent = fma(dx, fma(dx, A, one), zero)
            if not busy[b] or not any_ge(exponent, _LOG2_MIN_ALPHA):
                continue
            p = b * LANES
            before = load(state, p)
            raw, alpha, weight, behind = weigh(exponent, before)
            store(state, p, behind)
            d_depth, d_red = load(state, p + 3 * AREA), load(state, p + 4 * AREA)
            d_green, d_blue = load(state, p + 5 * AREA), load(state, p + 6 * AREA)
            q = fma(d_depth, z, load(state, p + 2 * AREA))
            q = fma(d_red, red, fma(d_green, green, fma(d_blue, blue, q)))
            for c in range(3, channels):
                d = load(state, p + (4 + c) * AREA)
                q = fma(d, colours[g * channels + c], q)
                store(extra, c * LANES, fma(weight, d, load(extra, c * LANES)))
            own = weight * q
            rest = load(state, p + AREA) - own
            store(state, p + AREA, rest)
            d = own - alpha * rest / (1.0 - alpha)
            d = where_ge(before - before * alpha, MIN_TRANSMITTANCE, where_ge(MAX_ALPHA, raw, d, 0.0), 0.0)
            ddx, ddy = d * dx, d * dy
            s, sx, sy = s + d, sx + ddx, sy + ddy
            sxx, sxy, syy = fma(ddx, dx, sxx), fma(ddx, dy, sxy), fma(ddy, dy, syy)
            sz, sr = fma(weight, d_depth, sz), fma(weight, d_red, sr)
            sg, sb = fma(weight, d_green, sg), fma(weight, d_blue, sb)
            if not any_ge(behind, MIN_TRANSMITTANCE):
                busy[b] = False
                finished += 1
    store_totals(slot, 0, s, sx, sy, sxx, sxy, syy, sz, sr, sg, sb)
    for c in range(3, channels):
        slot[7 + c] = total(load(extra, c * LANES))
    return finished


@kernel(
    "void(i8, i8, f4[::1], i4[::1], f4[::1], i8, i8[::1], i4[::1], i8[::1], f4[::1], b1, b1, i8"
    + 7 * ", f4[::1]"
    + ")"
)
def unblend_rows(
    first: int,
    last: int,
    records: Array,
    bits: Array,
    colours: Array,
    channels: int,
    pair_start: Array,
    pairs: Array,
    tile_start: Array,
    background: Array,
    varied: bool,
    straight: bool,
    pitch: int,
    rgb: Array,
    alpha: Array,
    depth: Array,
    d_rgb: Array,
    d_alpha: Array,
    d_depth: Array,
    gradients: Array,
) -> None:
    """Write the slots of the rows of tiles first..last."""
    columns, plane = pitch >> SHIFT, len(alpha)
    grid, state, busy = lane_offsets(), aligned((4 + channels) * AREA), np.empty(BLOCKS, np.bool_)
    extra = aligned(channels * LANES)
    for ty in range(first, last):
        for tx in range(columns):
            tile = ty * columns + tx
            begin, end = tile_start[tile], tile_start[tile + 1] if tx + 1 < columns else pair_start[ty + 1]
            if begin == end:
                continue
            left, top = tx * TILE, ty * TILE
            live = _begin(
                state,
                busy,
                channels,
                background,
                varied,
                straight,
                top * pitch + left,
                pitch,
                plane,
                rgb,
                alpha,
                depth,
                d_rgb,
                d_alpha,
                d_depth,
            )
            for k in range(begin, end):
                g = pairs[k]
                prefetch(records, pairs[min(k + AHEAD, end - 1)] * RECORD)
                x0, x1, y0, _ = tile_box(records, g * RECORD)
                run = bits[g * RECORD + 14] + (ty - y0) * (x1 - x0) + tx - x0
                slot = gradients[run * SUMS : (run + 1) * SUMS]
                if live > 0:
                    live -= _unblend(g, records, colours, channels, grid, left, top, state, busy, extra, slot)
                else:
                    slot[:] = 0.0


@kernel("void(f4[::1], i4[::1], f4[::1], i8, i8)")
def sum_slots(gradients: Array, slots: Array, sums: Array, start: int, stop: int) -> None:
    """Add the slots of each of the Gaussians start..stop, in their order."""
    for g in range(start, stop):
        for k in range(0, SUMS, LANES):
            v = splat(0.0)
            for run in range(slots[g], slots[g + 1]):
                v = v + load(gradients, run * SUMS + k)
            store(sums, g * SUMS + k, v)
