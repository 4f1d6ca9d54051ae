"""Small scenes of Gaussians, and a loss that looks at everything a rendering holds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.render.gaussians import GaussianRendering, render_gaussians

Scene = list[Tensor]


def cloud(n: int, scale: float = 0.004, channels: int = 3, seed: int = 0) -> Scene:
    """means, log-scales, quaternions, opacity logits, colours of a head-sized shell around the origin."""
    g = torch.Generator().manual_seed(seed)
    means = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1) * torch.tensor(
        [0.085, 0.12, 0.1]
    )
    log_scales = math.log(scale) + 0.5 * torch.randn(n, 3, generator=g)
    quaternions = torch.randn(n, 4, generator=g)
    return [
        means,
        log_scales,
        quaternions,
        1.5 * torch.randn(n, generator=g),
        torch.rand(n, channels, generator=g),
    ]


def camera(width: int = 72, height: int = 61) -> Camera:
    """Sees the cloud from 1 m, slightly from the side and above."""
    return Camera.orbit(torch.zeros(3), 1.0, yaw=20, pitch=8, focal=3.4 * height, width=width, height=height)


def gradients(
    scene: Scene,
    cam: Camera,
    backend: str,
    background: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    antialiased: bool = True,
) -> tuple[GaussianRendering, list[Tensor]]:
    """The rendering and the gradients of a random linear function of it in all inputs."""
    inputs = [x.to(dtype).requires_grad_() for x in scene]
    back = None if background is None else background.to(dtype).requires_grad_()
    r = render_gaussians(*inputs, cam, background=back, antialiased=antialiased, backend=backend)  # type: ignore[arg-type]
    g = torch.Generator().manual_seed(1)
    loss = sum((torch.randn(x.shape, generator=g).to(x) * x).sum() for x in (r.rgb, r.alpha, r.depth))
    wanted = inputs if back is None else [*inputs, back]
    return r, list(torch.autograd.grad(loss, wanted, materialize_grads=True))  # type: ignore[arg-type]


def differences(
    a: tuple[GaussianRendering, list[Tensor]], b: tuple[GaussianRendering, list[Tensor]]
) -> tuple[float, float]:
    """Largest mean difference of the pictures and largest relative L2 difference of the gradients."""
    pictures = [(a[0].rgb, b[0].rgb), (a[0].alpha, b[0].alpha), (a[0].depth, b[0].depth)]
    picture = max(float((x - y).detach().abs().mean()) for x, y in pictures)
    return picture, max(
        float((x - y).norm() / y.norm().clamp_min(1e-12)) for x, y in zip(a[1], b[1], strict=True)
    )
