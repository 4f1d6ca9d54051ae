"""bfloat16 or float32: the faster one, timed on the training device."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from headcast.device import one_thread, synchronize
from headcast.training.config import ComputeDtype

__all__ = ["PrecisionChoice", "autocast", "bf16_time_ratio", "faster", "remembered"]

PROBE_SECONDS = 1.0
"""Time for the whole comparison, after the first call of each data type."""
PROBE_ROUNDS = 50
"""More rounds than these don't make the minima any steadier."""
DTYPES: tuple[ComputeDtype, ComputeDtype] = ("32", "bf16")


class PrecisionChoice(NamedTuple):
    """Data type that a run computes in; stored in checkpoints.

    Attributes:
        dtype: ``32`` or ``bf16``.
        bf16_over_32: time of the probe in bfloat16 over that in float32; None where nothing was measured.
        device: type of the device it holds for.
    """

    dtype: ComputeDtype
    bf16_over_32: float | None
    device: str

    def note(self) -> str:
        """Describe what was measured and chosen, in one line."""
        name = {"32": "float32", "bf16": "bfloat16"}[self.dtype]
        if self.bf16_over_32 is None:
            return f"precision auto: resuming in {name}"
        ratio = f"{self.bf16_over_32:.2f}"
        return f"precision auto: bfloat16 takes {ratio} of float32's time on {self.device}; using {name}"


def faster(bf16_over_32: float, device: str) -> PrecisionChoice:
    """Choose bfloat16 unless it is slower."""
    return PrecisionChoice("bf16" if bf16_over_32 <= 1 else "32", bf16_over_32, device)


def remembered(state: dict[str, Any], device: str) -> PrecisionChoice | None:
    """Return the choice stored in a checkpoint; None for a new run and on another type of device.

    Checkpoints from before there was a choice hold their data type among their settings.
    """
    stored = state.get("precision")
    if stored is not None:
        choice = PrecisionChoice(**stored)
        return choice if choice.device == device else None
    configured = state.get("settings", {}).get("precision")
    return PrecisionChoice(configured, None, device) if configured in DTYPES else None


def autocast(device: torch.device, dtype: ComputeDtype) -> AbstractContextManager[object]:
    """Open mixed precision for ``bf16``; do nothing for ``32``."""
    return torch.autocast(device.type, torch.bfloat16) if dtype == "bf16" else nullcontext()


def bf16_time_ratio(device: torch.device) -> float:
    """Measure the minimum time of the probe in bfloat16 over the minimum in float32, both timed in turn.

    On a processor one thread's CPU time, which other programs hardly change; on a GPU wall time. Takes about
    ``PROBE_SECONDS`` and uses no global random numbers: a run is the same with and without it.
    """
    with one_thread() if device.type == "cpu" else nullcontext():
        return time_ratio(probe_tensors(device))


def time_ratio(tensors: list[Tensor]) -> float:
    """Measure the ratio of ``bf16_time_ratio`` for the tensors of a probe."""
    for dtype in DTYPES:
        step_seconds(tensors, dtype)  # allocates, picks kernels
    least = dict.fromkeys(DTYPES, math.inf)
    end = time.perf_counter() + PROBE_SECONDS
    for _ in range(PROBE_ROUNDS):
        for dtype in DTYPES:
            least[dtype] = min(least[dtype], step_seconds(tensors, dtype))
        if time.perf_counter() > end:
            break
    return least["bf16"] / least["32"]


def probe_tensors(device: torch.device) -> list[Tensor]:
    """Make an image, weights of two 3x3 convolutions and a linear layer; larger on a GPU, to keep it busy."""
    images, channels, side = (2, 32, 48) if device.type == "cpu" else (8, 128, 128)
    generator = torch.Generator().manual_seed(0)
    shapes = ((images, channels, side, side), *2 * ((channels, channels, 3, 3),), (channels * 4, channels))
    weights = [torch.randn(s, generator=generator) / math.sqrt(math.prod(s[1:])) for s in shapes]
    return [w.to(device).requires_grad_() for w in weights]


def step_seconds(tensors: list[Tensor], dtype: ComputeDtype) -> float:
    """Measure the seconds of a forward and a backward pass of the probe, in a data type."""
    image, first, second, linear = tensors
    device = image.device
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    synchronize(device)
    start = clock()
    with autocast(device, dtype):
        x = F.conv2d(F.gelu(F.conv2d(image, first, padding=1)), second, padding=1)
        y = F.linear(x.flatten(2).mT, linear)
    torch.autograd.grad(y.float().square().mean(), tensors)
    synchronize(device)
    return clock() - start
