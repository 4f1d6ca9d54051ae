"""Blending the Gaussians of a tile, front to back. A tile is cut into blocks of LANES pixels, four wide.

One block's pixels are one vector, so a Gaussian visits only the blocks its box meets and does 16 (or 8)
pixels at
once. The tile's state stays in the first-level cache as planes of blocks: transmittance, alpha, depth, then
the channels
of colour. A finished pixel's transmittance is stored as zero: it then never passes the test of
``MIN_TRANSMITTANCE`` again. Tiles are whole: pixels beyond the image border are computed and not shown.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_bin import SHIFT, TILE, by_depth, deal_to_tiles
from headcast.render.gaussians_numba_lanes import (
    LANES,
    Lanes,
    any_ge,
    exp2_inside,
    fma,
    load,
    load_block,
    minimum,
    prefetch,
    read,
    store,
    store_block,
    where_ge,
)
from headcast.render.gaussians_numba_project import RECORD
from headcast.render.gaussians_torch import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from headcast.render.jit import helper, kernel

__all__ = [
    "ACROSS",
    "AHEAD",
    "AREA",
    "BLOCKS",
    "TALL",
    "TALL_SHIFT",
    "aligned",
    "blend_rows",
    "block_range",
    "lane_offsets",
    "weigh",
]

AREA = TILE * TILE
BLOCKS = AREA // LANES
ACROSS = TILE // 4  # blocks in a row of a tile
TALL = LANES // 4  # pixels in a block's column
TALL_SHIFT = TALL.bit_length() - 1
AHEAD = 4  # how many Gaussians ahead their records are fetched
_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)

Array = np.ndarray


@helper
def aligned(count: int) -> Array:
    """Allocate uninitialised floats aligned to a cache line."""
    raw = np.empty(count + 16, np.float32)
    skip = (-(raw.ctypes.data >> 2)) & 15
    return raw[skip : skip + count]


@helper
def lane_offsets() -> Array:
    """Return x, then y, of a block's pixel centres from its corner."""
    grid = aligned(2 * LANES)
    for k in range(LANES):
        grid[k], grid[LANES + k] = (k & 3) + 0.5, (k >> 2) + 0.5
    return grid


@helper
def block_range(low: float, high: float, corner: int, shift: int) -> tuple[int, int]:
    """Return blocks of 2^shift pixels that the pixels low..high meet in the tile starting at ``corner``."""
    return max(int(low) - corner, 0) >> shift, (min(int(high) - corner, TILE) + (1 << shift) - 1) >> shift


@helper
def weigh(exponent: Lanes, before: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Compute uncapped alpha, alpha, blend weight and the transmittance behind, from log2(alpha) and that in
    front."""
    raw = exp2_inside(exponent)
    alpha = where_ge(exponent, _LOG2_MIN_ALPHA, minimum(raw, MAX_ALPHA), 0.0)
    weight = before * alpha
    behind = before - weight
    weight = where_ge(behind, MIN_TRANSMITTANCE, weight, 0.0)
    return raw, alpha, weight, where_ge(behind, MIN_TRANSMITTANCE, behind, 0.0)


@helper
def _begin(state: Array, busy: Array) -> None:
    """Reset the accumulators of a tile."""
    state[:AREA] = 1.0
    state[AREA:] = 0.0
    busy[:] = True


@helper
def _blend_tile(
    todo: Array,
    records: Array,
    colours: Array,
    channels: int,
    grid: Array,
    left: int,
    top: int,
    state: Array,
    busy: Array,
) -> None:
    """Blend the Gaussians ``todo`` into a tile's state until every pixel is finished."""
    lane_x, lane_y = load(grid, 0), load(grid, LANES)
    live = BLOCKS
    for k in range(len(todo)):
        g = todo[k]
        r = g * RECORD
        prefetch(records, todo[min(k + AHEAD, len(todo) - 1)] * RECORD)
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
                _, _, weight, behind = weigh(exponent, load(state, p))
                store(state, p, behind)
                store(state, p + AREA, weight + load(state, p + AREA))
                store(state, p + 2 * AREA, fma(weight, z, load(state, p + 2 * AREA)))
                store(state, p + 3 * AREA, fma(weight, red, load(state, p + 3 * AREA)))
                store(state, p + 4 * AREA, fma(weight, green, load(state, p + 4 * AREA)))
                store(state, p + 5 * AREA, fma(weight, blue, load(state, p + 5 * AREA)))
                for c in range(3, channels):
                    q = p + (3 + c) * AREA
                    store(state, q, fma(weight, colours[g * channels + c], load(state, q)))
                if not any_ge(behind, MIN_TRANSMITTANCE):
                    busy[b] = False
                    live -= 1
        if live == 0:
            break


@helper
def _finish(
    state: Array,
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
) -> None:
    """Write a tile's pixels; ``corner`` is its first in a plane of the image."""
    for b in range(BLOCKS):
        p, at = b * LANES, corner + (b // ACROSS) * TALL * pitch + (b % ACROSS) * 4
        # alpha is the sum of the weights: 1 - transmittance has no digits left where little is covered
        covered = load(state, p + AREA)
        through = 1.0 - covered
        over = where_ge(0.0, covered, 0.0, 1.0 / covered)
        store_block(alpha, at, pitch, covered)
        store_block(depth, at, pitch, load(state, p + 2 * AREA) * over)
        for c in range(channels):
            v = load(state, p + (3 + c) * AREA)
            if straight:
                v = v * over
            elif varied:
                v = fma(through, load_block(background, c * plane + at, pitch), v)
            else:
                v = fma(through, background[c], v)
            store_block(rgb, c * plane + at, pitch, v)


@kernel(
    "void(i8, i8, f4[::1], i4[::1], i2[:,::1], f4[::1], i8, i4[::1], i8[::1], i8[::1], i4[::1], i8[::1]"
    ", f4[::1], b1, b1, i8, f4[::1], f4[::1], f4[::1])"
)
def blend_rows(
    first: int,
    last: int,
    records: Array,
    keys: Array,
    boxes: Array,
    colours: Array,
    channels: int,
    items: Array,
    row_start: Array,
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
) -> None:
    """Render the rows of tiles first..last.

    Images are planes of whole tiles, ``pitch`` floats a row; so is ``background`` where it is ``varied``,
    else one
    colour.
    """
    columns, plane = pitch >> SHIFT, len(alpha)
    grid, state, busy = lane_offsets(), aligned((3 + channels) * AREA), np.empty(BLOCKS, np.bool_)
    for ty in range(first, last):
        row = by_depth(items[row_start[ty] : row_start[ty + 1]], keys)
        starts = tile_start[ty * columns : (ty + 1) * columns]
        deal_to_tiles(row, boxes, pair_start[ty], columns, pairs, starts)
        for tx in range(columns):
            end = starts[tx + 1] if tx + 1 < columns else pair_start[ty + 1]
            left, top = tx * TILE, ty * TILE
            _begin(state, busy)
            _blend_tile(pairs[starts[tx] : end], records, colours, channels, grid, left, top, state, busy)
            corner = top * pitch + left
            _finish(state, channels, background, varied, straight, corner, pitch, plane, rgb, alpha, depth)
