"""Render Gaussians: one function, several backends that agree. The conventions are in
``gaussians_torch``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.device import is_cuda
from headcast.errors import HeadcastError

__all__ = ["GaussianRendering", "render_gaussians"]

Backend = Literal["auto", "torch", "numba", "triton", "gsplat"]


@dataclass(frozen=True)
class GaussianRendering:
    """A rendering of Gaussians, in the space of their colours (display values).

    Attributes:
        rgb: (H, W, C) over the background; straight (not premultiplied) without one.
        alpha: (H, W) coverage in 0..1.
        depth: (H, W) expected camera z, the mean over what covers the pixel; 0 where nothing does.
    """

    rgb: Float[Tensor, "h w c"]
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    colour_space: Literal["srgb", "linear"] = "srgb"


def render_gaussians(
    means: Float[Tensor, "n 3"],
    log_scales: Float[Tensor, "n 3"],
    quaternions: Float[Tensor, "n 4"],
    opacity_logits: Float[Tensor, "n"],
    colours: Float[Tensor, "n c"],
    camera: Camera,
    *,
    background: Float[Tensor, "c"] | Float[Tensor, "h w c"] | None = None,
    antialiased: bool = True,
    near: float = 0.01,
    backend: Backend = "auto",
) -> GaussianRendering:
    """Splat Gaussians into an image; differentiable in all their properties and the background.

    Args:
        means: world, metres. ``log_scales``: natural log of metres. ``quaternions``: wxyz, any length but 0.
        colours: 1 to 8 channels; any values, blended as they are.
        background: one colour or an image to composite over; zeros give premultiplied colour.
        antialiased: keep a small Gaussian's energy by lowering its opacity where the 2D dilation widens it.
        near: Gaussians at or before this camera z are left out, with zero gradients.
        backend: ``auto`` takes numba for float32 on a CPU; gsplat, else Triton, on CUDA; else torch.

    Raises:
        HeadcastError: for a number of channels outside 1..8, or a backend that can't run here.
    """
    channels = colours.shape[1]
    if not 1 <= channels <= 8:
        raise HeadcastError(f"render_gaussians: {channels} channels of colour; 1 to 8 are possible")
    if backend == "auto":
        backend = _pick(means)
    if backend == "torch":
        from headcast.render.gaussians_torch import render
    elif backend == "numba":
        from headcast.render.gaussians_numba import render
    elif backend == "triton":
        from headcast.render.gaussians_triton import render
    else:
        from headcast.render.gaussians_gsplat import render
    rgb, alpha, depth = render(
        means, log_scales, quaternions, opacity_logits, colours, camera, background, antialiased, near
    )
    return GaussianRendering(rgb, alpha, depth)


def _pick(means: Tensor) -> Backend:
    """Return the fastest backend that can render these Gaussians."""
    from importlib.util import find_spec

    if means.dtype != torch.float32:
        return "torch"
    if not is_cuda(means):
        return "numba" if find_spec("numba") else "torch"
    return "gsplat" if find_spec("gsplat") else "triton" if find_spec("triton") else "torch"
