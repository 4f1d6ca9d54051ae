"""Blending the Gaussians of a tile, front to back. A tile is cut into blocks of LANES pixels, four wide.

One block's pixels are one vector, so a Gaussian visits only the blocks its box meets and does 16 (or 8) pixels at
once. The tile's state stays in the first-level cache as planes of blocks: transmittance, then depth, then the channels
of colour. A finished pixel's transmittance is stored negative: it then never passes the test of
``MIN_TRANSMITTANCE`` again. Pixels outside the picture start like that.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_bin import SHIFT, TILE, deal_to_tiles
from headcast.render.gaussians_numba_lanes import (
    LANES, Lanes, absolute, any_ge, exp2, fma, inline, kernel, load, minimum, store, where_ge,
)  # fmt: skip
from headcast.render.gaussians_numba_project import RECORD
from headcast.render.gaussians_torch import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE

__all__ = ["AREA", "BLOCKS", "aligned", "block_range", "blend_rows", "lane_offsets", "place", "weigh"]

AREA = TILE * TILE
BLOCKS = AREA // LANES
ACROSS = TILE // 4  # blocks in a row of a tile
TALL = LANES // 4  # pixels in a block's column
TALL_SHIFT = TALL.bit_length() - 1
_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)

Array = np.ndarray


@inline
def aligned(count: int) -> Array:
    """Uninitialised floats that start at a cache line."""
    raw = np.empty(count + 16, np.float32)
    skip = (-(raw.ctypes.data >> 2)) & 15
    return raw[skip : skip + count]


@inline
def lane_offsets() -> Array:
    """x, then y, of a block's pixel centres from its corner."""
    grid = aligned(2 * LANES)
    for k in range(LANES):
        grid[k], grid[LANES + k] = (k & 3) + 0.5, (k >> 2) + 0.5
    return grid


@inline
def place(x: int, y: int) -> int:
    """Where the pixel (x, y) of a tile lies in a plane of blocks."""
    return (((y >> TALL_SHIFT) * ACROSS + (x >> 2)) * LANES) + ((y & (TALL - 1)) << 2) + (x & 3)


@inline
def block_range(low: float, high: float, corner: int, shift: int) -> tuple[int, int]:
    """Blocks of 2^shift pixels that the pixels low..high meet in the tile starting at ``corner``."""
    return max(int(low) - corner, 0) >> shift, (min(int(high) - corner, TILE) + (1 << shift) - 1) >> shift


@inline
def weigh(exponent: Lanes, before: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Uncapped alpha, alpha, blend weight and the transmittance behind, from log2(alpha) and that in front."""
    raw = exp2(exponent)
    alpha = where_ge(exponent, _LOG2_MIN_ALPHA, minimum(raw, MAX_ALPHA), 0.0)
    weight = before * alpha
    behind = before - weight
    weight = where_ge(behind, MIN_TRANSMITTANCE, weight, 0.0)
    return raw, alpha, weight, where_ge(behind, MIN_TRANSMITTANCE, behind, -absolute(before))


@inline
def _begin(state: Array, busy: Array, wide: int, high: int) -> int:
    """Clears a tile of which ``wide`` x ``high`` pixels lie in the picture; returns the number of live blocks."""
    state[:] = 0.0
    for y in range(TILE):
        for x in range(TILE):
            state[place(x, y)] = 1.0 if x < wide and y < high else -1.0
    live = 0
    for b in range(BLOCKS):
        busy[b] = any_ge(load(state, b * LANES), 0.0)
        live += busy[b]
    return live


@inline
def _blend_tile(
    todo: Array, records: Array, colours: Array, channels: int, grid: Array, left: int, top: int, state: Array,
    busy: Array, live: int,
) -> None:  # fmt: skip
    """Blends the Gaussians ``todo`` into a tile's state until every pixel is finished."""
    lane_x, lane_y = load(grid, 0), load(grid, LANES)
    for g in todo:
        r = g * RECORD
        mx, my = records[r] - np.float32(left), records[r + 1] - np.float32(top)
        A, B, C, level, z = records[r + 2], records[r + 3], records[r + 4], records[r + 5], records[r + 6]
        red, green, blue = records[r + 7], records[r + 8], records[r + 9]
        x0, x1 = block_range(records[r + 10], records[r + 11], left, 2)
        y0, y1 = block_range(records[r + 12], records[r + 13], top, TALL_SHIFT)
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
                store(state, p + AREA, fma(weight, z, load(state, p + AREA)))
                store(state, p + 2 * AREA, fma(weight, red, load(state, p + 2 * AREA)))
                store(state, p + 3 * AREA, fma(weight, green, load(state, p + 3 * AREA)))
                store(state, p + 4 * AREA, fma(weight, blue, load(state, p + 4 * AREA)))
                for c in range(3, channels):
                    q = p + (2 + c) * AREA
                    store(state, q, fma(weight, colours[g * channels + c], load(state, q)))
                if not any_ge(behind, 0.0):
                    busy[b] = False
                    live -= 1
        if live == 0:
            break


@inline
def _finish(
    state: Array, channels: int, background: Array, step: int, straight: bool, left: int, top: int, width: int,
    height: int, rgb: Array, alpha: Array, depth: Array,
) -> None:  # fmt: skip
    """Writes a tile's pixels; an empty one's too."""
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            p = place(x, y)
            pixel = (top + y) * width + left + x
            through = abs(state[p])
            covered = np.float32(1.0) - through
            over = np.float32(1.0) / covered if covered > 0 else np.float32(0.0)
            alpha[pixel] = covered
            depth[pixel] = state[p + AREA] * over
            for c in range(channels):
                v = state[p + (2 + c) * AREA]
                rgb[pixel * channels + c] = v * over if straight else v + through * background[pixel * step + c]


@kernel
def blend_rows(
    first: int, last: int, records: Array, colours: Array, channels: int, boxes: Array, items: Array,
    row_start: Array, pair_start: Array, pairs: Array, tile_start: Array, background: Array, step: int,
    straight: bool, width: int, height: int, rgb: Array, alpha: Array, depth: Array,
) -> None:  # fmt: skip
    """Renders the rows of tiles first..last. ``step`` is 0 for one background colour, else the channels."""
    columns = (width + TILE - 1) >> SHIFT
    grid, state, busy = lane_offsets(), aligned((2 + channels) * AREA), np.empty(BLOCKS, np.bool_)
    for ty in range(first, last):
        row = items[row_start[ty] : row_start[ty + 1]]
        starts = tile_start[ty * columns : (ty + 1) * columns]
        deal_to_tiles(row, boxes, pair_start[ty], columns, pairs, starts)
        for tx in range(columns):
            end = starts[tx + 1] if tx + 1 < columns else pair_start[ty + 1]
            left, top = tx * TILE, ty * TILE
            live = _begin(state, busy, width - left, height - top)
            _blend_tile(pairs[starts[tx] : end], records, colours, channels, grid, left, top, state, busy, live)
            _finish(state, channels, background, step, straight, left, top, width, height, rgb, alpha, depth)
