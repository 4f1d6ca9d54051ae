"""The outline of the face among the 478 landmarks of MediaPipe."""

from __future__ import annotations

__all__ = ["OVAL"]

OVAL = (
    10,
    338,
    297,
    332,
    284,
    251,
    389,
    356,
    454,
    323,
    361,
    288,
    397,
    365,
    379,
    378,
    400,
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
)
"""Landmarks around the face, a closed outline in order, from the forehead over the subject's left."""
