"""Backpropagate through blending, front to back again, so that alphas and transmittances equal the forward's.

With q = gradient · (colour, depth, 1), a blended Gaussian contributes weight · q to the loss. All behind it
contributes R = total - (sum so far), where the total is known from the forward pass's image. Then
dL/d ln(alpha) = weight · q - alpha · R / (1 - alpha); gradients of position, covariance and opacity need only
its moments. Each pair of Gaussian and tile writes its own slot, and ``sum_slots`` adds a Gaussian's slots in
their order: the result doesn't depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_bin import TILE, TILE_SHIFT, tile_box
from headcast.render.gaussians_numba_blend import (
    BLOCK_HEIGHT,
    BLOCK_HEIGHT_SHIFT,
    BLOCKS_PER_ROW,
    PREFETCH_DISTANCE,
    TILE_BLOCKS,
    TILE_PIXELS,
    allocate_aligned,
    blend_weights,
    block_range,
    lane_offsets,
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
from headcast.render.gaussians_numba_project import RECORD_FLOATS, SUM_FLOATS
from headcast.render.gaussians_torch import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from headcast.render.jit import helper, kernel

__all__ = ["sum_slots", "unblend_rows"]

_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)

Array = np.ndarray


@helper
def _load_tile(
    state: Array,
    unfinished: Array,
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
    """Initialise a tile's planes: transmittance, R, and the gradients of alpha, depth and colour channels.

    Returns:
        The number of blocks that any Gaussian covers.
    """
    unfinished_count = 0
    for b in range(TILE_BLOCKS):
        p, offset = (
            b * LANES,
            corner + (b // BLOCKS_PER_ROW) * BLOCK_HEIGHT * pitch + (b % BLOCKS_PER_ROW) * 4,
        )
        coverage = load_block(alpha, offset, pitch)
        unfinished[b] = any_ge(coverage, MIN_ALPHA * 0.5)
        if not unfinished[b]:
            continue
        unfinished_count += 1
        transmittance, inv_coverage = 1.0 - coverage, where_ge(0.0, coverage, 0.0, 1.0 / coverage)
        mean_depth = load_block(depth, offset, pitch)
        grad_depth = load_block(d_depth, offset, pitch) * inv_coverage
        grad_alpha = load_block(d_alpha, offset, pitch) - grad_depth * mean_depth
        behind = grad_depth * mean_depth * coverage
        for c in range(channels):
            grad, value = (
                load_block(d_rgb, c * plane + offset, pitch),
                load_block(rgb, c * plane + offset, pitch),
            )
            if straight:
                behind = fma(grad, value, behind)
                grad = grad * inv_coverage
                grad_alpha = grad_alpha - grad * value
            else:
                back = load_block(background, c * plane + offset, pitch) if varied else splat(background[c])
                behind = fma(grad, value - transmittance * back, behind)
                grad_alpha = grad_alpha - grad * back
            store(state, p + (4 + c) * TILE_PIXELS, grad)
        store(state, p, where_ge(0.0, coverage, 0.0, 1.0))
        store(state, p + TILE_PIXELS, fma(grad_alpha, coverage, behind))
        store(state, p + 2 * TILE_PIXELS, grad_alpha)
        store(state, p + 3 * TILE_PIXELS, grad_depth)
    return unfinished_count


@helper
def _backward_tile(
    g: int,
    records: Array,
    colours: Array,
    channels: int,
    grid: Array,
    left: int,
    top: int,
    state: Array,
    unfinished: Array,
    extra: Array,
    slot: Array,
) -> int:
    """Write the slot of one Gaussian in one tile; return how many blocks it finished."""
    lane_x, lane_y = load(grid, 0), load(grid, LANES)
    r = g * RECORD_FLOATS
    mx, my = read(records, r) - np.float32(left), read(records, r + 1) - np.float32(top)
    coef_xx, coef_xy, coef_yy, log2_opacity, z = (
        read(records, r + 2),
        read(records, r + 3),
        read(records, r + 4),
        read(records, r + 5),
        read(records, r + 6),
    )
    red, green, blue = read(records, r + 7), read(records, r + 8), read(records, r + 9)
    x0, x1 = block_range(read(records, r + 10), read(records, r + 11), left, 2)
    y0, y1 = block_range(read(records, r + 12), read(records, r + 13), top, BLOCK_HEIGHT_SHIFT)
    s = sx = sy = sxx = sxy = syy = sz = sr = sg = sb = splat(0.0)
    for c in range(3, channels):
        store(extra, c * LANES, splat(0.0))
    finished = 0
    for by in range(y0, y1):
        dy = lane_y + (np.float32(by * BLOCK_HEIGHT) - my)
        linear, constant = coef_xy * dy, fma(coef_yy * dy, dy, log2_opacity)
        for bx in range(x0, x1):
            b = by * BLOCKS_PER_ROW + bx
            dx = lane_x + (np.float32(bx * 4) - mx)
            exponent = fma(dx, fma(dx, coef_xx, linear), constant)
            if not unfinished[b] or not any_ge(exponent, _LOG2_MIN_ALPHA):
                continue
            p = b * LANES
            transmittance = load(state, p)
            uncapped_alpha, alpha, weight, behind = blend_weights(exponent, transmittance)
            store(state, p, behind)
            d_depth, d_red = load(state, p + 3 * TILE_PIXELS), load(state, p + 4 * TILE_PIXELS)
            d_green, d_blue = load(state, p + 5 * TILE_PIXELS), load(state, p + 6 * TILE_PIXELS)
            q = fma(d_depth, z, load(state, p + 2 * TILE_PIXELS))
            q = fma(d_red, red, fma(d_green, green, fma(d_blue, blue, q)))
            for c in range(3, channels):
                d = load(state, p + (4 + c) * TILE_PIXELS)
                q = fma(d, colours[g * channels + c], q)
                store(extra, c * LANES, fma(weight, d, load(extra, c * LANES)))
            contribution = weight * q
            contribution_behind = load(state, p + TILE_PIXELS) - contribution
            store(state, p + TILE_PIXELS, contribution_behind)
            d = contribution - alpha * contribution_behind / (1.0 - alpha)
            d = where_ge(
                transmittance - transmittance * alpha,
                MIN_TRANSMITTANCE,
                where_ge(MAX_ALPHA, uncapped_alpha, d, 0.0),
                0.0,
            )
            ddx, ddy = d * dx, d * dy
            s, sx, sy = s + d, sx + ddx, sy + ddy
            sxx, sxy, syy = fma(ddx, dx, sxx), fma(ddx, dy, sxy), fma(ddy, dy, syy)
            sz, sr = fma(weight, d_depth, sz), fma(weight, d_red, sr)
            sg, sb = fma(weight, d_green, sg), fma(weight, d_blue, sb)
            if not any_ge(behind, MIN_TRANSMITTANCE):
                unfinished[b] = False
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
    columns, plane = pitch >> TILE_SHIFT, len(alpha)
    grid, state, unfinished = (
        lane_offsets(),
        allocate_aligned((4 + channels) * TILE_PIXELS),
        np.empty(TILE_BLOCKS, np.bool_),
    )
    extra = allocate_aligned(channels * LANES)
    for ty in range(first, last):
        for tx in range(columns):
            tile = ty * columns + tx
            begin, end = tile_start[tile], tile_start[tile + 1] if tx + 1 < columns else pair_start[ty + 1]
            if begin == end:
                continue
            left, top = tx * TILE, ty * TILE
            unfinished_count = _load_tile(
                state,
                unfinished,
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
                prefetch(records, pairs[min(k + PREFETCH_DISTANCE, end - 1)] * RECORD_FLOATS)
                x0, x1, y0, _ = tile_box(records, g * RECORD_FLOATS)
                run = bits[g * RECORD_FLOATS + 14] + (ty - y0) * (x1 - x0) + tx - x0
                slot = gradients[run * SUM_FLOATS : (run + 1) * SUM_FLOATS]
                if unfinished_count > 0:
                    unfinished_count -= _backward_tile(
                        g, records, colours, channels, grid, left, top, state, unfinished, extra, slot
                    )
                else:
                    slot[:] = 0.0


@kernel("void(f4[::1], i4[::1], f4[::1], i8, i8)")
def sum_slots(gradients: Array, slots: Array, sums: Array, start: int, stop: int) -> None:
    """Add the slots of each of the Gaussians start..stop, in their order."""
    for g in range(start, stop):
        for k in range(0, SUM_FLOATS, LANES):
            v = splat(0.0)
            for run in range(slots[g], slots[g + 1]):
                v = v + load(gradients, run * SUM_FLOATS + k)
            store(sums, g * SUM_FLOATS + k, v)
