"""What a polishing step does to positions and colours: values and gradients of plain torch."""

from __future__ import annotations

import torch

from headcast.splats.shade import shade_and_place, shade_and_place_reference


def test_kernel_and_torch_agree() -> None:
    g = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g)

    n = 20000
    fixed = rand(n, 3), rand(n, 3, 3) - 0.5, rand(n, 3) * 1.5
    position, albedo = rand(n, 3) - 0.5, rand(n, 3) * 1.4
    albedo[:100] = 0
    ups = rand(n, 3), rand(n, 3)
    found = []
    for way in (shade_and_place, shade_and_place_reference):
        inputs = [position.clone().requires_grad_(), albedo.clone().requires_grad_()]
        out = way(*inputs, *fixed)
        found.append((*out, *torch.autograd.grad(out, inputs, ups)))
    (w, c, dp, da), (w0, c0, dp0, da0) = found
    assert torch.allclose(w, w0, atol=1e-6) and torch.allclose(dp, dp0, atol=1e-6)
    assert torch.allclose(c, c0, atol=3e-5)
    off = (da - da0).abs()
    assert off.mean() < 1e-3 and off[100:].quantile(0.99) < 5e-3 and da0.abs().mean() > 0.1
