"""The Triton backend against the reference: interpreted on the CPU here, compiled where CUDA is."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from tests.render.scenes import camera, soup, sphere

from headcast.render.mesh import rasterize_mesh

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)

COMPARE = """
import torch
from headcast.render.mesh import rasterize_mesh
from tests.render.scenes import camera, soup
for seed, distance in ((0, 0.1), (1, 0.5)):
    v, f = soup(seed, 16)
    for cull in (False, True):
        view = camera(20, 15, distance, 20.0)
        one, other = (rasterize_mesh(v, f, view, cull_back=cull, backend=b) for b in ("reference", "triton"))
        assert torch.equal(one.triangle, other.triangle) and torch.equal(one.depth, other.depth)
        assert (one.triangle >= 0).sum() > 20
"""


@needs_triton
def test_interpreted_kernel_is_the_reference(root: os.PathLike[str]) -> None:
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-c", COMPARE], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_compiled_kernel_is_the_reference() -> None:
    v, f, _, _ = sphere(60, 80)
    for mesh in ((v, f), soup(1)):
        v, f = (x.cuda() for x in mesh)
        one, other = (rasterize_mesh(v, f, camera(256, 256), backend=b) for b in ("reference", "triton"))
        assert torch.equal(one.triangle, other.triangle) and torch.equal(one.depth, other.depth)
