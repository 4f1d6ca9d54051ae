"""Where short hair grows on a head: a map that ``tools/learn_hair_growth.py`` learns."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

from headcast.methods.fit.hair.grid import HairGrid

__all__ = ["growth_prior"]


def growth_prior(grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return the probability that short hair grows on every ray; none below the map's rows.

    Raises:
        HeadcastError: the map is missing.
    """
    known = _growth()
    out = np.zeros(grid.shape)
    rows = min(len(known), len(out))
    out[:rows] = known[:rows]
    return out


@cache
def _growth() -> Float[np.ndarray, "r m"]:
    """Load the map: rows of the grid from the top, columns all around, 0..1."""
    from headcast.weights import load_tensors

    return load_tensors("hair_growth").tensors["growth"].numpy().astype(np.float64) / 255
