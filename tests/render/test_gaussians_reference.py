"""The specification's own derivatives."""

from __future__ import annotations

import pytest
import torch
from tests.render.gaussian_scenes import camera, cloud

from headcast.render.gaussians import render_gaussians


@pytest.mark.parametrize("antialiased", [True, False])
@pytest.mark.parametrize("background", [True, False])
def test_gradcheck(antialiased: bool, background: bool) -> None:
    cam = camera(9, 7)
    scene = [x.double().requires_grad_() for x in cloud(6, scale=0.05, channels=2)]
    back = [torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)] if background else []

    def picture(*x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        r = render_gaussians(*x[:5], cam, background=x[5] if background else None, antialiased=antialiased)
        return r.rgb, r.alpha, r.depth

    assert torch.autograd.gradcheck(picture, (*scene, *back), eps=1e-7, atol=1e-5)
