"""Bin Gaussians to tiles, nearest first.

Gaussians are dealt out by index to the rows of tiles. Whoever blends a row orders its list by depth (radix
sort, stable:
ties by index) and deals it out to the row's tiles, which need no further sorting.
"""

from __future__ import annotations

import numpy as np

from headcast.render.gaussians_numba_project import RECORD
from headcast.render.jit import helper, kernel

__all__ = ["SHIFT", "TILE", "bin_rows", "by_depth", "deal_to_tiles", "tile_box"]

SHIFT = 4
TILE = 1 << SHIFT  # px, width and height of a tile
_RADIX = 11

Array = np.ndarray


@helper
def tile_box(records: Array, r: int) -> tuple[int, int, int, int]:
    """Return the tiles x0, x1, y0, y1 (end exclusive) of the Gaussian with record r; x0 = x1: culled."""
    x0, x1, y0, y1 = int(records[r + 10]), int(records[r + 11]), int(records[r + 12]), int(records[r + 13])
    if x0 >= x1 or y0 >= y1:
        return 0, 0, 0, 0
    return x0 >> SHIFT, (x1 + TILE - 1) >> SHIFT, y0 >> SHIFT, (y1 + TILE - 1) >> SHIFT


@kernel("Tuple((i4[::1], i8[::1], i8[::1]))(f4[::1], i4[::1], i8, i4[::1], i4[::1], i2[:,::1])")
def bin_rows(
    records: Array, bits: Array, rows: int, slots: Array, keys: Array, boxes: Array
) -> tuple[Array, Array, Array]:
    """List all rows of tiles in one array, where each starts, and where each row's pairs with tiles
    start.

    Writes ``slots`` (N + 1), where each Gaussian's run of one slot a tile starts, and the same into the
    records through ``bits``, the records as integers; and, close together for what follows, the depths'
    bits ``keys`` (N) and the tiles met ``boxes`` (N, 4: x0, x1, y0, y1).
    """
    row_start, pair_start = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    count = len(records) // RECORD
    slots[0] = 0
    for g in range(count):
        x0, x1, y0, y1 = tile_box(records, g * RECORD)
        bits[g * RECORD + 14] = slots[g]
        slots[g + 1] = slots[g] + (x1 - x0) * (y1 - y0)
        keys[g] = bits[g * RECORD + 6]
        boxes[g, 0], boxes[g, 1], boxes[g, 2], boxes[g, 3] = x0, x1, y0, y1
        for ty in range(y0, y1):
            row_start[ty + 1] += 1
            pair_start[ty + 1] += x1 - x0
    for ty in range(rows):
        row_start[ty + 1] += row_start[ty]
        pair_start[ty + 1] += pair_start[ty]
    items, at = np.empty(row_start[rows], np.int32), row_start.copy()
    for g in range(count):
        for ty in range(boxes[g, 2], boxes[g, 3]):
            items[at[ty]] = g
            at[ty] += 1
    return items, row_start, pair_start


@helper
def by_depth(items: Array, depths: Array) -> Array:
    """Sort ``items`` by depth, whose bits order like the positive floats they are; least significant digits
    first."""
    n = len(items)
    keys, low, high = np.empty(n, np.int32), 2147483647, 0
    for k in range(n):
        key = depths[items[k]]
        keys[k], low, high = key, min(low, key), max(high, key)
    order, keys_to, order_to = items.copy(), np.empty(n, np.int32), np.empty(n, np.int32)
    start = np.empty((1 << _RADIX) + 1, np.int32)
    mask = (1 << _RADIX) - 1
    shift = 0
    while (high - low) >> shift > 0:
        start[:] = 0
        for k in range(n):
            start[(((keys[k] - low) >> shift) & mask) + 1] += 1
        for d in range(mask):
            start[d + 1] += start[d]
        for k in range(n):
            d = ((keys[k] - low) >> shift) & mask
            keys_to[start[d]], order_to[start[d]] = keys[k], order[k]
            start[d] += 1
        keys, keys_to = keys_to, keys
        order, order_to = order_to, order
        shift += _RADIX
    return order


@helper
def deal_to_tiles(items: Array, boxes: Array, first: int, columns: int, pairs: Array, start: Array) -> None:
    """Distribute the list of one row to its tiles: ``pairs`` from ``first`` on, tile by tile, and their
    ``start``."""
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
