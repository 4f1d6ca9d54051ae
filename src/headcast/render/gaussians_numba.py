"""The Gaussian renderer on the CPU: numba kernels, forward and backward, on a few threads.

Kernels run without the GIL in threads of our own, as many as torch uses: no second OpenMP beside torch's,
nothing that
breaks under fork or from several callers. No result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.render.gaussians_numba_bin import TILE, bin_rows
from headcast.render.gaussians_numba_blend import blend_rows
from headcast.render.gaussians_numba_lanes import LANES
from headcast.render.gaussians_numba_lower import lower
from headcast.render.gaussians_numba_project import RECORD_FLOATS, SUM_FLOATS, project, project_backward
from headcast.render.gaussians_numba_unblend import sum_slots, unblend_rows
from headcast.render.gaussians_torch import Intrinsics
from headcast.render.jit import parallel
from headcast.render.types import SplatImage

__all__ = ["render"]

_CHUNK = 2048  # Gaussians per task of a thread


def _run_chunks(work: Callable[[int, int], object], count: int, size: int) -> None:
    """Call ``work(start, stop)`` for pieces of ``size`` of range(count), on all threads."""
    parallel(lambda k: work(k * size, min((k + 1) * size, count)), -(-count // size))


def _pack_camera(camera: Camera, near: float) -> np.ndarray:
    """Pack the camera as kernels read it (see ``gaussians_numba_project``)."""
    pose = camera.cam_from_world.double()
    size = (near, camera.width, camera.height)
    return np.array(
        [*pose[:3, :3].flatten().tolist(), *pose[:3, 3].tolist(), *Intrinsics.of(camera), *size], np.float32
    )


def _flatten(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().numpy().reshape(-1)


def _to_planes(image: Tensor) -> np.ndarray:
    """Convert (H, W, C) to C planes of whole tiles; a view if it already is."""
    h, w, _ = image.shape
    planes = image.detach().movedim(-1, 0)
    if h % TILE or w % TILE:
        planes = torch.nn.functional.pad(planes, (0, -w % TILE, 0, -h % TILE))
    return _flatten(planes)


class _Bins(NamedTuple):
    """Gaussians by rows of tiles, and room for those of every tile (see ``bin_rows``)."""

    slots: np.ndarray
    keys: np.ndarray
    boxes: np.ndarray
    items: np.ndarray
    row_start: np.ndarray
    pair_start: np.ndarray
    pairs: np.ndarray
    tile_start: np.ndarray


class _Background(NamedTuple):
    """No background (straight alpha), one for each pixel (varied), and its values."""

    straight: bool
    varied: bool
    back: np.ndarray


class _Splat(torch.autograd.Function):
    """Autograd function: means, log-scales, quaternions, logits, colours, background to image.

    Inputs have at least LANES rows, colours 3 columns.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        means: Tensor,
        log_scales: Tensor,
        quaternions: Tensor,
        logits: Tensor,
        colours: Tensor,
        background: Tensor | None,
        camera: Camera,
        antialiased: bool,
        near: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        lower()
        n, channels = colours.shape
        w, h = camera.width, camera.height
        view = _pack_camera(camera, near)
        inputs = [_flatten(x) for x in (means, log_scales, quaternions, logits, colours)]
        records = _project_all(antialiased, n, inputs, channels, view)

        rows, columns = -(-h // TILE), -(-w // TILE)
        slots, keys, boxes, items, row_start, pair_start, pairs, tile_start = _bin_gaussians(
            records, n, rows, columns
        )
        straight, varied, back = _background(background)
        pitch, tall = columns * TILE, rows * TILE
        out = [np.empty(k * tall * pitch, np.float32) for k in (channels, 1, 1)]
        lists = (items, row_start, pair_start, pairs, tile_start)
        canvas = (back, varied, straight, pitch)
        _run_chunks(
            lambda a, b: blend_rows(a, b, records, keys, boxes, inputs[4], channels, *lists, *canvas, *out),
            rows,
            1,
        )
        rgb, alpha, depth = (
            torch.from_numpy(x.reshape(-1, tall, pitch))[:, :h, :w].movedim(0, -1) for x in out
        )
        ctx.save_for_backward(means, log_scales, quaternions, logits, colours, background)
        ctx.kept = records, view, antialiased, slots, pair_start, pairs, tile_start, canvas, out
        return rgb, alpha[..., 0], depth[..., 0]

    @staticmethod
    def backward(ctx: Any, d_rgb: Tensor, d_alpha: Tensor, d_depth: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        means, log_scales, quaternions, logits, colours, background = ctx.saved_tensors
        records, view, antialiased, slots, pair_start, pairs, tile_start, canvas, images = ctx.kept
        (n, channels), rows = colours.shape, len(pair_start) - 1
        slot_sums = np.empty(int(slots[-1]) * SUM_FLOATS, np.float32)
        lists, bits = (pair_start, pairs, tile_start), records.view(np.int32)
        every = (
            *images,
            _to_planes(d_rgb),
            _to_planes(d_alpha[..., None]),
            _to_planes(d_depth[..., None]),
            slot_sums,
        )
        colour = _flatten(colours)
        _run_chunks(
            lambda a, b: unblend_rows(a, b, records, bits, colour, channels, *lists, *canvas, *every), rows, 1
        )
        sums = np.empty(n * SUM_FLOATS, np.float32)
        properties = (means, log_scales, quaternions, logits)
        inputs = [_flatten(x) for x in properties]
        grads = [torch.empty(x.shape) for x in properties]
        out = [_flatten(x) for x in grads]

        def finish(a: int, b: int) -> None:
            # the last vector reaches back, perhaps into the sums of another thread's piece: add them here too
            sum_slots(slot_sums, slots, sums, max(min(a, n - LANES), 0), b)
            project_backward(*inputs, view, antialiased, records, sums, *out, a, b)

        _run_chunks(finish, n, _CHUNK)
        d_colours = torch.from_numpy(sums.reshape(n, SUM_FLOATS)[:, 7 : 7 + channels])
        d_background = None
        if background is not None and ctx.needs_input_grad[5]:
            h, w = d_alpha.shape
            alpha = torch.from_numpy(images[1].reshape(-1, canvas[3]))[:h, :w]
            d_background = ((1 - alpha)[..., None] * d_rgb).sum_to_size(background.shape)
        return *grads, d_colours, d_background, None, None, None


def _background(background: Tensor | None) -> _Background:
    """Return the background as kernels read it."""
    straight, varied = background is None, background is not None and background.ndim == 3
    back = (
        np.zeros(0, np.float32)
        if background is None
        else _to_planes(background)
        if varied
        else _flatten(background)
    )
    return _Background(straight, varied, back)


def _bin_gaussians(records: np.ndarray, n: int, rows: int, columns: int) -> _Bins:
    """List the Gaussians of every row of tiles."""
    bits, slots = records.view(np.int32), np.empty(n + 1, np.int32)
    keys, boxes = np.empty(n, np.int32), np.empty((n, 4), np.int16)
    items, row_start, pair_start = bin_rows(records, bits, rows, slots, keys, boxes)
    pairs, tile_start = np.empty(int(pair_start[-1]), np.int32), np.empty(rows * columns, np.int64)
    return _Bins(slots, keys, boxes, items, row_start, pair_start, pairs, tile_start)


def _project_all(
    antialiased: bool, n: int, inputs: list[np.ndarray], channels: int, view: np.ndarray
) -> np.ndarray:
    """Project all Gaussians; return their records, aligned to cache lines."""
    records = np.empty(n * RECORD_FLOATS + 16, np.float32)
    records = records[(-(records.ctypes.data >> 2)) & 15 :][: n * RECORD_FLOATS]
    _run_chunks(lambda a, b: project(*inputs, channels, view, antialiased, records, a, b), n, _CHUNK)
    return records


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
    """Render as ``gaussians_torch.render``, for float32 on the CPU."""
    channels, short = colours.shape[1], max(0, LANES - len(means))
    pad = max(0, 3 - channels)
    if pad or short:
        colours = torch.nn.functional.pad(colours, (0, pad, 0, short))
        background = None if background is None else torch.nn.functional.pad(background, (0, pad))
    if short:  # the kernels want at least one full vector; a logit of -inf is never rendered
        means, log_scales, quaternions = (
            torch.nn.functional.pad(x, (0, 0, 0, short)) for x in (means, log_scales, quaternions)
        )
        opacity_logits = torch.nn.functional.pad(opacity_logits, (0, short), value=-float("inf"))
    rgb, alpha, depth = _Splat.apply(
        means, log_scales, quaternions, opacity_logits, colours, background, camera, antialiased, near
    )  # pyright: ignore[reportGeneralTypeIssues]
    return SplatImage(rgb[..., :channels], alpha, depth)
