"""The Gaussian renderer: what every backend must do, and that the CPU kernels agree with the
specification."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.render.gaussian_scenes import camera, cloud, differences, gradients

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.render.gaussians import render_gaussians
from headcast.render.gaussians_torch import MIN_ALPHA

BACKENDS = ["torch", "numba"]


def one(z: float = 1.0, scale: float = 0.02, logit: float = 8.0, colour: float = 0.7) -> list[torch.Tensor]:
    """A single round Gaussian on the axis of a camera at the origin."""
    return [
        torch.tensor([[0.0, 0.0, -z]]),
        torch.full((1, 3), math.log(scale)),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([logit]),
        torch.full((1, 3), colour),
    ]


@pytest.mark.parametrize("channels", [1, 3, 5, 8])
@pytest.mark.parametrize("antialiased", [True, False])
@pytest.mark.parametrize("background", ["none", "colour", "picture"])
def test_kernels_agree_with_the_specification(channels: int, antialiased: bool, background: str) -> None:
    cam = camera()
    scene = cloud(400, scale=0.008, channels=channels, seed=channels)
    size = {"none": None, "colour": (channels,), "picture": (cam.height, cam.width, channels)}[background]
    back = None if size is None else torch.rand(size, generator=torch.Generator().manual_seed(5))
    fast = gradients(scene, cam, "numba", back, antialiased=antialiased)
    slow = gradients(scene, cam, "torch", back, torch.float64, antialiased)
    picture, gradient = differences(fast, slow)
    assert picture <= 1e-6
    assert gradient <= 5e-4


@settings(max_examples=15)
@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 10**6))
def test_kernels_agree_at_any_size(n: int, width: int, height: int, seed: int) -> None:
    cam = camera(width, height)
    scene = cloud(n, scale=0.02, seed=seed)
    fast = render_gaussians(*scene, cam, backend="numba")
    slow = render_gaussians(*scene, cam, backend="torch")
    assert (fast.alpha - slow.alpha).abs().mean() < 1e-5
    assert (fast.depth - slow.depth).abs().mean() < 1e-4


def test_opaque_layers_end_a_pixel_alike() -> None:
    scene = cloud(600, scale=0.02)
    scene[3] = scene[3] + 4.0
    fast, slow = (gradients(scene, camera(), b, torch.zeros(3)) for b in ("numba", "torch"))
    assert slow[0].alpha.max() > 0.999
    picture, gradient = differences(fast, slow)
    assert picture <= 1e-5 and gradient <= 5e-3  # a pixel's last Gaussian may differ by rounding


@pytest.mark.parametrize("backend", BACKENDS)
def test_order_of_gaussians_does_not_matter(backend: str) -> None:
    scene, cam = cloud(300, scale=0.01), camera()
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    a = render_gaussians(*scene, cam, backend=backend)
    b = render_gaussians(*[x[order] for x in scene], cam, backend=backend)
    assert torch.allclose(a.rgb, b.rgb, atol=1e-6) and torch.allclose(a.alpha, b.alpha, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearer_is_in_front_and_equal_depth_goes_by_index(backend: str) -> None:
    near, far = one(1.0, scale=0.2, colour=1.0), one(1.2, scale=0.3, colour=0.0)
    cam = Camera.make(100.0, 32, 32)
    for pair in ((near, far), (far, near)):
        scene = [torch.cat([a, b]) for a, b in zip(*pair, strict=True)]
        assert render_gaussians(*scene, cam, backend=backend).rgb[16, 16, 0] > 0.99
    same = [
        torch.cat([a, b]) for a, b in zip(one(scale=0.2, colour=0.2), one(scale=0.2, colour=0.9), strict=True)
    ]
    assert render_gaussians(*same, cam, backend=backend).rgb[16, 16, 0] == pytest.approx(0.2, abs=2e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_projects_where_the_camera_says(backend: str) -> None:
    cam = Camera.orbit(torch.tensor([0.0, 0.02, 0.0]), 0.8, yaw=30, pitch=10, focal=300, width=96, height=64)
    scene = one(scale=0.006)
    scene[0] = torch.tensor([[0.03, 0.01, 0.02]])
    r = render_gaussians(*scene, cam, backend=backend)
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    centre = torch.stack([(x * r.alpha).sum(), (y * r.alpha).sum()]) / r.alpha.sum()
    assert torch.allclose(centre, cam.project(scene[0])[0], atol=0.02)
    assert r.depth[r.alpha > 0.5].sub(cam.to_camera(scene[0])[0, 2]).abs().max() < 1e-5
    assert (r.depth[r.alpha == 0] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_composites_over_the_background(backend: str) -> None:
    scene, cam = cloud(200, scale=0.01), camera()
    straight = render_gaussians(*scene, cam, backend=backend)
    back = torch.rand(cam.height, cam.width, 3, generator=torch.Generator().manual_seed(3))
    alpha = straight.alpha[..., None]
    over = render_gaussians(*scene, cam, background=back, backend=backend)
    assert torch.allclose(over.rgb, straight.rgb * alpha + back * (1 - alpha), atol=1e-5)
    assert torch.equal(over.alpha, straight.alpha)


@pytest.mark.parametrize("backend", BACKENDS)
def test_antialiasing_keeps_energy_when_zooming_out(backend: str) -> None:
    scene = one(scale=0.012, logit=0.0)

    def energy(focal: float, antialiased: bool) -> float:
        cam = Camera.make(focal, 64, 64)
        alpha = render_gaussians(*scene, cam, antialiased=antialiased, backend=backend).alpha
        return float(alpha.sum()) / focal**2

    sharp = energy(400.0, True)
    assert energy(40.0, True) == pytest.approx(sharp, rel=0.15)  # half a pixel wide
    assert energy(40.0, False) > 1.5 * sharp


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_and_unseen_scenes(backend: str) -> None:
    cam, back = Camera.make(100.0, 20, 12), torch.tensor([0.1, 0.2, 0.3])
    r = render_gaussians(*[x[:0] for x in one()], cam, background=back, backend=backend)
    assert (r.alpha == 0).all() and (r.depth == 0).all() and torch.equal(r.rgb, back.expand(12, 20, 3))
    for z in (-1.0, 0.0, 0.005, 0.01):  # behind the camera, in it, before and at the near plane
        rendering, grads = gradients(one(z), cam, backend, back)
        assert (rendering.alpha == 0).all()
        assert all((g == 0).all() for g in grads[:5])
    assert render_gaussians(*one(0.0101, scale=1e-3), cam, backend=backend).alpha.max() > 0.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("log_scale", [-80.0, -20.0, 5.0, 15.0, 40.0, 80.0])
def test_degenerate_sizes_give_no_nan(backend: str, log_scale: float) -> None:
    scene = cloud(40, scale=0.02)
    scene[1][:20] = log_scale
    scene[1][20:30, 0] = log_scale
    scene[2][5] = 0.0
    for antialiased in (True, False):
        r, grads = gradients(scene, camera(), backend, torch.ones(3), antialiased=antialiased)
        assert all(x.isfinite().all() for x in (r.rgb, r.alpha, r.depth, *grads))


def test_same_result_on_any_number_of_threads() -> None:
    scene, cam = cloud(5000, scale=0.004, channels=4), camera(150, 130)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            r, grads = gradients(scene, cam, "numba", torch.zeros(4))
            results.append([r.rgb, r.alpha, r.depth, *grads])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_cut_above_the_threshold(backend: str) -> None:
    r = render_gaussians(*one(scale=0.05), Camera.make(100.0, 64, 64), backend=backend)
    edge = r.alpha[r.alpha > 0].min()
    assert MIN_ALPHA * 0.999 <= edge <= MIN_ALPHA * 1.3


def test_a_picture_that_cuts_through_pixels_of_a_bigger_one() -> None:
    scene, cam = cloud(300, scale=0.01), camera(80, 70)
    whole = render_gaussians(*scene, cam, backend="numba", antialiased=False).alpha
    part = render_gaussians(*scene, cam.cropped(13, 9, 45, 37), backend="numba", antialiased=False).alpha
    assert torch.allclose(whole[9:46, 13:58], part, atol=2e-3)


def test_auto_takes_doubles_to_the_reference_and_says_no_to_nine_channels() -> None:
    scene, cam = cloud(5), camera(8, 8)
    assert render_gaussians(*[x.double() for x in scene], cam).rgb.dtype == torch.float64
    assert render_gaussians(*scene, cam).colour_space == "srgb"
    with pytest.raises(HeadcastError, match="1 to 8"):
        render_gaussians(*cloud(5, channels=9), cam)
    assert dataclasses.is_dataclass(render_gaussians(*scene, cam))
