"""Which Gaussian meets which tile, nearest first.

All that can be drawn are ordered by depth (radix sort, stable: ties by index), then dealt out in that order to the rows
of tiles; the blending of a row deals its list out to the row's tiles. No list is ever sorted again.
"""

from __future__ import annotations

import numpy as np

from headcast.render.gaussians_numba_lanes import inline, kernel
from headcast.render.gaussians_numba_project import RECORD

__all__ = ["SHIFT", "TILE", "bin_rows", "deal_to_tiles"]

SHIFT = 4
TILE = 1 << SHIFT  # px, width and height of a tile
_RADIX = 11

Array = np.ndarray


@inline
def _by_depth(keys: Array, order: Array, low: int, high: int) -> Array:
    """Reorders ``order`` by ``keys`` (both are overwritten), least significant digits first."""
    n = len(order)
    keys_to, order_to = np.empty_like(keys), np.empty_like(order)
    shift = 0
    while (high - low) >> shift > 0:
        start = np.zeros((1 << _RADIX) + 1, np.int64)
        for k in range(n):
            start[(((np.int64(keys[k]) - low) >> shift) & ((1 << _RADIX) - 1)) + 1] += 1
        for d in range(1 << _RADIX):
            start[d + 1] += start[d]
        for k in range(n):
            d = ((np.int64(keys[k]) - low) >> shift) & ((1 << _RADIX) - 1)
            keys_to[start[d]] = keys[k]
            order_to[start[d]] = order[k]
            start[d] += 1
        keys, keys_to = keys_to, keys
        order, order_to = order_to, order
        shift += _RADIX
    return order


@inline
def _visible(records: Array, bits: Array, boxes: Array, slots: Array) -> tuple[Array, Array, int, int]:
    """Depth bits (order of positive floats) and index of what is drawn, with the range of the bits.

    Writes the tiles each one meets, x0 x1 y0 y1, and where its run of one slot a tile starts.
    """
    count = len(records) // RECORD
    keys, order = np.empty(count, np.uint32), np.empty(count, np.int32)
    n, low, high = 0, np.int64(1) << 40, np.int64(0)
    for g in range(count):
        r = g * RECORD
        x0, x1 = int(records[r + 10]), int(records[r + 11])
        y0, y1 = int(records[r + 12]), int(records[r + 13])
        slots[g + 1] = slots[g]
        if x0 < x1 and y0 < y1:
            boxes[g, 0], boxes[g, 1] = x0 >> SHIFT, (x1 + TILE - 1) >> SHIFT
            boxes[g, 2], boxes[g, 3] = y0 >> SHIFT, (y1 + TILE - 1) >> SHIFT
            slots[g + 1] += (boxes[g, 1] - boxes[g, 0]) * (boxes[g, 3] - boxes[g, 2])
            key = bits[r + 6]
            keys[n], order[n] = key, g
            low, high = min(low, np.int64(key)), max(high, np.int64(key))
            n += 1
    return keys[:n], order[:n], low, high


@kernel
def bin_rows(records: Array, bits: Array, rows: int, boxes: Array, slots: Array) -> tuple[Array, Array, Array]:
    """Lists of all rows of tiles in one array, where each starts, and where each row's pairs with tiles start.

    ``bits`` is ``records`` seen as uint32; ``boxes`` (N, 4) int16 and ``slots`` (N + 1) are written.
    """
    slots[0] = 0
    keys, order, low, high = _visible(records, bits, boxes, slots)
    order = _by_depth(keys, order, low, high)
    row_start, pair_start = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    for g in order:
        for ty in range(boxes[g, 2], boxes[g, 3]):
            row_start[ty + 1] += 1
            pair_start[ty + 1] += boxes[g, 1] - boxes[g, 0]
    for ty in range(rows):
        row_start[ty + 1] += row_start[ty]
        pair_start[ty + 1] += pair_start[ty]
    items, at = np.empty(row_start[rows], np.int32), row_start.copy()
    for g in order:
        for ty in range(boxes[g, 2], boxes[g, 3]):
            items[at[ty]] = g
            at[ty] += 1
    return items, row_start, pair_start


@inline
def deal_to_tiles(items: Array, boxes: Array, first: int, columns: int, pairs: Array, start: Array) -> None:
    """Deals the list of one row to its tiles: ``pairs`` from ``first`` on, tile by tile, and their ``start``."""
    at = np.zeros(columns + 1, np.int64)
    for g in items:
        for tx in range(boxes[g, 0], boxes[g, 1]):
            at[tx + 1] += 1
    at[0] = first
    for tx in range(columns):
        at[tx + 1] += at[tx]
        start[tx] = at[tx]
    for g in items:
        for tx in range(boxes[g, 0], boxes[g, 1]):
            pairs[at[tx]] = g
            at[tx] += 1
