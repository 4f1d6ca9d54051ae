"""Place local positions in the world and shade bare colours, with gradients, in one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.device import is_cuda
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.jit import helper, kernel, parallel

__all__ = ["shade_and_place", "shade_and_place_reference"]

CHUNK = 8192  # Gaussians a thread takes at a time
STEPS = 1 << 12  # of a table, per unit
BRIGHT = 2  # display values up to this are in the table
DIM = np.float32(1e-6)  # linear light

Pair = tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]


def shade_and_place_reference(
    position: Float[Tensor, "n 3"],
    albedo: Float[Tensor, "n 3"],
    origin: Float[Tensor, "n 3"],
    matrix: Float[Tensor, "n 3 3"],
    shading: Float[Tensor, "n 3"],
) -> Pair:
    """Return world positions, and display values of ``albedo`` (display values too) in light ``shading``."""
    world = origin + (matrix @ position[..., None])[..., 0]
    return world, linear_to_srgb((srgb_to_linear(albedo) * shading).clamp(float(DIM), 1))


def shade_and_place(
    position: Float[Tensor, "n 3"],
    albedo: Float[Tensor, "n 3"],
    origin: Float[Tensor, "n 3"],
    matrix: Float[Tensor, "n 3 3"],
    shading: Float[Tensor, "n 3"],
) -> Pair:
    """Compute ``shade_and_place_reference``, on a CPU by a kernel (float32).

    Differentiable in ``position`` and ``albedo``.
    """
    if is_cuda(position):
        return shade_and_place_reference(position, albedo, origin, matrix, shading)
    return _ShadeAndPlace.apply(position, albedo, origin, matrix, shading)  # type: ignore[no-any-return]


class _ShadeAndPlace(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, position: Tensor, albedo: Tensor, origin: Tensor, matrix: Tensor, shading: Tensor
    ) -> tuple[Tensor, Tensor]:
        world, colours, slopes = (torch.empty_like(albedo) for _ in range(3))
        given = [x.detach().contiguous().numpy() for x in (position, albedo, origin, matrix, shading)]
        out = [x.numpy() for x in (world, colours, slopes)]
        _spread(lambda a, b: _forward(*given, *_lookup_tables(), *out, a, b), len(albedo))
        ctx.kept = matrix, slopes
        return world, colours

    @staticmethod
    def backward(ctx: Any, d_world: Tensor, d_colours: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        matrix, slopes = ctx.kept
        moved = torch.empty_like(slopes)
        given = matrix.contiguous().numpy(), d_world.contiguous().numpy()
        _spread(lambda a, b: _backward(*given, moved.numpy(), a, b), len(moved))
        return moved, d_colours * slopes, None, None, None


def _spread(work: Any, count: int) -> None:
    parallel(lambda k: work(k * CHUNK, min((k + 1) * CHUNK, count)), -(-count // CHUNK))


def _lookup_tables() -> tuple[np.ndarray, np.ndarray]:
    """Linear light of display values 0 to ``BRIGHT``, and display values of linear light 0 to 1."""
    global _tables
    if _tables is None:
        linear = srgb_to_linear(np.arange(BRIGHT * STEPS + 2) / STEPS)
        display = linear_to_srgb(np.arange(STEPS + 2) / STEPS)
        _tables = linear.astype(np.float32), display.astype(np.float32)
    return _tables


_tables: tuple[np.ndarray, np.ndarray] | None = None


@helper
def _interpolate(x, values):
    """Return a table's value at x and its slope there."""
    at = x * np.float32(STEPS)
    k = min(max(int(at), 0), len(values) - 2)
    rise = values[k + 1] - values[k]
    return values[k] + (at - np.float32(k)) * rise, rise * np.float32(STEPS)


@kernel(
    "void(f4[:,::1], f4[:,::1], f4[:,::1], f4[:,:,::1], f4[:,::1], f4[::1], f4[::1], f4[:,::1], f4[:,::1],"
    " f4[:,::1], i8, i8)"
)
def _forward(position, albedo, origin, matrix, shading, linear, display, world, colours, slopes, start, stop):
    """Shade and place Gaussians start..stop; ``slopes``: how colours change with the albedo."""
    for n in range(start, stop):
        for i in range(3):
            m = matrix[n, i]
            world[n, i] = origin[n, i] + m[0] * position[n, 0] + m[1] * position[n, 1] + m[2] * position[n, 2]
            bare, slope = _interpolate(albedo[n, i], linear)
            lit = bare * shading[n, i]
            colour, rise = _interpolate(min(max(lit, DIM), np.float32(1)), display)
            colours[n, i] = colour
            inside = DIM <= lit <= np.float32(1)
            slopes[n, i] = rise * slope * shading[n, i] if inside else np.float32(0)


@kernel("void(f4[:,:,::1], f4[:,::1], f4[:,::1], i8, i8)")
def _backward(matrix, d_world, d_position, start, stop):
    """Gradients of local positions."""
    for n in range(start, stop):
        x, y, z = d_world[n, 0], d_world[n, 1], d_world[n, 2]
        for i in range(3):
            d_position[n, i] = matrix[n, 0, i] * x + matrix[n, 1, i] * y + matrix[n, 2, i] * z
