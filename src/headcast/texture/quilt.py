"""Quilt texture strips from an example: overlapping blocks, cut along their least difference.

A strip goes around an object: its columns are cyclic. Blocks are laid from left to right; each is the best
of randomly drawn places of the example, compared where the strip is known already (after Efros & Freeman,
SIGGRAPH 2001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.render.jit import helper, kernel

__all__ = ["CANDIDATES", "Exemplar", "Strip", "quilt_strip"]

CANDIDATES = 28  # places of the example that are compared for a block
ORIENTATION_WEIGHT = 1.0  # of a quarter turn between the strands' directions, next to the example's variance


class Exemplar(NamedTuple):
    """Images to take blocks from, and the places where a whole block is known.

    Attributes:
        images: (a, h, w, 3). place: (p, 3) image, row and column of a block's upper left corner.
        flow: (p, 2) cosine and sine of twice the strands' direction there, times its coherence 0..1.
    """

    images: Float[np.ndarray, "a h w 3"]
    place: Int[np.ndarray, "p 3"]
    flow: Float[np.ndarray, "p 2"]


class Strip(NamedTuple):
    """What is known of a strip of b rows and l cyclic columns before it is quilted.

    Attributes:
        values: (b, l, 3). known: (b, l) 0..1, weight of ``values`` in comparisons.
        top: rows at the top that are filled by the strip above.
        wanted: (b, l) 0 or 1, what has to be filled. flow: (l, 2) as in ``Exemplar``.
    """

    values: Float[np.ndarray, "b l 3"]
    known: Float[np.ndarray, "b l"]
    top: int
    wanted: Float[np.ndarray, "b l"]
    flow: Float[np.ndarray, "l 2"]


def quilt_strip(
    exemplar: Exemplar, strip: Strip, block: int, overlap: int, rng: np.random.Generator
) -> Float[np.ndarray, "b l 3"]:
    """Fill a strip with blocks of the example, ``block`` columns wide, ``overlap`` of them shared."""
    length = strip.values.shape[1]
    count = max(1, -(-length // (block - overlap)))
    starts = np.round((np.arange(count) + rng.random()) * length / count).astype(np.int32) % length
    drawn = rng.integers(0, len(exemplar.place), (count, CANDIDATES)).astype(np.int32)
    out = np.ascontiguousarray(strip.values, np.float32).copy()
    filled = np.zeros(out.shape[:2], np.float32)
    filled[: strip.top] = 1.0
    variance = np.float32(max(float(exemplar.images.var()), 1e-8))
    _quilt(
        out,
        filled,
        np.ascontiguousarray(strip.values, np.float32),
        np.ascontiguousarray(strip.known, np.float32),
        np.ascontiguousarray(strip.wanted, np.float32),
        np.ascontiguousarray(strip.flow, np.float32),
        np.ascontiguousarray(exemplar.images, np.float32),
        np.ascontiguousarray(exemplar.place, np.int32),
        np.ascontiguousarray(exemplar.flow, np.float32),
        starts,
        drawn,
        np.array([block, overlap, strip.top], np.int32),
        variance * np.float32(ORIENTATION_WEIGHT),
    )
    return out


@helper
def _is_wanted(wanted, x0, width):
    """Return whether any column of a block has to be filled."""
    length = wanted.shape[1]
    for i in range(wanted.shape[0]):
        for j in range(width):
            if wanted[i, (x0 + j) % length] > 0:
                return True
    return False


@helper
def _difference(out, filled, values, known, images, a, y, x, x0, width):
    """Return the mean squared difference of a block to what is known below it; 0 where nothing is."""
    length = out.shape[1]
    total, weight = np.float32(0), np.float32(1e-6)
    for i in range(out.shape[0]):
        for j in range(width):
            k = (x0 + j) % length
            seen, placed = known[i, k], filled[i, k]
            if seen + placed > 0:
                for c in range(3):
                    patch = images[a, y + i, x + j, c]
                    d, e = values[i, k, c] - patch, out[i, k, c] - patch
                    total += seen * d * d + placed * (1 - seen) * e * e
                weight += seen + placed * (1 - seen)
    return total / weight


@helper
def _cut_down(error, path):
    """Write the column of the cheapest cut from the first to the last row of ``error`` (changed)."""
    rows, columns = error.shape
    for i in range(1, rows):
        for j in range(columns):
            best = error[i - 1, j]
            if j > 0:
                best = min(best, error[i - 1, j - 1])
            if j + 1 < columns:
                best = min(best, error[i - 1, j + 1])
            error[i, j] += best
    at = 0
    for j in range(columns):
        if error[rows - 1, j] < error[rows - 1, at]:
            at = j
    path[rows - 1] = at
    for i in range(rows - 2, -1, -1):
        low, high = max(at - 1, 0), min(at + 1, columns - 1)
        best_at = low
        for j in range(low, high + 1):
            if error[i, j] < error[i, best_at]:
                best_at = j
        at = best_at
        path[i] = at


@helper
def _patch_error(out, filled, images, a, y, x, k, i, j):
    """Return the squared difference of one texel of a block, 0 where the strip is empty."""
    if filled[i, k] <= 0:
        return np.float32(0)
    total = np.float32(0)
    for c in range(3):
        d = out[i, k, c] - images[a, y + i, x + j, c]
        total += d * d
    return total


@kernel(
    "void(f4[:,:,::1], f4[:,::1], f4[:,:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,:,:,::1], i4[:,::1],"
    " f4[:,::1], i4[::1], i4[:,::1], i4[::1], f4)"
)
def _quilt(
    out, filled, values, known, wanted, flow, images, place, place_flow, starts, drawn, sizes, turn_cost
):
    """Lay all blocks of a strip."""
    height, length = out.shape[0], out.shape[1]
    block, overlap, top = sizes[0], sizes[1], sizes[2]
    left_error, right_error = (
        np.empty((height, overlap), np.float32),
        np.empty((height, overlap), np.float32),
    )
    top_error = np.empty((block, max(top, 1)), np.float32)
    left, right, upper = (
        np.zeros(height, np.int32),
        np.zeros(height, np.int32),
        np.zeros(block, np.int32),
    )
    for b in range(len(starts)):
        x0 = starts[b]
        if not _is_wanted(wanted, x0, block):
            continue
        middle = (x0 + block // 2) % length
        best, a, y, x = np.float32(np.inf), 0, 0, 0
        for n in range(drawn.shape[1]):
            p = drawn[b, n]
            coherence = np.sqrt(place_flow[p, 0] ** 2 + place_flow[p, 1] ** 2)
            along = place_flow[p, 0] * flow[middle, 0] + place_flow[p, 1] * flow[middle, 1]
            cost = turn_cost * (coherence - along)
            if cost >= best:
                continue
            cost += _difference(
                out, filled, values, known, images, place[p, 0], place[p, 1], place[p, 2], x0, block
            )
            if cost < best:
                best, a, y, x = cost, place[p, 0], place[p, 1], place[p, 2]
        for i in range(height):
            for j in range(overlap):
                k = (x0 + j) % length
                left_error[i, j] = _patch_error(out, filled, images, a, y, x, k, i, j)
                j2 = block - overlap + j
                k = (x0 + j2) % length
                right_error[i, j] = _patch_error(out, filled, images, a, y, x, k, i, j2)
        for j in range(block):
            k = (x0 + j) % length
            for i in range(top):
                top_error[j, i] = _patch_error(out, filled, images, a, y, x, k, i, j)
        _cut_down(left_error, left)
        _cut_down(right_error, right)
        if top > 0:
            _cut_down(top_error, upper)
        for i in range(height):
            for j in range(block):
                k = (x0 + j) % length
                keep = filled[i, k] > 0 and (
                    (j < left[i] and j < overlap)
                    or j - (block - overlap) > right[i]
                    or (i < top and i < upper[j])
                )
                if not keep:
                    for c in range(3):
                        out[i, k, c] = images[a, y + i, x + j, c]
                    filled[i, k] = 1
