"""Hash encoding and compositing of packed samples, by kernels: differentiable, checked against torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.methods.ohpavatars.field.kernels import (
    COMPOSITE,
    COMPOSITE_BACKWARD,
    ENCODE,
    ENCODE_BACKWARD,
    MIN_TRANSMITTANCE,
)
from headcast.nets.hashgrid import HashGrid
from headcast.render.jit import parallel

__all__ = ["Composited", "composite_packed", "composite_reference", "encode_points"]

CHUNK = 4096  # points a thread takes at a time
RAYS = 512  # rays a thread takes at a time


class Composited(NamedTuple):
    """What rays meet: premultiplied colours, coverage, and depth times coverage."""

    colour: Float[Tensor, "r 3"]
    alpha: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]


def encode_points(grid: HashGrid, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
    """Compute ``grid``'s features at points (0..1) by kernels; differentiable in its tables alone."""
    return _Encode.apply(points.clamp(0, 1), tuple(grid.cells), *grid.tables)  # type: ignore[no-any-return]


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, cells: tuple[int, ...], *tables: Tensor) -> Tensor:
        x = points.detach().contiguous().numpy()
        features = tables[0].shape[1]
        out = torch.empty(len(points), features * len(tables), dtype=points.dtype)
        y, run = out.numpy(), ENCODE[x.dtype.type]
        values = [t.detach().contiguous().numpy() for t in tables]

        def work(k: int) -> None:
            first, last = k * CHUNK, min((k + 1) * CHUNK, len(x))
            for level, (n, t) in enumerate(zip(cells, values, strict=True)):
                run(x, t, 0, n, len(t), features, y, level, first, last)

        parallel(work, -(-len(x) // CHUNK))
        ctx.kept = x, cells, [t.shape for t in tables], points.dtype
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, cells, shapes, dtype = ctx.kept
        gradients = [torch.zeros(s, dtype=dtype) for s in shapes]
        given, run = d_out.contiguous().numpy(), ENCODE_BACKWARD[x.dtype.type]

        def work(level: int) -> None:
            size, features = shapes[level]
            run(x, given, 0, cells[level], size, features, gradients[level].numpy(), level)

        parallel(work, len(cells))
        return None, None, *gradients


def composite_packed(
    start: Int[Tensor, " r"],
    count: Int[Tensor, " r"],
    density: Float[Tensor, " n"],
    colour: Float[Tensor, "n 3"],
    step: Float[Tensor, " n"],
    depth: Float[Tensor, " n"],
) -> Composited:
    """Composite the samples of rays front to back; a ray ends where hardly any light passes.

    Args:
        start, count: which of the n samples each ray has, near to far.
        density: per metre. step: metres that a sample stands for. depth: distance from the camera.
    """
    out: Tensor = _Composite.apply(start, count, density, colour, step, depth)  # type: ignore[assignment]
    return Composited(out[:, :3], out[:, 3], out[:, 4])


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, start: Tensor, count: Tensor, density: Tensor, colour: Tensor, step: Tensor, depth: Tensor
    ) -> Tensor:
        given = [x.detach().contiguous().numpy() for x in (start, count, density, colour, step, depth)]
        out = torch.empty(len(start), 5, dtype=density.dtype)
        through = torch.empty_like(density)
        run, y, t = COMPOSITE[given[2].dtype.type], out.numpy(), through.numpy()
        rays = len(start)
        parallel(lambda k: run(*given, y, t, k * RAYS, min((k + 1) * RAYS, rays)), -(-rays // RAYS))
        ctx.kept = given, t
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        given, through = ctx.kept
        d_density = torch.zeros(len(given[2]), dtype=d_out.dtype)
        d_colour = torch.zeros(len(given[2]), 3, dtype=d_out.dtype)
        run, rays = COMPOSITE_BACKWARD[given[2].dtype.type], len(given[0])
        args = (*given, through, d_out.contiguous().numpy(), d_density.numpy(), d_colour.numpy())
        parallel(lambda k: run(*args, k * RAYS, min((k + 1) * RAYS, rays)), -(-rays // RAYS))
        return None, None, d_density, d_colour, None, None


def composite_reference(
    start: Int[Tensor, " r"],
    count: Int[Tensor, " r"],
    density: Float[Tensor, " n"],
    colour: Float[Tensor, "n 3"],
    step: Float[Tensor, " n"],
    depth: Float[Tensor, " n"],
) -> Composited:
    """Compute ``composite`` in plain torch, ray by ray: its specification."""
    colours, alphas, depths = [], [], []
    for first, n in zip(start.tolist(), count.tolist(), strict=True):
        own = slice(first, first + n)
        passed = torch.exp(-density[own] * step[own])
        through = torch.cat([torch.ones_like(passed[:1]), torch.cumprod(passed, 0)[:-1]]) if n else passed
        weight = through * (1 - passed) * (through >= MIN_TRANSMITTANCE)
        colours.append((weight[:, None] * colour[own]).sum(0))
        alphas.append(weight.sum())
        depths.append((weight * depth[own]).sum())
    return Composited(torch.stack(colours), torch.stack(alphas), torch.stack(depths))
