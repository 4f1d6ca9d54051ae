"""Two images of one face brought together by landmarks in the image plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.head.face_oval import OVAL
from headcast.image import check_dimensions
from headcast.parsing import parsing

__all__ = [
    "CHIN",
    "FOREHEAD",
    "INNER",
    "alignment_error",
    "apply_similarity",
    "face_height",
    "face_hull",
    "fit_similarity",
    "read_rgb",
    "resize_area",
    "warp_image",
]

FOREHEAD, CHIN = 10, 152  # MediaPipe points
INNER = (33, 133, 362, 263, 1, 4, 61, 291, 13, 14, 70, 300, 105, 334, 168, 6, 152, 199)
"""MediaPipe points at the corners of eyes and mouth, on nose, brows and chin: they keep their place on the
head, as those of the face's outline don't."""

Points = Float[np.ndarray, "478 2"]
Similarity = Float[np.ndarray, "2 3"]


def read_rgb(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read an 8-bit image file as it is stored, without colour profiles.

    Raises:
        HeadcastError: missing or unreadable.
    """
    import cv2

    check_dimensions(path)
    with parsing(path, "not a readable image", "take it from the data set again"):
        found = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if found is None:
            raise ValueError("of no known format")
    return np.ascontiguousarray(found[..., ::-1])


def resize_area(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an image by pixel areas."""
    import cv2

    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def fit_similarity(moving: Points, fixed: Points) -> Similarity | None:
    """Fit the 2-D similarity from the inner points of one face to another's (least median of squares)."""
    import cv2

    inner = list(INNER)
    found = cv2.estimateAffinePartial2D(moving[inner], fixed[inner], method=cv2.LMEDS)[0]
    return None if found is None else np.asarray(found, np.float64)


def apply_similarity(points: Points, similarity: Similarity) -> Points:
    """Move points of an image."""
    return points @ similarity[:, :2].T + similarity[:, 2]


def alignment_error(moving: Points, fixed: Points, similarity: Similarity) -> float:
    """Return the mean absolute coordinate difference of the inner points, in heights of the fixed face."""
    off = np.abs(apply_similarity(moving, similarity) - fixed)[list(INNER)]
    return float(off.mean() / face_height(fixed))


def warp_image(image: UInt8[np.ndarray, "h w c"], similarity: Similarity, like: np.ndarray) -> np.ndarray:
    """Warp an image onto the grid of another; outside it is zero."""
    import cv2

    return cv2.warpAffine(image, similarity, (like.shape[1], like.shape[0]))


def face_height(points: Points) -> float:
    """Measure from the top of the forehead to the tip of the chin, pixels."""
    return float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))


def face_hull(points: Points, like: UInt8[np.ndarray, "h w _"]) -> Bool[np.ndarray, "h w"]:
    """Mask pixels of an image inside the convex hull of the face's outline."""
    import cv2

    hull = cv2.convexHull(points[list(OVAL)]).astype(np.int32)
    mask = np.zeros(like.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, hull, (1.0,))
    return mask.astype(bool)
