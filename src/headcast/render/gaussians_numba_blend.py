"""Blend the Gaussians of each tile front to back. A tile consists of blocks of LANES pixels, four wide.

The pixels of a block form one vector; a Gaussian visits only the blocks that its pixel range overlaps. The
accumulators of a tile stay in the first-level cache as planes of blocks: transmittance, alpha, depth, then
the channels of colour. The transmittance of a finished pixel is stored as zero, so that it never passes
the test of ``MIN_TRANSMITTANCE`` again. Tiles are whole: pixels beyond the image border are computed and
cropped later.
"""

from __future__ import annotations

import math

import numpy as np

from headcast.render.gaussians_numba_bin import TILE, TILE_SHIFT, list_by_tile, sort_by_depth
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
from headcast.render.gaussians_numba_project import RECORD_FLOATS
from headcast.render.gaussians_torch import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from headcast.render.jit import helper, kernel

__all__ = [
    "BLOCKS_PER_ROW",
    "BLOCK_HEIGHT",
    "BLOCK_HEIGHT_SHIFT",
    "PREFETCH_DISTANCE",
    "TILE_BLOCKS",
    "TILE_PIXELS",
    "allocate_aligned",
    "blend_rows",
    "blend_weights",
    "block_range",
    "lane_offsets",
]

TILE_PIXELS = TILE * TILE
TILE_BLOCKS = TILE_PIXELS // LANES
BLOCKS_PER_ROW = TILE // 4  # blocks in a row of a tile
BLOCK_HEIGHT = LANES // 4  # height of a block, pixels
BLOCK_HEIGHT_SHIFT = BLOCK_HEIGHT.bit_length() - 1
PREFETCH_DISTANCE = 4  # Gaussians, how far ahead records are prefetched
_LOG2_MIN_ALPHA = math.log2(MIN_ALPHA)

Array = np.ndarray


@helper
def allocate_aligned(count: int) -> Array:
    """Allocate uninitialised floats aligned to a cache line."""
    raw = np.empty(count + 16, np.float32)
    skip = (-(raw.ctypes.data >> 2)) & 15
    return raw[skip : skip + count]


@helper
def lane_offsets() -> Array:
    """Return x, then y, of a block's pixel centres from its corner."""
    grid = allocate_aligned(2 * LANES)
    for k in range(LANES):
        grid[k], grid[LANES + k] = (k & 3) + 0.5, (k >> 2) + 0.5
    return grid


@helper
def block_range(low: float, high: float, corner: int, shift: int) -> tuple[int, int]:
    """Return blocks of 2^shift pixels that the pixels low..high meet in the tile starting at ``corner``."""
    return max(int(low) - corner, 0) >> shift, (min(int(high) - corner, TILE) + (1 << shift) - 1) >> shift


