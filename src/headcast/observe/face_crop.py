"""Squares cut out of a picture around a face, and boxes. Pixel centres are at +0.5 everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["CROP", "Box", "Square", "box_of", "face_size", "overlap", "shifted", "square", "squared"]

Box = tuple[float, float, float, float]
CROP = 384  # pixels of the square a face is measured in


@dataclass(frozen=True)
class Square:
    """A square of a picture: middle and side in pixels, turned by an angle (radians), mirrored or not."""

    x: float
    y: float
    side: float
    angle: float = 0.0
    mirrored: bool = False

    def affine(self) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, "2"]]:
        """A, t with crop = A @ picture + t."""
        k = CROP / self.side
        c, s = k * np.cos(self.angle), k * np.sin(self.angle)
        A = np.array([[c, -s], [s, c]])
        if self.mirrored:
            A[0] *= -1
        return A, CROP / 2 - A @ np.array([self.x, self.y])

    def cut(
        self, rgb: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "2 2"], Float[np.ndarray, "2"]]:
        """The crop, edges repeated outside, and its affine map."""
        import cv2

        A, t = self.affine()
        reduction = max(1, int(self.side / CROP))  # average before sampling, or far pixels are skipped
        M, offset = A, t
        if reduction > 1:
            rgb, corner = reduced_part(rgb, self, reduction)
            M, offset = A * reduction, A @ corner + t
        shift = M @ np.array([0.5, 0.5]) - 0.5  # OpenCV's pixel centres are whole numbers
        W = np.concatenate([M, (offset + shift)[:, None]], 1)
        x = cv2.warpAffine(rgb, W, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return x, A, t


def reduced_part(
    rgb: UInt8[np.ndarray, "h w 3"], view: Square, reduction: int
) -> tuple[UInt8[np.ndarray, "a b 3"], Float[np.ndarray, "2"]]:
    """The neighbourhood of a square at a whole fraction of the size, and its corner in the picture."""
    import cv2

    h, w = rgb.shape[:2]
    reach = 0.75 * view.side
    x0, y0 = int(np.clip(view.x - reach, 0, w - reduction)), int(np.clip(view.y - reach, 0, h - reduction))
    nx = max(1, int(min(w - x0, 2 * reach + reduction)) // reduction)
    ny = max(1, int(min(h - y0, 2 * reach + reduction)) // reduction)
    part = rgb[y0 : y0 + ny * reduction, x0 : x0 + nx * reduction]
    return cv2.resize(part, (nx, ny), interpolation=cv2.INTER_AREA), np.array([x0, y0], float)


def square(
    box: Box, room: float, *, dx: float = 0.0, dy: float = 0.0, angle: float = 0.0, mirrored: bool = False
) -> Square:
    """The square around a box: ``room`` times its larger side, shifted by fractions of that side."""
    size = max(box[2] - box[0], box[3] - box[1], 1.0)
    x, y = (box[0] + box[2]) / 2 + dx * size, (box[1] + box[3]) / 2 + dy * size
    return Square(x, y, room * size, angle, mirrored)


def squared(
    rgb: UInt8[np.ndarray, "h w 3"], margin: float = 0.0
) -> tuple[UInt8[np.ndarray, "s s 3"], tuple[int, int]]:
    """The picture on a black square with a margin (fraction of its longer side), and its corner there."""
    h, w = rgb.shape[:2]
    side = round(max(h, w) * (1 + 2 * margin))
    if (side, side) == (h, w):
        return np.ascontiguousarray(rgb), (0, 0)
    out = np.zeros((side, side, 3), np.uint8)
    x, y = (side - w) // 2, (side - h) // 2
    out[y : y + h, x : x + w] = rgb
    return out, (x, y)


def box_of(points: Float[np.ndarray, "n k"]) -> Box:
    """x0, y0, x1, y1 around points."""
    (x0, y0), (x1, y1) = points[:, :2].min(0), points[:, :2].max(0)
    return float(x0), float(y0), float(x1), float(y1)


def shifted(box: Box, dx: float, dy: float) -> Box:
    """A box moved."""
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def face_size(box: Box) -> float:
    """Geometric mean of the sides."""
    return float(np.sqrt(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)))


def overlap(a: Box, b: Box) -> float:
    """Shared area over the smaller area."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    least = min(face_size(a), face_size(b)) ** 2
    return max(w, 0.0) * max(h, 0.0) / max(least, 1e-9)
