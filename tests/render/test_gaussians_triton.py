"""The CUDA path. Without a GPU its kernels run in Triton's interpreter, where Triton is installed."""

from __future__ import annotations

import os

import pytest
import torch
from tests.render.gaussian_scenes import camera, cloud, differences, gradients

from headcast.errors import HeadcastError
from headcast.render import gaussians_triton
from headcast.render.gaussians import render_gaussians

needs_triton = pytest.mark.skipif(
    not gaussians_triton.available(),
    reason="Triton comes with torch for CUDA; pip install --no-deps triton to test",
)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the kernels on the CPU where there is no GPU."""
    if not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", os.environ.get("TRITON_INTERPRET", "1"))


@needs_triton
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("background", [True, False])
def test_agrees_with_the_specification(channels: int, background: bool) -> None:
    scene, cam = cloud(30, scale=0.015, channels=channels), camera(30, 21)
    back = torch.rand(channels, generator=torch.Generator().manual_seed(1)) if background else None
    picture, gradient = differences(
        gradients(scene, cam, "triton", back), gradients(scene, cam, "torch", back, torch.float64)
    )
    assert picture <= 1e-6 and gradient <= 5e-4


@needs_triton
def test_an_empty_scene_is_background() -> None:
    r, grads = gradients([x[:0] for x in cloud(3)], camera(16, 16), "triton", torch.ones(3))
    assert (r.rgb == 1).all() and all(g.isfinite().all() for g in grads)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, cam = cloud(3), camera(8, 8)
    monkeypatch.setattr(gaussians_triton, "available", lambda: False)
    with pytest.raises(HeadcastError, match="triton"):
        render_gaussians(*scene, cam, backend="triton")
    monkeypatch.setitem(__import__("sys").modules, "gsplat", None)
    with pytest.raises(HeadcastError, match="gsplat"):
        render_gaussians(*scene, cam, backend="gsplat")
