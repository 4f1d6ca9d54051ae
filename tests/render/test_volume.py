"""Volume rendering: rays, quadrature against known integrals, importance samples, gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headcast.camera import Camera
from headcast.render.volume import (
    RayMarchOutput,
    Rays,
    importance_depths,
    query_field,
    ray_march,
    rays_of,
    render_rays,
    shifted_softplus,
    stratified_depths,
)


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
    gathered = ray_march(logit, torch.ones(1, 4, 64, 3), depths)
    expected = math.exp(-math.log1p(math.exp(0.7)) * 1.0)  # softplus(1.7 - 1) over a length of 1
    assert torch.allclose(gathered.transmittance, torch.full((1, 4), expected), atol=1e-5)
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
    assert fine.transmittance.max() < 1e-3
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


def random_march(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Density logits and colours that ask for gradients, and distances, all in float64."""
    g = torch.Generator().manual_seed(seed)
    density = torch.randn(1, 2, 6, generator=g, dtype=torch.float64, requires_grad=True)
    colour = torch.rand(1, 2, 6, 3, generator=g, dtype=torch.float64, requires_grad=True)
    return density, colour, torch.linspace(1, 2, 6, dtype=torch.float64).expand(1, 2, -1)


def test_gradients_of_the_quadrature() -> None:
    density, colour, depths = random_march(0)

    def gathered(d: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m = ray_march(d, c, depths)
        return m.colour, m.depth, m.transmittance

    assert torch.autograd.gradcheck(gathered, (density, colour))


@pytest.mark.parametrize("activation", [torch.exp, torch.nn.functional.softplus, torch.sigmoid])
def test_gradients_by_density_colour_and_background(activation: Callable[[Tensor], Tensor]) -> None:
    density, colour, depths = random_march(1)
    background = torch.rand(1, 2, 3, dtype=torch.float64, requires_grad=True)

    def gathered(d: Tensor, c: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m = ray_march(d, c, depths, activation=activation, background=b)
        return m.colour, m.depth, m.transmittance

    assert torch.autograd.gradcheck(gathered, (density, colour, background))


def test_defaults_are_eg3ds() -> None:
    density, colour, depths = (x.detach().float() for x in random_march(2))
    plain = ray_march(density, colour, depths)
    said = ray_march(density, colour, depths, activation=lambda x: torch.nn.functional.softplus(x - 1))
    assert torch.equal(plain.colour, said.colour) and torch.equal(plain.weights, said.weights)
    cameras = [Camera.orbit(torch.zeros(3), 1.3, 20.0)]
    assert torch.equal(rays_of(cameras, 4, 0.4).far, rays_of(cameras, 4, 0.4, near=-0.4, far=0.4).far)


@given(st.floats(0.1, 20), st.floats(0.05, 3))
def test_fog_of_any_activation_follows_beer_and_lambert(density: float, length: float) -> None:
    depths = torch.linspace(0, length, 33, dtype=torch.float64).expand(1, 1, -1)
    logit = torch.full((1, 1, 33), math.log(density), dtype=torch.float64)
    gathered = ray_march(logit, torch.ones(1, 1, 33, 1, dtype=torch.float64), depths, activation=torch.exp)
    assert math.isclose(float(gathered.transmittance), math.exp(-density * length), abs_tol=1e-6)


@given(st.floats(-3, 3), st.integers(0, 2**31))
def test_background_shines_through_by_the_transmittance(shift: float, seed: int) -> None:
    density, colour, depths = (x.detach() for x in random_march(seed))
    behind = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    plain = ray_march(density + shift, colour, depths)
    over = ray_march(density + shift, colour, depths, background=behind)
    torch.testing.assert_close(over.colour, plain.colour + plain.transmittance[..., None] * behind)
    assert torch.equal(over.depth, plain.depth) and torch.equal(over.weights, plain.weights)
    # a field of the background's own colour cannot be told from the background
    same = ray_march(density + shift, behind.expand(1, 2, 6, 3), depths, background=behind)
    torch.testing.assert_close(same.colour, behind.expand(1, 2, 3))


def test_an_empty_ray_shows_the_background_and_a_wall_hides_it() -> None:
    rays = rays_of([Camera.orbit(torch.zeros(3), 2.0, focal=4000)], 2, 0.5)
    green = torch.tensor([0.0, 1.0, 0.0])
    solid = render_rays(wall, rays, 24, 24, background=green)
    assert torch.allclose(solid.colour, torch.tensor([1.0, 0, 0]).expand(1, 4, 3), atol=2e-3)

    def nothing(points: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(points[..., :1], -1.0), torch.ones_like(points)

    empty = render_rays(nothing, rays, 8, 8, activation=torch.relu, background=green)
    assert torch.equal(empty.colour, green.expand(1, 4, 3))
    assert torch.equal(empty.transmittance, torch.ones(1, 4))


def test_near_and_far_are_relative_to_the_origin() -> None:
    camera = Camera.orbit(torch.zeros(3), 2.0, 35.0)
    rays = rays_of([camera], 2, 0.5, near=-0.45, far=0.6)
    assert torch.allclose(rays.near, torch.tensor([[1.55]])) and torch.allclose(
        rays.far, torch.tensor([[2.6]])
    )
    depths = stratified_depths(rays, 5, 0.0)
    assert torch.allclose(depths[0, 0, [0, -1]], torch.tensor([1.55, 2.6]))
    # the scale is that of the cameras' metres: near and far are already in the field's units
    assert torch.allclose(rays_of([camera], 2, 0.5, 3.0, near=-0.45).near, torch.tensor([[5.55]]))


def test_a_field_is_asked_at_the_points_of_the_rays() -> None:
    rays = rays_of([Camera.orbit(torch.zeros(3), 2.0), Camera.orbit(torch.zeros(3), 1.0, 40.0)], 3, 0.5)
    depths = stratified_depths(rays, 4, 0.5)
    density, colour = query_field(lambda p: (p[..., :1], 2 * p), rays, depths)
    assert isinstance(rays, Rays) and density.shape == (2, 9, 4) and colour.shape == (2, 9, 4, 3)
    assert torch.equal(colour, 2 * rays.at(depths)) and torch.equal(density, rays.at(depths)[..., 0])
    made = ray_march(density, colour, depths)
    assert isinstance(made, RayMarchOutput)
    assert torch.equal(shifted_softplus(torch.ones(2)), torch.full((2,), math.log(2)))
