"""Rasterize on CUDA: one Triton program per triangle, an atomic minimum per pixel. See ``raster_reference``.

A minimum doesn't depend on order, so the image is the same on every run. With ``TRITON_INTERPRET=1`` the
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

__all__ = ["available", "rasterize", "rasterize_all"]

LANES = 32
"""Pixels that a program tests at once."""


def available() -> bool:
    """Whether Triton can be imported."""
    import importlib.util

    return importlib.util.find_spec("triton") is not None


def rasterize(
    points: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    width: int,
    height: int,
    near: float,
    cull: bool,
    limit: Float[Tensor, "h w"] | None = None,
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Find the nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre."""
    if limit is None:
        limit = torch.full((height, width), 1 / near, device=points.device)
    triangle, depth = rasterize_all(points[None], faces[None], width, height, near, cull, limit[None])
    return triangle[0], depth[0]


def rasterize_all(
    points: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "b f 3"],
    width: int,
    height: int,
    near: float,
    cull: bool,
    limit: Float[Tensor, "b h w"],
) -> tuple[Int[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Rasterize a batch of meshes, each into its own image, in one launch."""
    count, size = points.shape[:2]
    joined = (faces + torch.arange(count, device=faces.device)[:, None, None] * size).reshape(-1, 3)
    setup = Setup.of(points.reshape(-1, 3), joined, width, height, near, cull)
    best = torch.full((count, height, width), EMPTY, device=points.device)
    visible = torch.nonzero(setup.count)[:, 0]
    if len(visible):
        triangles = (
            visible,
            setup.normals.contiguous(),
            setup.min_inside.contiguous(),
            setup.scale,
            setup.box,
        )
        shape = (faces.shape[1], width, width * height)
        _draw()[(len(visible),)](*triangles, best, limit.contiguous(), *shape, LANES=LANES, num_warps=1)
    return resolve(best)


@cache
def _draw() -> Any:
    """Return the compiled kernel; its names must be globals of this module, where Triton looks them up."""
    import triton
    import triton.language as tl

    globals()["tl"] = tl
    return triton.jit(draw)


@no_type_check
def draw(visible, normals, least, scale, box, best, limit, per_image, width, area, LANES: tl.constexpr):
    """Rasterize one triangle into the smallest keys of its image."""
    f = tl.load(visible + tl.program_id(0))
    n = normals + f * 9
    a0, b0, c0, t0 = tl.load(n), tl.load(n + 1), tl.load(n + 2), tl.load(least + f * 3)
    a1, b1, c1, t1 = tl.load(n + 3), tl.load(n + 4), tl.load(n + 5), tl.load(least + f * 3 + 1)
    a2, b2, c2, t2 = tl.load(n + 6), tl.load(n + 7), tl.load(n + 8), tl.load(least + f * 3 + 2)
    s = tl.load(scale + f)
    x0, y0 = tl.load(box + f * 4), tl.load(box + f * 4 + 1)
    across, down = tl.load(box + f * 4 + 2) - x0 + 1, tl.load(box + f * 4 + 3) - y0 + 1
    image, number = f // per_image * area, f % per_image
    for start in range(0, across * down, LANES):
        k = start + tl.arange(0, LANES)
        x, y = x0 + k % across, y0 + k // across
        u, v = x.to(tl.float64) + 0.5, y.to(tl.float64) + 0.5
        e0, e1, e2 = a0 * u + (b0 * v + c0), a1 * u + (b1 * v + c1), a2 * u + (b2 * v + c2)
        inside = (k < across * down) & (e0 >= t0) & (e1 >= t1) & (e2 >= t2)
        w = ((e0 + e1 + e2) * s).to(tl.float32)
        pixel = image + y * width + x
        inside &= (w > 0) & (w <= tl.load(limit + pixel, mask=inside, other=0.0))
        key = (-(w.to(tl.int32, bitcast=True).to(tl.int64)) << 32) | number
        tl.atomic_min(best + pixel, key, mask=inside)
