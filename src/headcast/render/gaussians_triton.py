"""Render Gaussians on CUDA with Triton kernels, one program per tile. Projection and sorting are torch.

Backward goes front to back like ``gaussians_numba_unblend`` and writes one row for each pair of Gaussian and
tile; rows are summed in order, without atomics, so gradients repeat exactly. With ``TRITON_INTERPRET=1`` the
kernels run on the CPU, slowly, for tests.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.render.gaussians_torch import (
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    Footprints,
    composite,
    footprints,
)
from headcast.render.types import SplatImage

if TYPE_CHECKING:
    import triton.language as tl  # pyright: ignore[reportMissingImports]

__all__ = ["available", "render"]

TILE = 16
_MOMENTS = 6


def available() -> bool:
    """Whether Triton can be imported."""
    import importlib.util

    return importlib.util.find_spec("triton") is not None


@dataclass(frozen=True)
class _Pairs:
    """Pairs of Gaussian and tile. Tile t has the pairs start[t] .. start[t + 1], nearest first.

    ``gaussian`` of each pair; ``slot``, its place in the order of Gaussians, of which each has ``count``.
    """

    start: Tensor
    gaussian: Tensor
    slot: Tensor
    count: Tensor


def _pairs(footprint: Footprints, width: int, height: int) -> _Pairs:
    """Pair every Gaussian with the tiles its box meets."""
    columns, rows = -(-width // TILE), -(-height // TILE)
    size = torch.tensor([columns, rows], device=footprint.mean.device)
    # a pixel centre is within reach where |x + 0.5 - mean| <= reach; a hair wider against rounding
    low = ((footprint.mean - footprint.half_extent - 0.501) / TILE).floor().clamp_min(0).minimum(size).long()
    high = (
        ((footprint.mean + footprint.half_extent - 0.499) / TILE + 1)
        .floor()
        .clamp_min(0)
        .minimum(size)
        .long()
    )
    across, down = (high - low).clamp_min(0).unbind(1)
    count = across * down
    gaussian = torch.repeat_interleave(count)
    nth = torch.arange(len(gaussian), device=count.device) - (count.cumsum(0) - count)[gaussian]
    x = low[gaussian, 0] + nth % across[gaussian]
    y = low[gaussian, 1] + torch.div(nth, across[gaussian], rounding_mode="floor")
    tile, slot = torch.sort(y * columns + x, stable=True)
    start = torch.searchsorted(tile, torch.arange(columns * rows + 1, device=count.device))
    return _Pairs(start, gaussian[slot], slot, count)


class _Blend(torch.autograd.Function):
    """Autograd function: mean, conic, opacity, values (n, K) of sorted Gaussians to blended (K, H, W).

    K is a power of two.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        mean: Tensor,
        conic: Tensor,
        opacity: Tensor,
        values: Tensor,
        pairs: _Pairs,
        width: int,
        height: int,
    ) -> Tensor:
        rows = torch.cat([mean, conic, opacity[:, None]], 1).contiguous()
        values = values.contiguous()
        out = torch.zeros(values.shape[1], height, width, device=mean.device)
        columns = -(-width // TILE)
        tiles = (len(pairs.start) - 1,)
        limits = {"MIN_ALPHA": MIN_ALPHA, "MAX_ALPHA": MAX_ALPHA, "STOP": MIN_TRANSMITTANCE}
        kernels()[0][tiles](
            pairs.start,
            pairs.gaussian,
            rows,
            values,
            out,
            columns,
            width,
            height,
            K=values.shape[1],
            TILE=TILE,
            num_warps=4,
            **limits,
        )
        ctx.save_for_backward(rows, values, out)
        ctx.kept = pairs, columns, width, height, limits
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        rows, values, out = ctx.saved_tensors
        pairs, columns, width, height, limits = ctx.kept
        K = values.shape[1]
        slots = torch.zeros(len(pairs.slot), _MOMENTS + K, device=rows.device)
        kernels()[1][(len(pairs.start) - 1,)](
            pairs.start,
            pairs.gaussian,
            pairs.slot,
            rows,
            values,
            out,
            d_out.contiguous(),
            slots,
            columns,
            width,
            height,
            K=K,
            TILE=TILE,
            num_warps=4,
            **limits,
        )
        sums = torch.segment_reduce(slots, "sum", lengths=pairs.count, axis=0, unsafe=True)
        g, gx, gy, gxx, gxy, gyy = sums[:, :_MOMENTS].unbind(1)
        A, B, C, opacity = rows[:, 2:].unbind(1)
        d_mean = torch.stack([A * gx + B * gy, B * gx + C * gy], 1)
        d_conic = torch.stack([-0.5 * gxx, -gxy, -0.5 * gyy], 1)
        return d_mean, d_conic, g / opacity, sums[:, _MOMENTS:], None, None, None


def render(
    means: Tensor,
    log_scales: Tensor,
    quaternions: Tensor,
    opacity_logits: Tensor,
    colours: Tensor,
    camera: Camera,
    background: Tensor | None,
    antialiased: bool,
    near: float,
) -> SplatImage:
    """Render as ``gaussians_torch.render``, for float32 on CUDA.

    Raises:
        HeadcastError: when Triton isn't installed.
    """
    if not available():
        raise HeadcastError("backend triton: not installed; torch for CUDA brings it, or use backend torch")
    footprint = footprints(means, log_scales, quaternions, opacity_logits, camera, antialiased, near)
    w, h, channels = camera.width, camera.height, colours.shape[1]
    parts = [colours[footprint.index], torch.ones_like(footprint.depth)[:, None], footprint.depth[:, None]]
    size = 1 << (channels + 1).bit_length()
    parts.append(footprint.depth.new_zeros(len(footprint.depth), size - channels - 2))
    if len(footprint.index) == 0:
        image = colours.new_zeros(size, h, w) + 0.0 * colours.sum()
    else:
        image = _Blend.apply(
            footprint.mean,
            footprint.conic,
            footprint.opacity,
            torch.cat(parts, 1),
            _pairs(footprint, w, h),
            w,
            h,
        )  # pyright: ignore[reportGeneralTypeIssues]
    return composite(image[:channels].movedim(0, -1), image[channels], image[channels + 1], background)


@cache
def kernels() -> tuple[Any, Any]:
    """Return the compiled kernels; their names must be globals of this module, where Triton looks them up."""
    import triton
    import triton.language as tl

    globals()["tl"] = tl
    globals()["weigh_pixels"] = triton.jit(inspect.unwrap(weigh_pixels))
    return triton.jit(inspect.unwrap(blend)), triton.jit(inspect.unwrap(unblend))


def weigh_pixels(rows, g, px, py, T, MIN_ALPHA: tl.constexpr, MAX_ALPHA: tl.constexpr, STOP: tl.constexpr):  # type: ignore[no-untyped-def]
    """Compute offsets from the mean, uncapped alpha, alpha, weight and transmittance at the pixels of a tile.

    A finished pixel's transmittance is stored negative.
    """
    r = rows + g * 6
    dx, dy = px - tl.load(r), py - tl.load(r + 1)
    A, B, C = tl.load(r + 2), tl.load(r + 3), tl.load(r + 4)
    raw = tl.load(r + 5) * tl.exp(-0.5 * (A * dx * dx + C * dy * dy) - B * dx * dy)
    alpha = tl.where(raw >= MIN_ALPHA, tl.minimum(raw, MAX_ALPHA), 0.0)
    behind = T - T * alpha
    weight = tl.where(behind >= STOP, T * alpha, 0.0)
    return dx, dy, raw, alpha, weight, tl.where(behind >= STOP, behind, -tl.abs(T))


def blend(  # type: ignore[no-untyped-def]
    start,
    gaussian,
    rows,
    values,
    out,
    columns,
    width,
    height,
    K: tl.constexpr,
    TILE: tl.constexpr,
    MIN_ALPHA: tl.constexpr,
    MAX_ALPHA: tl.constexpr,
    STOP: tl.constexpr,
):
    """Blend one tile front to back until every pixel is finished."""
    t = tl.program_id(0)
    lane, channel = tl.arange(0, TILE * TILE), tl.arange(0, K)
    x, y = (t % columns) * TILE + lane % TILE, (t // columns) * TILE + lane // TILE
    inside = (x < width) & (y < height)
    px, py = x.to(tl.float32) + 0.5, y.to(tl.float32) + 0.5
    T = tl.where(inside, 1.0, -1.0)
    total = tl.zeros((K, TILE * TILE), tl.float32)
    k, end = tl.load(start + t), tl.load(start + t + 1)
    while (k < end) & (tl.max(T, 0) > 0.0):  # pyright: ignore[reportOperatorIssue]
        g = tl.load(gaussian + k)
        _, _, _, _, weight, T = weigh_pixels(rows, g, px, py, T, MIN_ALPHA, MAX_ALPHA, STOP)
        total += tl.load(values + g * K + channel)[:, None] * weight[None, :]
        k += 1
    at = channel[:, None] * (width * height) + (y * width + x)[None, :]
    tl.store(out + at, total, mask=inside[None, :])


def unblend(  # type: ignore[no-untyped-def]
    start,
    gaussian,
    slot,
    rows,
    values,
    out,
    d_out,
    slots,
    columns,
    width,
    height,
    K: tl.constexpr,
    TILE: tl.constexpr,
    MIN_ALPHA: tl.constexpr,
    MAX_ALPHA: tl.constexpr,
    STOP: tl.constexpr,
):
    """Compute gradients of one tile: moments of d ln(alpha) and of every pair's values, into its slot."""
    t = tl.program_id(0)
    lane, channel = tl.arange(0, TILE * TILE), tl.arange(0, K)
    x, y = (t % columns) * TILE + lane % TILE, (t // columns) * TILE + lane // TILE
    inside = (x < width) & (y < height)
    px, py = x.to(tl.float32) + 0.5, y.to(tl.float32) + 0.5
    at = channel[:, None] * (width * height) + (y * width + x)[None, :]
    d = tl.load(d_out + at, mask=inside[None, :], other=0.0)
    rest = tl.sum(d * tl.load(out + at, mask=inside[None, :], other=0.0), 0)
    T = tl.where(inside, 1.0, -1.0)
    k, end = tl.load(start + t), tl.load(start + t + 1)
    while (k < end) & (tl.max(T, 0) > 0.0):  # pyright: ignore[reportOperatorIssue]
        g = tl.load(gaussian + k)
        dx, dy, raw, alpha, weight, behind = weigh_pixels(rows, g, px, py, T, MIN_ALPHA, MAX_ALPHA, STOP)
        own = weight * tl.sum(d * tl.load(values + g * K + channel)[:, None], 0)
        rest -= own
        e = tl.where((behind > 0.0) & (raw <= MAX_ALPHA), own - alpha * rest / (1.0 - alpha), 0.0)
        s = slots + tl.load(slot + k) * (6 + K)
        tl.store(s, tl.sum(e, 0))
        tl.store(s + 1, tl.sum(e * dx, 0))
        tl.store(s + 2, tl.sum(e * dy, 0))
        tl.store(s + 3, tl.sum(e * dx * dx, 0))
        tl.store(s + 4, tl.sum(e * dx * dy, 0))
        tl.store(s + 5, tl.sum(e * dy * dy, 0))
        tl.store(s + 6 + channel, tl.sum(d * weight[None, :], 1))
        T = behind
        k += 1
