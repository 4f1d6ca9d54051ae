"""Render Gaussians with gsplat, where installed (CUDA); equal to ``gaussians_torch`` within a grey level.

gsplat's compensation in antialiased mode has no lower bound, and it culls by bounds of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.render.gaussians_torch import DILATION, composite
from headcast.render.types import SplatImage

__all__ = ["render"]


def render(
    means: Tensor,
    log_scales: Tensor,
    quaternions: Tensor,
    opacity_logits: Tensor,
    colours: Tensor,
    camera: Camera,
    background: Tensor | None,
    antialiased: bool,
    near: float,
) -> SplatImage:
    """Render as ``gaussians_torch.render``, for float32 on CUDA.

    Raises:
        HeadcastError: when gsplat isn't installed.
    """
    try:
        from gsplat import rasterization  # pyright: ignore[reportMissingImports]
    except ImportError as e:
        raise HeadcastError("backend gsplat: not installed; pip install headcast[cuda]") from e
    # depth is one more channel: alpha times expected depth, as in ``accumulate``
    depth = camera.to_camera(means)[:, 2:]
    image, alpha, _ = rasterization(
        means,
        quaternions,
        log_scales.exp(),
        torch.sigmoid(opacity_logits),
        torch.cat([colours, depth], 1),
        camera.cam_from_world.to(means)[None],
        camera.K.to(means)[None],
        camera.width,
        camera.height,
        near_plane=near,
        eps2d=DILATION,
        packed=False,
        rasterize_mode="antialiased" if antialiased else "classic",
    )
    return composite(image[0, ..., :-1], alpha[0, ..., 0], image[0, ..., -1], background)
