"""Restore photographs: ``priors.restorer.restore`` with the faces that the detector finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.priors.restorer.restore import RESTORERS, Network, restore_image

__all__ = ["RESTORERS", "Network", "restore"]


def restore(
    rgb: UInt8[np.ndarray, "h w 3"],
    *,
    network: Network = "headcast",
    strength: float = 1.0,
    scale: int = 1,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Restore a soft, noisy, small or compressed photo; arguments as for ``restore_image``.

    Raises:
        HeadcastError: no face where one is needed; weights or packages are missing; numbers out of range.
    """
    return restore_image(
        rgb,
        network=network,
        strength=strength,
        scale=scale,
        device=device,
        seed=seed,
        progress=progress,
        find_faces=_detect,
    )


def _detect(rgb: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "478 k"]]:
    from headcast.observe.landmarks import FaceDetector

    with FaceDetector() as detector:
        return [d.points for d in detector.detect(rgb, refine=False)]
