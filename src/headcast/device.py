"""Choose the device of tensors. The only module that names one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headcast.errors import HeadcastError

if TYPE_CHECKING:
    import torch

__all__ = ["is_cuda", "local_device", "one_thread", "pick_device", "summary", "synchronize"]


def pick_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a torch device; ``auto`` prefers CUDA.

    Raises:
        HeadcastError: when CUDA is asked for and absent, or the name is unknown.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise HeadcastError(f"--device {name}: unknown; use auto, cpu, cuda or cuda:N") from e
    if device.type == "cuda" and not torch.cuda.is_available():
        raise HeadcastError(f"--device {name}: this torch build sees no CUDA device; use --device cpu")
    return device


def local_device(name: str, process: int, processes: int) -> torch.device:
    """Return the device of one of several training processes: a GPU of its own on CUDA.

    Args:
        process: local rank, on this machine.
        processes: number of processes in all.

    Raises:
        HeadcastError: as ``pick_device``; or there are more processes than GPUs.
    """
    import torch

    device = pick_device(name)
    if device.type != "cuda" or processes == 1:
        return device
    if process >= torch.cuda.device_count():
        raise HeadcastError(f"process {process}: only {torch.cuda.device_count()} GPUs here; start fewer")
    return torch.device("cuda", process)


def is_cuda(x: torch.Tensor) -> bool:
    """Whether a tensor lives on a CUDA device."""
    return x.device.type == "cuda"


def synchronize(device: torch.device) -> None:
    """Wait for queued work, so that timings are right; do nothing on a CPU."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summary() -> str:
    """Describe in a few words what this build of torch can compute on."""
    import torch

    if torch.cuda.is_available():
        return f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name(0)}"
    return f"CUDA {torch.version.cuda} but no device" if torch.version.cuda else "CPU only"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread while open, so that results do not depend on their number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
