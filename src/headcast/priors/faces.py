"""Aligned face crops for face restorers, and pasting them back."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["SIDE", "TEMPLATE", "align", "cut_face", "five_points", "put_back"]

SIDE = 512
TEMPLATE: Float[np.ndarray, "5 2"] = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]]
)
"""Eyes, tip of the nose and corners of the mouth (left to right in the image) in a square of 512.

This is FFHQ's alignment as face restorers use it. Pixel centres are whole numbers, as in OpenCV."""
FIVE = (468, 473, 1, 61, 291)  # of MediaPipe's 478
BORDER = (135, 133, 132)
RAMP = 0.09  # of the side: how softly a face is pasted back


def five_points(points: Float[np.ndarray, "478 k"]) -> Float[np.ndarray, "5 2"]:
    """Pick irises, tip of the nose, corners of the mouth from MediaPipe's landmarks, as the template."""
    return points[list(FIVE), :2]


def align(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Fit the similarity (turn, scale, shift) that brings points nearest to the template, for OpenCV.

    Args:
        points: pixel centres at +0.5.
    """
    import torch

    from headcast.crops.grid import fit_similarity_2d

    a, t = fit_similarity_2d(torch.from_numpy(points.astype(np.float64) - 0.5), torch.from_numpy(TEMPLATE))
    (c, s), (x, y) = a.tolist(), t.tolist()
    return np.array([[c, -s, x], [s, c, y]])


def cut_face(
    rgb: UInt8[np.ndarray, "h w 3"], affine: Float[np.ndarray, "2 3"]
) -> UInt8[np.ndarray, "512 512 3"]:
    """Crop the aligned square; it is grey outside of the image."""
    import cv2

    return cv2.warpAffine(
        rgb,
        affine,
        (SIDE, SIDE),
        flags=cv2.INTER_CUBIC if affine[0, 0] > 0.7 else cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER,
    )


def put_back(
    rgb: UInt8[np.ndarray, "h w 3"],
    face: UInt8[np.ndarray, "512 512 3"],
    affine: Float[np.ndarray, "2 3"],
    strength: float = 1.0,
) -> UInt8[np.ndarray, "h w 3"]:
    """Paste the square into the image, fading out towards the square's border."""
    import cv2

    h, w = rgb.shape[:2]
    at = np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / (RAMP * SIDE) - 0.5
    ramp = np.clip(at, 0, 1).astype(np.float32)
    fade = np.minimum.outer(ramp, ramp) * strength
    back = cv2.invertAffineTransform(affine)
    alpha = cv2.warpAffine(fade, back, (w, h), flags=cv2.INTER_LINEAR)[..., None]
    warped = cv2.warpAffine(face, back, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.round(rgb * (1 - alpha) + warped * alpha).astype(np.uint8)
