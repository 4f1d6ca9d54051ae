"""Find the margins of any head's eyelids as lines of vertices, also where no lids rest on the eyes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import BLINKS, HeadModel

__all__ = ["Margin", "lid_margins"]

STRIPS = 16  # across an eye: in each the vertex that a blink moves most lies on the upper margin


class Margin(NamedTuple):
    """Vertices of one eye's lids.

    Attributes:
        lids: vertices of both lids. upper, lower: those of the margins, ordered by x.

    ``lower`` is empty where the head does not name them.
    """

    lids: Int[np.ndarray, "l"]
    upper: Int[np.ndarray, "u"]
    lower: Int[np.ndarray, "w"]


def lid_margins(head: HeadModel, rest: Float[np.ndarray, "v 3"]) -> tuple[Margin, Margin]:
    """Find the lid margins of the left and the right eye; ``rest``: vertices at rest.

    Foreign heads have ``lid_share`` for each side separately, or no margins at all: there the upper margin is
    what eyeBlink moves most.
    """
    left, right = (_margin(head, rest, side) for side in (0, 1))
    return left, right


def _margin(head: HeadModel, rest: Float[np.ndarray, "v 3"], side: int) -> Margin:
    """Find one eye's lid margins, by name where the head has them."""
    lids = head.lid_index[side].numpy()
    if not len(lids):
        return _moved_margin(head, rest, side)
    edge = lids[head.lid_rim.numpy()]
    lid_share = np.broadcast_to(head.lid_share.numpy(), (2, len(edge)))[side]
    upper, lower = edge[lid_share > 0], edge[lid_share < 0]
    return Margin(lids, upper[np.argsort(rest[upper, 0])], lower[np.argsort(rest[lower, 0])])


def _moved_margin(head: HeadModel, rest: Float[np.ndarray, "v 3"], side: int) -> Margin:
    """Find the upper margin by what a blink moves most."""
    length = np.linalg.norm(head.expression_basis[BLINKS[side]].numpy(), axis=1)
    lids = np.flatnonzero((length > 0.1 * length.max()) & head.region_mask("lids").numpy())
    across = rest[lids, 0]
    strip = ((across - across.min()) / (np.ptp(across) + 1e-9) * STRIPS).astype(int)
    upper = np.array([lids[strip == k][length[lids[strip == k]].argmax()] for k in np.unique(strip)])
    return Margin(lids, upper[np.argsort(rest[upper, 0])], np.zeros(0, np.int64))
