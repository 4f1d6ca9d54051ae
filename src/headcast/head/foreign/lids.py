"""Lids of a foreign topology: they close as its eyeBlink says and are not laid on the eyes."""

from __future__ import annotations

import numpy as np

__all__ = ["no_lids"]


def no_lids() -> dict[str, np.ndarray]:
    """Buffers ``lid_*`` of a head whose lids are not laid on its eyes."""
    return {
        "lid_index": np.zeros((2, 0), np.int64), "lid_rim": np.zeros(0, np.int64),
        "lid_partner": np.zeros((0, 0)), "lid_share": np.zeros(0), "lid_spread": np.zeros((0, 0)),
        "lid_clearance": np.zeros(0),
    }  # fmt: skip
