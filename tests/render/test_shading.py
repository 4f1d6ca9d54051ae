"""Harmonics, lamps and GGX: orthonormal, turning with the light, energy kept, both ways the same."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headcast.render import shading
from headcast.rotation import axis_angle_to_matrix

numbers = st.floats(-3, 3, allow_nan=False)
vectors = st.tuples(numbers, numbers, numbers).map(lambda v: torch.tensor(v, dtype=torch.double))


def sphere_grid(n: int = 120) -> tuple[Tensor, Tensor]:
    """Directions and weights that integrate over the sphere (Gauss-Legendre by uniform angle)."""
    import numpy as np

    z, w = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(n))
    phi = torch.arange(2 * n, dtype=torch.double) * (math.pi / n)
    r = (1 - z * z).sqrt()[:, None]
    d = torch.stack([r * phi.cos(), r * phi.sin(), z[:, None].expand(n, 2 * n)], -1).reshape(-1, 3)
    return d, (w[:, None] * (math.pi / n)).expand(n, 2 * n).reshape(-1)


def test_harmonics_are_orthonormal() -> None:
    d, w = sphere_grid()
    b = shading.sh_basis(d)
    torch.testing.assert_close((b * w[:, None]).T @ b, torch.eye(9, dtype=torch.double))


def test_irradiance_is_the_integral_over_the_hemisphere() -> None:
    d, w = sphere_grid()
    radiance = torch.randn(9, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    radiance[0] += 8  # positive everywhere
    lobe = torch.tensor([1.0, *[2 / 3] * 3, *[1 / 4] * 5], dtype=torch.double)[:, None]
    n = torch.nn.functional.normalize(torch.randn(5, 3, dtype=torch.double), dim=1)
    direct = ((d @ n.T).clamp(min=0) * w[:, None]).T @ (shading.sh_basis(d) @ radiance) / math.pi
    torch.testing.assert_close(shading.shade(n, radiance * lobe), direct, rtol=1e-3, atol=1e-3)


@given(vectors, vectors, st.integers(0, 1000))
def test_light_turns_with_its_scene(turn: Tensor, normal: Tensor, seed: int) -> None:
    light = torch.randn(9, 3, dtype=torch.double, generator=torch.Generator().manual_seed(seed))
    R = axis_angle_to_matrix(turn)
    n = torch.nn.functional.normalize(normal + torch.tensor([0, 0, 1e-3], dtype=torch.double), dim=0)
    turned = shading.sh_light_rotate(light, R)
    torch.testing.assert_close(
        shading.sh_basis(R @ n) @ turned, shading.sh_basis(n) @ light, atol=1e-8, rtol=1e-8
    )
    torch.testing.assert_close(shading.sh_light_rotate(turned, R.T), light, atol=1e-8, rtol=1e-8)


def test_ambient_light_is_the_same_everywhere() -> None:
    n = torch.nn.functional.normalize(torch.randn(10, 3), dim=1)
    torch.testing.assert_close(shading.shade(n, shading.ambient(0.7)), torch.full((10, 3), 0.7))


@given(vectors, st.floats(0.05, 2), st.sampled_from([1, 3, 5]))
def test_lamps_of_a_lamp_are_that_lamp(direction: Tensor, level: float, count: int) -> None:
    d = torch.nn.functional.normalize(direction + torch.tensor([0, 1e-2, 0], dtype=torch.double), dim=0)
    colour = torch.tensor([1.0, 0.8, 0.6], dtype=torch.double) * level
    light = shading.directional(d, colour) + shading.ambient(0.3).double()
    directions, colours = shading.dominant_lights(light, count)
    assert directions.shape == colours.shape == (count, 3)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(count, dtype=torch.double))
    torch.testing.assert_close(colours.sum(0), colour)
    torch.testing.assert_close(torch.nn.functional.normalize(directions.sum(0), dim=0), d, atol=1e-6, rtol=0)


def test_a_lamp_in_harmonics_lights_about_like_the_lamp() -> None:
    d = torch.tensor([0.0, 0.6, 0.8])
    light = shading.directional(d, torch.ones(3))
    n = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    wrong = (shading.shade(n, light)[:, 0] - (n @ d).clamp(min=0)).abs()
    assert wrong.max() < 0.1


def test_flat_light_needs_no_direction() -> None:
    directions, colours = shading.dominant_lights(shading.ambient())
    assert torch.isfinite(directions).all() and (colours == 0).all()


@pytest.mark.parametrize("roughness", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("cosine", [0.2, 0.7, 1.0])
def test_no_more_light_leaves_than_arrives(roughness: float, cosine: float) -> None:
    d, w = sphere_grid(300)
    d, w = d[d[:, 2] > 0], w[d[:, 2] > 0]
    view = torch.tensor([math.sqrt(1 - cosine**2), 0, cosine], dtype=torch.double).expand_as(d)
    up = torch.tensor([0.0, 0, 1], dtype=torch.double).expand_as(d)
    full = torch.full((len(d),), roughness, dtype=torch.double)
    # radiance 1 from everywhere, f0 = 1: what is missing is light scattered more than once
    out = (shading.ggx_specular(up, view, d, full, torch.ones_like(full)) / math.pi * w).sum()
    assert 0.3 < out < 1.005
    if roughness == 0.2 and cosine > 0.5:
        assert out > 0.95


@given(vectors, vectors, st.floats(0.05, 1), st.floats(0.0, 1))
def test_reflection_works_both_ways(a: Tensor, b: Tensor, roughness: float, f0: float) -> None:
    up = torch.tensor([0.0, 0, 1], dtype=torch.double)
    l, v = (torch.nn.functional.normalize(x.abs() + 1e-2, dim=0) for x in (a, b))  # noqa: E741
    r, f = torch.tensor(roughness, dtype=torch.double), torch.tensor(f0, dtype=torch.double)
    there = shading.ggx_specular(up, v, l, r, f) / l[2]
    back = shading.ggx_specular(up, l, v, r, f) / v[2]
    torch.testing.assert_close(there, back)
    assert there >= 0
    assert shading.ggx_specular(up, v, -l, r, f) == 0
    assert shading.ggx_specular(up, v, l, r, torch.zeros_like(f)) == 0
