"""Timing for all benchmarks: medians and minima of repeated calls, as lines of a table."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

__all__ = ["machine", "milliseconds", "row"]


def milliseconds(work: Callable[[], object], repeats: int = 20) -> tuple[float, float]:
    """Median and minimum of the calls' milliseconds, after one call that doesn't count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times)), min(times)


def machine() -> str:
    """Processor, threads and versions, in a line."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            x.partition(":")[2].strip() for x in info.read_text().splitlines() if x.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def row(name: str, ours: tuple[float, float], reference: tuple[float, float] | None = None) -> None:
    """Prints a table row: median (minimum), and how many times faster than the reference in the same run."""
    text = f"| {name} | {ours[0]:.1f} ({ours[1]:.1f}) |"
    if reference is None:
        print(text + " | |")
    else:
        print(text + f" {reference[0]:.0f} ({reference[1]:.0f}) | {reference[1] / ours[1]:.1f} |")
