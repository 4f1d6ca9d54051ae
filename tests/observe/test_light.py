"""The light is found again from shaded samples."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observe.heads import SIZE, detection_of, head, truth

from headcast.image import linear_to_srgb
from headcast.observe.light import estimate_light, fibonacci_sphere, in_front, solve_light
from headcast.render.shading import ambient, directional, sh_basis


def lamp(seed: int) -> np.ndarray:
    """Ambient light and a lamp from the front half."""
    rng = np.random.default_rng(seed)
    d = torch.nn.functional.normalize(
        torch.tensor([rng.normal(0, 0.7), rng.normal(0.3, 0.4), 1.0]).float(), dim=0
    )
    colour = torch.tensor(rng.uniform(0.4, 0.9, 3)).float()
    return (ambient(0.35) + directional(d, colour)).double().numpy()


@given(st.integers(0, 500))
@settings(max_examples=10, deadline=None)
def test_recovers_shading_of_the_seen_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = fibonacci_sphere(1500)
    n = n[n[:, 2] > 0.15]
    basis = sh_basis(torch.from_numpy(n)).numpy()
    light = lamp(seed)
    albedo = np.array([0.5, 0.3, 0.22]) * rng.uniform(0.85, 1.15, (len(n), 1))
    colour = albedo * (basis @ light)
    colour[rng.random(len(n)) < 0.1] = 0.9  # highlights
    got = solve_light(colour, np.repeat([[0.5, 0.3, 0.22]], len(n), 0), basis, np.ones(len(n)))
    error = np.abs(basis @ got - basis @ light) / (basis @ light).mean()
    assert np.median(error) < 0.06


def test_unseen_directions_are_not_black() -> None:
    n = fibonacci_sphere(1000)
    sphere = sh_basis(torch.from_numpy(n)).numpy()
    seen = n[:, 2] > 0.3
    colour = np.repeat(np.clip(n[seen, :1], 0, 1) + 0.05, 3, 1)
    got = solve_light(colour, np.ones((int(seen.sum()), 3)), sphere[seen], np.ones(int(seen.sum())), sphere)
    shade = sphere @ got
    assert shade.min() > -0.1 * shade[seen].mean()


def test_coarse_depth_test_hides_what_lies_behind() -> None:
    pixel = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 10.0]])
    assert in_front(pixel, np.array([1.0, 1.0, 1.05])).tolist() == [True, True, False]


def test_light_of_a_rendered_head() -> None:
    params = truth(0, 8.0, {})
    detection, camera = detection_of(params)
    light = lamp(4)
    with torch.no_grad():
        posed = head()(params)
        normals = head().vertex_normals(posed)
    shade = (sh_basis(normals).numpy() @ light).clip(0)
    colour = np.array([0.45, 0.3, 0.25]) * shade
    from headcast.render.mesh import interpolate, rasterize_mesh

    fragments = rasterize_mesh(posed, head().faces, camera)
    picture = interpolate(fragments, head().faces, torch.from_numpy(colour).float()).numpy()
    rgb = (np.asarray(linear_to_srgb(picture.clip(0, 1))) * 255).round().astype(np.uint8)
    got = estimate_light(rgb, None, head(), params, camera, detection.points)
    assert got is not None
    front = normals[:, 2] > 0.4
    a, b = sh_basis(normals[front]).numpy() @ got, shade[front.numpy()]
    ratio = a / a.mean(0) / (b / b.mean(0))
    assert np.median(np.abs(ratio - 1)) < 0.08
    assert rgb.shape == (SIZE, SIZE, 3)
