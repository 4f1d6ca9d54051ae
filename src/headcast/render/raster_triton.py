"""Rasterization on CUDA: one Triton program a triangle, an atomic minimum a pixel. See ``raster_reference``.

A minimum doesn't depend on order, so the picture is the same on every run. With ``TRITON_INTERPRET=1`` the
kernel runs on the CPU, slowly, for tests.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.render.raster_reference import EMPTY, Setup, resolve

if TYPE_CHECKING:
    import triton.language as tl

__all__ = ["available", "rasterize"]

LANES = 32
"""Pixels that a program looks at together."""


def available() -> bool:
    """Whether Triton can be imported."""
    import importlib.util

    return importlib.util.find_spec("triton") is not None


def rasterize(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], width: int, height: int, near: float, cull: bool
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre."""
    setup = Setup.of(points, faces, width, height, near, cull)
    best = torch.full((height, width), EMPTY, device=points.device)
    drawn = torch.nonzero(setup.count)[:, 0]
    if len(drawn):
        triangles = (drawn, setup.normals.contiguous(), setup.least.contiguous(), setup.scale, setup.box)
        _draw()[(len(drawn),)](*triangles, best, width, 1 / near, LANES=LANES, num_warps=1)
    return resolve(best)


@cache
def _draw() -> Any:
    """The compiled kernel; its names must be globals of this module, where Triton looks them up."""
    import triton
    import triton.language as tl

    globals()["tl"] = tl
    return triton.jit(draw)


@no_type_check
def draw(drawn, normals, least, scale, box, best, width, largest, LANES: tl.constexpr):
    """Draws one triangle into the smallest keys."""
    f = tl.load(drawn + tl.program_id(0))
    n = normals + f * 9
    a0, b0, c0, t0 = tl.load(n), tl.load(n + 1), tl.load(n + 2), tl.load(least + f * 3)
    a1, b1, c1, t1 = tl.load(n + 3), tl.load(n + 4), tl.load(n + 5), tl.load(least + f * 3 + 1)
    a2, b2, c2, t2 = tl.load(n + 6), tl.load(n + 7), tl.load(n + 8), tl.load(least + f * 3 + 2)
    s = tl.load(scale + f)
    x0, y0 = tl.load(box + f * 4), tl.load(box + f * 4 + 1)
    across, down = tl.load(box + f * 4 + 2) - x0 + 1, tl.load(box + f * 4 + 3) - y0 + 1
    for start in range(0, across * down, LANES):
        k = start + tl.arange(0, LANES)
        x, y = x0 + k % across, y0 + k // across
        u, v = x.to(tl.float64) + 0.5, y.to(tl.float64) + 0.5
        e0, e1, e2 = a0 * u + (b0 * v + c0), a1 * u + (b1 * v + c1), a2 * u + (b2 * v + c2)
        inside = (k < across * down) & (e0 >= t0) & (e1 >= t1) & (e2 >= t2)
        w = ((e0 + e1 + e2) * s).to(tl.float32)
        inside &= (w > 0) & (w <= largest)
        key = (-(w.to(tl.int32, bitcast=True).to(tl.int64)) << 32) | f
        tl.atomic_min(best + y * width + x, key, mask=inside)
