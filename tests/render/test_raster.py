"""Rasterization: backends agree, edges are shared exactly, the near plane cuts, threads change nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.render.scenes import camera, soup, sphere

from headcast.camera import Camera
from headcast.render.mesh import homogeneous_pixels, interpolate, rasterize_mesh, sum_rows


@given(st.integers(0, 10_000), st.sampled_from([0.08, 0.25, 0.9]), st.booleans())
def test_numba_is_the_reference(seed: int, distance: float, cull: bool) -> None:
    v, f = soup(seed)  # at small distances triangles cross the near plane and the camera's own plane
    view = camera(distance=distance)
    a = rasterize_mesh(v, f, view, cull_back=cull, backend="reference")
    b = rasterize_mesh(v, f, view, cull_back=cull, backend="numba")
    assert torch.equal(a.triangle, b.triangle)
    assert torch.equal(a.depth, b.depth)
    torch.testing.assert_close(a.barycentric, b.barycentric, atol=1e-5, rtol=0)


def test_barycentrics_and_depth_are_those_of_the_ray() -> None:
    v, f = soup(3)
    view = camera()
    seen = rasterize_mesh(v, f, view)
    hit = seen.triangle >= 0
    assert hit.any() and not hit.all()
    where = interpolate(seen, f, v)[hit]
    y, x = torch.nonzero(hit).unbind(1)
    torch.testing.assert_close(view.project(where), torch.stack([x, y], 1) + 0.5, atol=2e-3, rtol=0)
    torch.testing.assert_close(view.to_camera(where)[:, 2], seen.depth[hit], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.barycentric[hit].sum(1), torch.ones(len(x)))
    assert (seen.barycentric[hit] > -1e-6).all()
    assert (seen.barycentric[~hit] == 0).all() and (seen.depth[~hit] == 0).all()


def test_the_near_plane_cuts_triangles_where_it_is() -> None:
    # a floor under the camera that reaches behind it
    v = torch.tensor([[-50.0, -0.1, 5.0], [50.0, -0.1, 5.0], [0.0, -0.1, -50.0]])
    f, view = torch.tensor([[0, 1, 2]]), Camera.make(100, 64, 64)
    for near in (0.01, 0.4, 1.0):
        for backend in ("numba", "reference"):
            seen = rasterize_mesh(v, f, view, near=near, backend=backend)
            hit = seen.triangle >= 0
            assert hit.any()
            assert not hit[:32].any()
            floor = 0.1 * 100 / (torch.arange(64) + 0.5 - 32)  # depth of each row
            expected = (floor >= near) & (floor > 0)
            assert torch.equal(hit[:, 32], expected)
            torch.testing.assert_close(seen.depth[expected, 32], floor[expected], rtol=1e-5, atol=0)
            where = interpolate(seen, f, v)[hit]
            torch.testing.assert_close(where[:, 1], torch.full((len(where),), -0.1), atol=1e-4, rtol=0)


def test_what_lies_behind_the_camera_or_is_not_a_number_is_not_drawn() -> None:
    v = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2], [0.0, 0, float("nan")], [1.0, 0, -1], [0, 1, -1]])
    for backend in ("numba", "reference"):
        seen = rasterize_mesh(
            v, torch.tensor([[0, 1, 2], [3, 4, 5]]), Camera.make(100, 32, 32), backend=backend
        )
        assert (seen.triangle == -1).all()
        empty = rasterize_mesh(
            v, torch.zeros(0, 3, dtype=torch.long), Camera.make(100, 32, 32), backend=backend
        )
        assert (empty.triangle == -1).all()


@given(st.integers(0, 10_000), st.booleans())
def test_neighbours_cover_every_pixel_exactly_once(seed: int, snapped: bool) -> None:
    # a fan around the middle, drawn one triangle at a time; snapped corners lie on pixel centres
    g = torch.Generator().manual_seed(seed)
    angle = torch.sort(torch.rand(7, generator=g) * 2 * torch.pi).values
    angle = torch.cat([angle, torch.arange(4) * (torch.pi / 2)]).sort().values
    rim = torch.stack([angle.cos(), angle.sin()], 1) * 200 + 16
    middle = torch.rand(1, 2, generator=g) * 8 + 12
    if snapped:
        rim, middle = rim.round() + 0.5, middle.round() + 0.5
    pixels = torch.cat([middle, rim]).double()
    z = torch.rand(len(pixels), 1, generator=g).double() + 1
    view = Camera.make(100, 32, 32)
    v = torch.cat([(pixels - 16) / 100 * z, z], 1) * torch.tensor([1.0, -1, -1])
    n = len(rim)
    faces = torch.tensor([[0, 1 + i, 1 + (i + 1) % n] for i in range(n)])
    faces = torch.stack([row.roll(int(torch.randint(3, (1,), generator=g))) for row in faces])
    for backend in ("numba", "reference"):
        drawn = sum((rasterize_mesh(v, f[None], view, backend=backend).triangle >= 0).int() for f in faces)
        assert torch.equal(drawn, torch.ones(32, 32, dtype=torch.int32))  # type: ignore[arg-type]


def test_a_closed_sphere_has_no_holes() -> None:
    v, f, _, _ = sphere(60, 80)
    view = camera(256, 256, distance=0.5, focal=500)
    seen = rasterize_mesh(v, f, view, cull_back=True)
    both = rasterize_mesh(v, f, view)
    assert torch.equal(seen.triangle, both.triangle)  # the back is never in front
    hit = seen.triangle >= 0
    for line in (*hit, *hit.T):  # convex: one run per row and column
        assert (line.int().diff().abs().sum()) <= 2
    p = torch.stack(torch.meshgrid(torch.arange(256) + 0.5, torch.arange(256) + 0.5, indexing="xy"), -1)
    ray = torch.cat([(p - 128) / 500, torch.ones(256, 256, 1)], -1)
    centre = view.to_camera(torch.zeros(3))
    sine = torch.linalg.cross(ray, centre.expand_as(ray)).norm(dim=-1) / ray.norm(dim=-1)
    assert hit[sine < 0.0995].all() and not hit[sine > 0.1].any()


def test_of_two_at_one_place_the_lower_is_seen() -> None:
    v, f = soup(5)
    doubled = torch.cat([f, f.flip(0)])
    for backend in ("numba", "reference"):
        seen = rasterize_mesh(v, doubled, camera(), backend=backend)
        assert torch.equal(seen.triangle, rasterize_mesh(v, f, camera()).triangle)


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_gradients_of_barycentrics(backend: str) -> None:
    v, f = soup(11, 8, 0.2)
    view = camera(9, 7, focal=12)
    with torch.no_grad():
        covered = rasterize_mesh(v.double(), f, view, backend=backend).triangle
    assert (covered >= 0).sum() > 10

    def barycentric(x: torch.Tensor) -> torch.Tensor:
        return rasterize_mesh(x, f, view, backend=backend).barycentric

    assert torch.autograd.gradcheck(barycentric, (v.double().requires_grad_(),), eps=1e-7, atol=1e-5)


def test_gradients_of_interpolation_in_attributes_and_vertices() -> None:
    v, f = soup(12, 8, 0.2)
    view = camera(9, 7, focal=12)
    a = torch.randn(8, 2, dtype=torch.double, requires_grad=True)

    def picture(x: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        return interpolate(rasterize_mesh(x, f, view), f, attributes)

    assert torch.autograd.gradcheck(picture, (v.double().requires_grad_(), a), eps=1e-7, atol=1e-5)


def test_interpolation_without_gradients_is_the_same() -> None:
    v, f, uv, faces_uv = sphere()
    seen = rasterize_mesh(v, f, camera())
    plain = interpolate(seen, faces_uv, uv)
    torch.testing.assert_close(plain, interpolate(seen, faces_uv, uv.clone().requires_grad_()).detach())


def test_summing_rows_gives_the_same_bits_again() -> None:
    g = torch.Generator().manual_seed(0)
    index, values = torch.randint(0, 50, (20_000,), generator=g), torch.randn(20_000, 3, generator=g)
    once = sum_rows(index, values, 60)
    assert all(torch.equal(once, sum_rows(index, values, 60)) for _ in range(5))
    torch.testing.assert_close(once.double(), sum_rows(index, values.double(), 60), atol=1e-4, rtol=1e-4)


def test_homogeneous_pixels_are_the_cameras_projection() -> None:
    v, _ = soup(1)
    p = homogeneous_pixels(v, camera())
    torch.testing.assert_close((p[:, :2] / p[:, 2:]).float(), camera().project(v), atol=1e-3, rtol=1e-4)


DRAW = """
import hashlib, torch
from headcast.render.shaded import render_textured
from headcast.render.shading import ambient
from tests.render.scenes import camera, sphere
v, f, uv, fuv = sphere()
texture = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
p = render_textured(v, f, v * 10, uv, fuv, texture, camera(150, 150), light=ambient())
print(hashlib.sha256(b"".join(x.numpy().tobytes() for x in (p.rgb, p.alpha, p.depth))).hexdigest())
"""


def test_threads_do_not_change_a_bit(root: os.PathLike[str]) -> None:
    def picture(n: str) -> str:
        env = {**os.environ, "OMP_NUM_THREADS": n, "NUMBA_NUM_THREADS": n, "PYTHONPATH": str(root)}
        run = subprocess.run(
            [sys.executable, "-c", DRAW], env=env, capture_output=True, text=True, check=True
        )
        return run.stdout

    assert picture("1") == picture("2")
