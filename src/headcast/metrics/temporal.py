"""Temporal metrics: flicker, and what does not move with the optical flow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["FLOW", "optical_flow", "warping_error"]

FLOW = "OpenCV DIS optical flow, preset medium"
"""Name of the optical flow that ``warping_error`` uses."""

OUT_AND_BACK = 1.0  # pixels by which a flow and its way back may differ before a pixel counts as hidden


def optical_flow(
    now: UInt8[np.ndarray, "h w 3"], then: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 2"]:
    """Estimate where each pixel of ``now`` goes in ``then``: displacement (x, y) in pixels."""
    import cv2

    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first, second = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (now, then))
    start = np.zeros((*first.shape, 2), np.float32)
    return dis.calc(first, second, start)


def warp_by_flow(image: np.ndarray, flow: Float[np.ndarray, "h w 2"]) -> np.ndarray:
    """Sample an image at the places that a flow points to."""
    import cv2

    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def warping_error(
    now: UInt8[np.ndarray, "h w 3"], then: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]
) -> float:
    """Return the RMS difference (levels of 255) of a frame from the next one warped back along their flow.

    Only pixels of ``region`` (of ``now``) count that the flow and its way back agree on to one pixel and
    that stay inside the image. W.-S. Lai et al., Learning blind video temporal consistency, ECCV 2018,
    Eq. 9, with another flow and the root taken. A still image has none; compare with the real clip's. NaN
    where no pixel is left.
    """
    out, back = optical_flow(now, then), optical_flow(then, now)
    h, w = region.shape
    y, x = np.mgrid[:h, :w]
    u, v = x + out[..., 0], y + out[..., 1]
    agree = np.linalg.norm(out + warp_by_flow(back, out), axis=-1) < OUT_AND_BACK
    keep = region & agree & (u >= 0) & (v >= 0) & (u <= w - 1) & (v <= h - 1)
    if not keep.any():
        return float("nan")
    off = now.astype(np.float32) - warp_by_flow(then.astype(np.float32), out)
    return float(np.sqrt((off[keep].astype(np.float64) ** 2).mean()))
