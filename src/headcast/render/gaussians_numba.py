"""The Gaussian renderer on the CPU: numba kernels, forward and backward, on a few threads.

Kernels run without the GIL in threads of our own, as many as torch uses: no second OpenMP beside torch's, nothing that
breaks under fork or from several callers. No result depends on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.render.gaussians_numba_bin import TILE, bin_rows
from headcast.render.gaussians_numba_blend import blend_rows
from headcast.render.gaussians_numba_lanes import LANES
from headcast.render.gaussians_numba_project import RECORD, SUMS, project, project_backward
from headcast.render.gaussians_numba_unblend import sum_slots, unblend_rows
from headcast.render.gaussians_torch import Intrinsics

__all__ = ["render"]

_CHUNK = 2048  # Gaussians a thread takes at a time


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="gaussians")


def _spread(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Calls ``work(start, stop)`` for pieces of ``size`` of range(count), on this thread and some helpers."""
    pieces = -(-count // size)
    helpers = min(torch.get_num_threads(), pieces) - 1
    ticket = itertools.count()

    def loop() -> None:
        while (k := next(ticket)) < pieces:
            work(k * size, min((k + 1) * size, count))

    waiting = [_pool(helpers).submit(loop) for _ in range(helpers)] if helpers > 0 else []
    loop()
    for w in waiting:
        w.result()


def _view(camera: Camera, near: float) -> np.ndarray:
    """The camera as kernels read it (see ``gaussians_numba_project``)."""
    pose = camera.cam_from_world.double()
    size = (near, camera.width, camera.height)
    return np.array([*pose[:3, :3].flatten().tolist(), *pose[:3, 3].tolist(), *Intrinsics.of(camera), *size], np.float32)


def _flat(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().numpy().reshape(-1)


class _Splat(torch.autograd.Function):
    """means, log-scales, quaternions, logits, colours (at least LANES rows, 3 columns), background → picture."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, means: Tensor, log_scales: Tensor, quaternions: Tensor, logits: Tensor, colours: Tensor,
        background: Tensor | None, camera: Camera, antialiased: bool, near: float,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        n, channels = colours.shape
        w, h = camera.width, camera.height
        view = _view(camera, near)
        inputs = [_flat(x) for x in (means, log_scales, quaternions, logits, colours)]
        records = np.empty(n * RECORD + 16, np.float32)
        records = records[(-(records.ctypes.data >> 2)) & 15 :][: n * RECORD]
        _spread(lambda a, b: project(*inputs, channels, view, antialiased, records, a, b), n, _CHUNK)

        rows, columns = -(-h // TILE), -(-w // TILE)
        boxes, slots = np.empty((n, 4), np.int16), np.empty(n + 1, np.int64)
        items, row_start, pair_start = bin_rows(records, records.view(np.uint32), rows, boxes, slots)
        pairs, tile_start = np.empty(int(pair_start[-1]), np.int32), np.empty(rows * columns, np.int64)
        straight = background is None
        back = np.zeros(channels, np.float32) if background is None else _flat(background)
        step = channels if background is not None and background.ndim == 3 else 0
        rgb, alpha, depth = torch.empty(h, w, channels), torch.empty(h, w), torch.empty(h, w)
        out = [_flat(x) for x in (rgb, alpha, depth)]
        lists = (boxes, items, row_start, pair_start, pairs, tile_start)
        canvas = (back, step, straight, w, h)
        _spread(lambda a, b: blend_rows(a, b, records, inputs[4], channels, *lists, *canvas, *out), rows, 1)
        ctx.save_for_backward(means, log_scales, quaternions, logits, colours, background, rgb, alpha, depth)
        ctx.kept = records, view, antialiased, boxes, slots, pair_start, pairs, tile_start, canvas, channels
        return rgb, alpha, depth

    @staticmethod
    def backward(ctx: Any, d_rgb: Tensor, d_alpha: Tensor, d_depth: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        means, log_scales, quaternions, logits, colours, background, rgb, alpha, depth = ctx.saved_tensors
        records, view, antialiased, boxes, slots, pair_start, pairs, tile_start, canvas, channels = ctx.kept
        n, stride, rows = len(logits), SUMS + channels - 3, len(pair_start) - 1
        slot_sums = np.empty(int(slots[-1]) * stride, np.float32)
        lists = (boxes, slots, pair_start, pairs, tile_start)
        pictures = [_flat(x) for x in (rgb, alpha, depth, d_rgb, d_alpha, d_depth)]
        colour = _flat(colours)
        _spread(
            lambda a, b: unblend_rows(a, b, records, colour, channels, *lists, *canvas, *pictures, slot_sums), rows, 1
        )
        sums = np.empty(n * stride, np.float32)
        inputs = [_flat(x) for x in (means, log_scales, quaternions, logits)]
        grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (means, log_scales, quaternions, logits)]
        out = [_flat(x) for x in grads]

        def finish(a: int, b: int) -> None:
            # the last group reaches back into sums that another thread may still be adding: its chunk is whole
            sum_slots(slot_sums, slots, stride, sums, max(min(a, n - LANES), 0), b)
            project_backward(*inputs, view, antialiased, records, sums, stride, *out, a, b)

        _spread(finish, n, _CHUNK)
        d_colours = torch.from_numpy(sums.reshape(n, stride)[:, 7 : 7 + channels])
        d_background = None
        if background is not None and ctx.needs_input_grad[5]:
            d_background = ((1 - alpha)[..., None] * d_rgb).sum_to_size(background.shape)
        return *grads, d_colours, d_background, None, None, None


def render(
    means: Tensor, log_scales: Tensor, quaternions: Tensor, opacity_logits: Tensor, colours: Tensor, camera: Camera,
    background: Tensor | None, antialiased: bool, near: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """As ``gaussians_torch.render``, for float32 on the CPU."""
    channels, short = colours.shape[1], max(0, LANES - len(means))
    pad = max(0, 3 - channels)
    if pad or short:
        colours = torch.nn.functional.pad(colours, (0, pad, 0, short))
        background = None if background is None else torch.nn.functional.pad(background, (0, pad))
    if short:  # the kernels want at least one full vector; a logit of -inf is never drawn
        means, log_scales, quaternions = (
            torch.nn.functional.pad(x, (0, 0, 0, short)) for x in (means, log_scales, quaternions)
        )
        opacity_logits = torch.nn.functional.pad(opacity_logits, (0, short), value=-float("inf"))
    rgb, alpha, depth = _Splat.apply(
        means, log_scales, quaternions, opacity_logits, colours, background, camera, antialiased, near
    )  # pyright: ignore[reportGeneralTypeIssues]
    return rgb[..., :channels], alpha, depth
