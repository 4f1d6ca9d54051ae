"""Bin Gaussians to tiles, nearest first.

``bin_rows`` lists the Gaussians of each row of tiles, by index. The thread that blends a row sorts its list
by depth (stable radix sort: ties by index) and distributes it to the row's tiles, already sorted.
"""

from __future__ import annotations

import numpy as np

from headcast.render.gaussians_numba_project import RECORD_FLOATS
from headcast.render.jit import helper, kernel

__all__ = ["TILE", "TILE_SHIFT", "bin_rows", "list_by_tile", "sort_by_depth", "tile_box"]

TILE_SHIFT = 4
TILE = 1 << TILE_SHIFT  # px, width and height of a tile
_RADIX = 11

Array = np.ndarray


@helper
def tile_box(records: Array, r: int) -> tuple[int, int, int, int]:
    """Return the tiles x0, x1, y0, y1 (end exclusive) of the Gaussian with record r; x0 = x1: culled."""
    x0, x1, y0, y1 = int(records[r + 10]), int(records[r + 11]), int(records[r + 12]), int(records[r + 13])
    if x0 >= x1 or y0 >= y1:
        return 0, 0, 0, 0
    return x0 >> TILE_SHIFT, (x1 + TILE - 1) >> TILE_SHIFT, y0 >> TILE_SHIFT, (y1 + TILE - 1) >> TILE_SHIFT


@kernel("Tuple((i4[::1], i8[::1], i8[::1]))(f4[::1], i4[::1], i8, i4[::1], i4[::1], i2[:,::1])")
def bin_rows(
    records: Array, bits: Array, rows: int, slots: Array, keys: Array, boxes: Array
) -> tuple[Array, Array, Array]:
    """List the Gaussians of each row of tiles.

    Returns:
        The lists of all rows in one array, where each row starts in it, and where each row's pairs of
        Gaussian and tile start.

    Also writes ``slots`` (N + 1): index of each Gaussian's first slot, one slot per tile that it overlaps;
    the same into field 14 of the records, through their integer view ``bits``; ``keys`` (N): the bits of the
    depths; and ``boxes`` (N, 4): the tiles x0, x1, y0, y1 of each, end exclusive.
    """
    row_start, pair_start = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    count = len(records) // RECORD_FLOATS
    slots[0] = 0
    for g in range(count):
        x0, x1, y0, y1 = tile_box(records, g * RECORD_FLOATS)
        bits[g * RECORD_FLOATS + 14] = slots[g]
        slots[g + 1] = slots[g] + (x1 - x0) * (y1 - y0)
        keys[g] = bits[g * RECORD_FLOATS + 6]
        boxes[g, 0], boxes[g, 1], boxes[g, 2], boxes[g, 3] = x0, x1, y0, y1
        for ty in range(y0, y1):
            row_start[ty + 1] += 1
            pair_start[ty + 1] += x1 - x0
    for ty in range(rows):
        row_start[ty + 1] += row_start[ty]
        pair_start[ty + 1] += pair_start[ty]
    items, cursor = np.empty(row_start[rows], np.int32), row_start.copy()
    for g in range(count):
        for ty in range(boxes[g, 2], boxes[g, 3]):
            items[cursor[ty]] = g
            cursor[ty] += 1
    return items, row_start, pair_start


@helper
def sort_by_depth(items: Array, depths: Array) -> Array:
    """Sort ``items`` by depth with a radix sort: the bits of positive floats order like the floats."""
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
def list_by_tile(items: Array, boxes: Array, first: int, columns: int, pairs: Array, start: Array) -> None:
    """Distribute the list of one row to its tiles: ``pairs`` from ``first`` on, tile by tile, and their
    ``start``."""
    cursor = np.zeros(columns + 1, np.int64)
    for g in items:
        for tx in range(boxes[g, 0], boxes[g, 1]):
            cursor[tx + 1] += 1
    cursor[0] = first
    for tx in range(columns):
        cursor[tx + 1] += cursor[tx]
        start[tx] = cursor[tx]
    for g in items:
        for tx in range(boxes[g, 0], boxes[g, 1]):
            pairs[cursor[tx]] = g
            cursor[tx] += 1
