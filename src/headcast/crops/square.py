"""Squares of an image and boxes, in numpy; what is cut out is resampled by OpenCV, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8

__all__ = [
    "Box",
    "Square",
    "box_of",
    "cut_square",
    "face_size",
    "overlap",
    "pixel_square",
    "shifted",
    "square_around",
    "squared",
]

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1, pixels."""


class CutSquare(NamedTuple):
    """A resampled square and its affine map: pixel of the square = A @ pixel of the image + t."""

    image: UInt8[np.ndarray, "s s 3"]
    A: Float[np.ndarray, "2 2"]
    t: Float[np.ndarray, "2"]


@dataclass(frozen=True)
class Square:
    """A square of an image: middle and side in pixels, turned by an angle (radians), mirrored or not."""

    x: float
    y: float
    side: float
    angle: float = 0.0
    mirrored: bool = False

    def affine(self, size: int) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, "2"]]:
        """Compute A, t with crop = A @ image + t, for a crop of ``size``² pixels."""
        k = size / self.side
        c, s = k * np.cos(self.angle), k * np.sin(self.angle)
        A = np.array([[c, -s], [s, c]])
        if self.mirrored:
            A[0] *= -1
        return A, size / 2 - A @ np.array([self.x, self.y])

    def cut(self, rgb: UInt8[np.ndarray, "h w 3"], size: int) -> CutSquare:
        """Resample the square to ``size``² pixels, edges repeated outside; also its affine map."""
        import cv2

        A, t = self.affine(size)
        reduction = max(1, int(self.side / size))  # average before sampling, or far pixels are skipped
        M, offset = A, t
        if reduction > 1:
            rgb, corner = reduced_part(rgb, self, reduction)
            M, offset = A * reduction, A @ corner + t
        shift = M @ np.array([0.5, 0.5]) - 0.5  # OpenCV's pixel centres are whole numbers
        W = np.concatenate([M, (offset + shift)[:, None]], 1)
        x = cv2.warpAffine(rgb, W, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return CutSquare(x, A, t)


def reduced_part(
    rgb: UInt8[np.ndarray, "h w 3"], view: Square, reduction: int
) -> tuple[UInt8[np.ndarray, "a b 3"], Float[np.ndarray, "2"]]:
    """Reduce the neighbourhood of a square by a whole factor; also its corner in the image."""
    import cv2

    h, w = rgb.shape[:2]
    reach = 0.75 * view.side
    x0, y0 = int(np.clip(view.x - reach, 0, w - reduction)), int(np.clip(view.y - reach, 0, h - reduction))
    nx = max(1, int(min(w - x0, 2 * reach + reduction)) // reduction)
    ny = max(1, int(min(h - y0, 2 * reach + reduction)) // reduction)
    part = rgb[y0 : y0 + ny * reduction, x0 : x0 + nx * reduction]
    return cv2.resize(part, (nx, ny), interpolation=cv2.INTER_AREA), np.array([x0, y0], float)


def square_around(
    box: Box, room: float, *, dx: float = 0.0, dy: float = 0.0, angle: float = 0.0, mirrored: bool = False
) -> Square:
    """Place a square around a box: ``room`` times its larger side, shifted by fractions of that side."""
    size = max(box[2] - box[0], box[3] - box[1], 1.0)
    x, y = (box[0] + box[2]) / 2 + dx * size, (box[1] + box[3]) / 2 + dy * size
    return Square(x=x, y=y, side=room * size, angle=angle, mirrored=mirrored)


class PixelSquare(NamedTuple):
    """A square of whole pixels."""

    left: int
    top: int
    side: int


def pixel_square(
    box: Box | Float[np.ndarray, "4"], room: float, *, rise: float = 0.0, least: int = 2
) -> PixelSquare:
    """Place a square of whole pixels around a box: left, top and side.

    Args:
        room: side as a multiple of the box's larger side. rise: upwards, as a fraction of the square's side.
        least: pixels that the side has at least.
    """
    x0, y0, x1, y1 = box
    side = max(least, round(float(max(x1 - x0, y1 - y0)) * room))
    return PixelSquare(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2 - rise * side), side)


def cut_square(
    x: Shaped[np.ndarray, "h w *c"], left: int, top: int, side: int, fill: float | None = None
) -> Shaped[np.ndarray, "{side} {side} *c"]:
    """Cut a square of whole pixels out of an image or a mask.

    Args:
        fill: the value beyond the image; None: its edge is repeated.
    """
    h, w = x.shape[:2]
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    out = x[rows.clip(0, h - 1)[:, None], columns.clip(0, w - 1)[None]]
    if fill is not None:
        out[(rows < 0) | (rows >= h)] = fill
        out[:, (columns < 0) | (columns >= w)] = fill
    return out


def squared(
    rgb: UInt8[np.ndarray, "h w 3"], margin: float = 0.0
) -> tuple[UInt8[np.ndarray, "s s 3"], tuple[int, int]]:
    """Put an image on a black square with a margin (fraction of its longer side); also its corner there."""
    h, w = rgb.shape[:2]
    side = round(max(h, w) * (1 + 2 * margin))
    if (side, side) == (h, w):
        return np.ascontiguousarray(rgb), (0, 0)
    out = np.zeros((side, side, 3), np.uint8)
    x, y = (side - w) // 2, (side - h) // 2
    out[y : y + h, x : x + w] = rgb
    return out, (x, y)


def box_of(points: Float[np.ndarray, "n k"]) -> Box:
    """Bound points: x0, y0, x1, y1."""
    (x0, y0), (x1, y1) = points[:, :2].min(0), points[:, :2].max(0)
    return float(x0), float(y0), float(x1), float(y1)


def shifted(box: Box, dx: float, dy: float) -> Box:
    """Move a box by (dx, dy) pixels."""
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def face_size(box: Box) -> float:
    """Compute the geometric mean of a box's sides."""
    return float(np.sqrt(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)))


def overlap(a: Box, b: Box) -> float:
    """Compute the shared area over the smaller area."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    least = min(face_size(a), face_size(b)) ** 2
    return max(w, 0.0) * max(h, 0.0) / max(least, 1e-9)