@helper
def blend_weights(exponent: Lanes, transmittance: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Compute uncapped alpha, alpha, blend weight and the transmittance behind a Gaussian.

    Args:
        exponent: log2(alpha). transmittance: in front of the Gaussian.
    """
    uncapped_alpha = exp2_inside(exponent)
    alpha = where_ge(exponent, _LOG2_MIN_ALPHA, minimum(uncapped_alpha, MAX_ALPHA), 0.0)
    weight = transmittance * alpha
    behind = transmittance - weight
    weight = where_ge(behind, MIN_TRANSMITTANCE, weight, 0.0)
    return (
        uncapped_alpha,
        alpha,
        weight,
        where_ge(behind, MIN_TRANSMITTANCE, behind, 0.0),
    )


@helper
def _reset_tile(state: Array, unfinished: Array) -> None:
    """Reset the accumulators of a tile."""
    state[:TILE_PIXELS] = 1.0
    state[TILE_PIXELS:] = 0.0
    unfinished[:] = True


@helper
def _blend_tile(
    gaussians: Array,
    records: Array,
    colours: Array,
    channels: int,
    grid: Array,
    left: int,
    top: int,
    state: Array,
    unfinished: Array,
) -> None:
    """Blend Gaussians, nearest first, into a tile's accumulators until every pixel is finished."""
    lane_x, lane_y = load(grid, 0), load(grid, LANES)
    unfinished_count = TILE_BLOCKS
    for k in range(len(gaussians)):
        g = gaussians[k]
        r = g * RECORD_FLOATS
        prefetch(records, gaussians[min(k + PREFETCH_DISTANCE, len(gaussians) - 1)] * RECORD_FLOATS)
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
                _, _, weight, behind = blend_weights(exponent, load(state, p))
                store(state, p, behind)
                store(state, p + TILE_PIXELS, weight + load(state, p + TILE_PIXELS))
                store(state, p + 2 * TILE_PIXELS, fma(weight, z, load(state, p + 2 * TILE_PIXELS)))
                store(state, p + 3 * TILE_PIXELS, fma(weight, red, load(state, p + 3 * TILE_PIXELS)))
                store(state, p + 4 * TILE_PIXELS, fma(weight, green, load(state, p + 4 * TILE_PIXELS)))
                store(state, p + 5 * TILE_PIXELS, fma(weight, blue, load(state, p + 5 * TILE_PIXELS)))
                for c in range(3, channels):
                    q = p + (3 + c) * TILE_PIXELS
                    store(state, q, fma(weight, colours[g * channels + c], load(state, q)))
                if not any_ge(behind, MIN_TRANSMITTANCE):
                    unfinished[b] = False
                    unfinished_count -= 1
        if unfinished_count == 0:
            break


@helper
def _write_tile(
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
    """Write a tile's pixels; ``corner`` is the index of its first pixel in a plane of the image."""
    for b in range(TILE_BLOCKS):
        p, offset = (
            b * LANES,
            corner + (b // BLOCKS_PER_ROW) * BLOCK_HEIGHT * pitch + (b % BLOCKS_PER_ROW) * 4,
        )
        # alpha is the sum of the weights: 1 - transmittance is imprecise where the coverage is small
        coverage = load(state, p + TILE_PIXELS)
        transmittance = 1.0 - coverage
        inv_coverage = where_ge(0.0, coverage, 0.0, 1.0 / coverage)
        store_block(alpha, offset, pitch, coverage)
        store_block(depth, offset, pitch, load(state, p + 2 * TILE_PIXELS) * inv_coverage)
        for c in range(channels):
            v = load(state, p + (3 + c) * TILE_PIXELS)
            if straight:
                v = v * inv_coverage
            elif varied:
                v = fma(transmittance, load_block(background, c * plane + offset, pitch), v)
            else:
                v = fma(transmittance, background[c], v)
            store_block(rgb, c * plane + offset, pitch, v)


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

    Images are planes of whole tiles, ``pitch`` floats a row; so is ``background`` if ``varied``, else
    it is one colour. ``straight``: divide colours by alpha instead of blending over a background.
    """
    columns, plane = pitch >> TILE_SHIFT, len(alpha)
    grid, state, unfinished = (
        lane_offsets(),
        allocate_aligned((3 + channels) * TILE_PIXELS),
        np.empty(TILE_BLOCKS, np.bool_),
    )
    for ty in range(first, last):
        gaussians = sort_by_depth(items[row_start[ty] : row_start[ty + 1]], keys)
        tile_starts = tile_start[ty * columns : (ty + 1) * columns]
        list_by_tile(gaussians, boxes, pair_start[ty], columns, pairs, tile_starts)
        for tx in range(columns):
            end = tile_starts[tx + 1] if tx + 1 < columns else pair_start[ty + 1]
            left, top = tx * TILE, ty * TILE
            _reset_tile(state, unfinished)
            _blend_tile(
                pairs[tile_starts[tx] : end], records, colours, channels, grid, left, top, state, unfinished
            )
            corner = top * pitch + left
            _write_tile(
                state, channels, background, varied, straight, corner, pitch, plane, rgb, alpha, depth
            )
