"""Rasterization on CUDA by Triton."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from headcast.errors import HeadcastError

__all__ = ["available", "rasterize"]


def available() -> bool:
    """Whether Triton can be imported."""
    import importlib.util

    return importlib.util.find_spec("triton") is not None


def rasterize(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], width: int, height: int, near: float, cull: bool
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre."""
    raise HeadcastError("backend triton: not here yet; use reference")
