"""Batches of meshes: the same as one after the other, on every backend, and layer by layer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from tests.render.scenes import camera, soup, sphere

from headcast.render.batch import batch_pixels, rasterize_batch
from headcast.render.mesh import rasterize_mesh

COMPARE = """
import torch
from headcast.render.batch import batch_pixels, rasterize_batch
from tests.render.scenes import camera, soup
views = [camera(20, 15, d, 20.0) for d in (0.1, 0.5, 0.3)]
K, T = (torch.stack([getattr(c, n) for c in views]) for n in ("K", "cam_from_world"))
meshes = [soup(s, 16) for s in range(3)]
points = batch_pixels(torch.stack([v for v, _ in meshes]), K, T)
faces = torch.stack([f for _, f in meshes])
beyond = None
for layer in range(3):
    one, other = (
        rasterize_batch(points, faces, 20, 15, beyond=beyond, backend=b) for b in ("reference", "triton")
    )
    assert torch.equal(one.triangle, other.triangle) and torch.equal(one.depth, other.depth)
    assert torch.equal(one.barycentric, other.barycentric)
    beyond = torch.where(one.depth > 0, one.depth, torch.inf)
assert 0 < (one.triangle >= 0).sum() < 600
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_interpreted_kernel_is_the_reference(root: os.PathLike[str]) -> None:
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-c", COMPARE], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_a_batch_is_its_meshes(backend: str) -> None:
    views = [camera(48, 32, d) for d in (0.4, 0.7)]
    meshes = [soup(seed) for seed in (3, 4)]
    K, T = (torch.stack([getattr(c, n) for c in views]) for n in ("K", "cam_from_world"))
    points = batch_pixels(torch.stack([v for v, _ in meshes]), K, T)
    faces = torch.stack([f for _, f in meshes])
    together = rasterize_batch(points, faces, 48, 32, backend=backend)  # type: ignore[arg-type]
    for i, (v, f) in enumerate(meshes):
        alone = rasterize_mesh(v, f, views[i], backend=backend)  # type: ignore[arg-type]
        assert torch.equal(alone.triangle, together.triangle[i])
        assert torch.equal(alone.depth, together.depth[i])
        assert torch.allclose(alone.barycentric, together.barycentric[i], atol=1e-6)


def test_layers_of_a_sphere() -> None:
    v, f, _, _ = sphere()
    view = camera()
    points = batch_pixels(v[None], view.K[None], view.cam_from_world[None])
    front = rasterize_batch(points, f, 64, 48)
    behind = torch.where(front.depth > 0, front.depth, torch.inf)
    back = rasterize_batch(points, f, 64, 48, beyond=behind)
    third = rasterize_batch(points, f, 64, 48, beyond=torch.where(back.depth > 0, back.depth, torch.inf))
    hit = back.triangle >= 0
    assert hit.sum() >= (front.triangle >= 0).sum() - 5
    assert (back.depth[hit] > front.depth[hit]).all()
    assert not (third.triangle >= 0).any()
