"""Interpolating functions on numpy arrays and torch tensors alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["smoothstep"]


@overload
def smoothstep(x: np.ndarray | float, edge0: np.ndarray | float, edge1: np.ndarray | float) -> np.ndarray: ...
@overload
def smoothstep(x: torch.Tensor, edge0: torch.Tensor | float, edge1: torch.Tensor | float) -> torch.Tensor: ...
def smoothstep(x: Any, edge0: Any, edge1: Any) -> Any:
    """Ramp from 0 at ``edge0`` to 1 at ``edge1``, flat at both ends: 3t² - 2t³ (Hermite), constant beyond.

    Args:
        x: numpy array, torch tensor (differentiable) or number, of any shape; floating types are kept.
        edge0, edge1: different from each other, numbers or of the library of ``x`` and broadcast against it;
            ``edge0 > edge1`` gives a falling ramp.
    """
    t = (x - edge0) / (edge1 - edge0)
    if isinstance(x, np.ndarray | np.generic | float | int):
        t = np.asarray(np.clip(t, 0, 1))
        return np.asarray(t * t * (3 - 2 * t))
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)
