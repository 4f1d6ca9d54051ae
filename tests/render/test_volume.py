"""Volume rendering: rays, quadrature against known integrals, importance samples, gradients."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headcast.camera import Camera
from headcast.render.volume import importance_depths, march, rays_of, render_rays, stratified_depths


@given(st.floats(-60, 60), st.floats(-30, 30), st.floats(0.5, 3))
def test_rays_project_to_their_pixel_centres(yaw: float, pitch: float, scale: float) -> None:
    camera = Camera.orbit(torch.zeros(3), 1.2, yaw, pitch, focal=700, width=320, height=320)
    rays = rays_of([camera], 8, 0.3, scale)
    points = rays.at(torch.full((1, 64, 1), 1.1 * scale))[0, :, 0] / scale
    pixels = camera.project(points) / 40
    v, u = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    assert torch.allclose(pixels, torch.stack([u, v], -1).reshape(-1, 2), atol=1e-3)
    assert torch.allclose(rays.near, torch.full((1, 1), 1.2 * scale - 0.3), atol=1e-5)


def test_even_fog_lets_through_what_beer_and_lambert_say() -> None:
    rays = rays_of([Camera.orbit(torch.zeros(3), 2.0)], 2, 0.5)
    depths = stratified_depths(rays, 64, 0.0)
    logit = torch.full((1, 4, 64), 1.7)
    gathered = march(logit, torch.ones(1, 4, 64, 3), depths)
    expected = math.exp(-math.log1p(math.exp(0.7)) * 1.0)  # softplus(1.7 - 1) over a length of 1
    assert torch.allclose(gathered.passed, torch.full((1, 4), expected), atol=1e-5)
    assert torch.allclose(gathered.colour.squeeze(0)[0], torch.full((3,), 1 - expected), atol=1e-5)


def wall(points: Tensor) -> tuple[Tensor, Tensor]:
    """A red slab, solid where z < 0.1, its face towards the camera."""
    inside = torch.sigmoid((0.1 - points[..., 2:]) * 400)
    return inside * 60 - 20, torch.tensor([1.0, 0, 0]).expand_as(points)


def test_a_wall_is_met_where_it_stands() -> None:
    rays = rays_of([Camera.orbit(torch.zeros(3), 2.0, focal=4000)], 4, 0.5)
    coarse = render_rays(wall, rays, 24, 0)
    fine = render_rays(wall, rays, 24, 24)
    interval = 1 / 23
    assert max((d.depth - 1.9).abs().max() for d in (coarse, fine)) < interval
    near = ((fine.depths - 1.9).abs() < 2 * interval).sum(
        -1
    )  # about 4 of the coarse ones, and these drew more
    assert bool((near >= 8).all())
    assert fine.passed.max() < 1e-3
    assert fine.depths.shape[-1] == 48 and bool((fine.depths.diff(dim=-1) >= 0).all())


def test_jitter_follows_the_seed() -> None:
    rays = rays_of([Camera.orbit(torch.zeros(3), 2.0)], 4, 0.5)
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(render_rays(wall, rays, 8, 8, jitter=True).depths)
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_importance_samples_gather_where_the_weights_are() -> None:
    depths = torch.linspace(0, 1, 33).expand(1, 1, -1)
    weights = torch.zeros(1, 1, 32)
    weights[..., 20] = 1
    u = torch.linspace(0.05, 0.95, 50)
    found = importance_depths(depths, weights, u)
    # the smoothing by three neighbours and its floor of .01 spread it a little
    assert ((found - depths[0, 0, 20]).abs() < 0.12).float().mean() > 0.7
    assert bool((found.diff(dim=-1) >= 0).all())


def test_gradients_of_the_quadrature() -> None:
    g = torch.Generator().manual_seed(0)
    density = torch.randn(1, 2, 6, generator=g, dtype=torch.float64, requires_grad=True)
    colour = torch.rand(1, 2, 6, 3, generator=g, dtype=torch.float64, requires_grad=True)
    depths = torch.linspace(1, 2, 6, dtype=torch.float64).expand(1, 2, -1)

    def gathered(d: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m = march(d, c, depths)
        return m.colour, m.depth, m.passed

    assert torch.autograd.gradcheck(gathered, (density, colour))
