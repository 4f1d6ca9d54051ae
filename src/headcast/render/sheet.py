"""Contact sheets: images side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

__all__ = ["contact_sheet"]


def contact_sheet(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    columns: int,
    *,
    labels: Sequence[str] | None = None,
    gap: int = 4,
    background: int = 255,
) -> UInt8[np.ndarray, "h w 3"]:
    """Arrange images in a grid, row by row; cells have the size of the largest image, others are centred.

    Labels, when given, are written into the top left corners.
    """
    if not images:
        return np.full((gap, gap, 3), background, np.uint8)
    height, width = max(p.shape[0] for p in images), max(p.shape[1] for p in images)
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), background, np.uint8)
    for i, image in enumerate(images):
        y = gap + i // columns * (height + gap) + (height - image.shape[0]) // 2
        x = gap + i % columns * (width + gap) + (width - image.shape[1]) // 2
        cell = image if labels is None or i >= len(labels) else _labelled(image, labels[i])
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = cell
    return sheet


def _labelled(image: np.ndarray, text: str) -> np.ndarray:
    import cv2

    out = np.ascontiguousarray(image).copy()
    size = max(0.35, image.shape[0] / 800)
    at = (4, int(24 * size) + 2)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA)
    return out
