"""The state of an unfinished inversion, so that a killed run goes on to the same result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.methods.superhead.prior import HeadPrior

__all__ = ["RunFile", "run_key"]

SECONDS = 15.0
"""Between two states that are kept."""


def run_key(*parts: object) -> str:
    """Hash what a run depends on; tensors by their bytes."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part.contiguous().numpy().tobytes() if isinstance(part, Tensor) else repr(part).encode())
    return h.hexdigest()[:16]


class RunFile:
    """Keeps an unfinished run in a file; one of another avatar or other options is ignored.

    Args:
        key: hash of everything that the run depends on.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key, self.kept = path, key, time.monotonic()

    def load(self, prior: HeadPrior, optimizers: Sequence[torch.optim.Optimizer]) -> int:
        """Take up the file's state; return the number of steps made, 0 without a file of this run."""
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return 0
        try:
            with safe_open(str(self.path), "pt") as f:
                meta = f.metadata() or {}
                if meta.get("key") != self.key:
                    return 0
                tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as e:
            raise HeadcastError(f"{self.path}: cannot be read ({e}); delete it to begin again") from e
        parameters = [*prior.latent(), *prior.weights()]
        with torch.no_grad():
            for k, p in enumerate(parameters):
                p.copy_(tensors[f"parameter.{k}"])
        prior.load_state({k[6:]: v for k, v in tensors.items() if k.startswith("prior.")})
        for n, optimizer in enumerate(optimizers):
            load_adam(optimizer, {k: v for k, v in tensors.items() if k.startswith(f"adam{n}.")}, n)
        return int(meta["step"])

    def keep(
        self, step: int, prior: HeadPrior, optimizers: Sequence[torch.optim.Optimizer], *, final: bool = False
    ) -> None:
        """Write the state from time to time, and after the last step."""
        from safetensors.torch import save_file

        if not final and time.monotonic() - self.kept < SECONDS:
            return
        parameters = [*prior.latent(), *prior.weights()]
        tensors = {f"parameter.{k}": p.detach().contiguous() for k, p in enumerate(parameters)}
        tensors |= {f"prior.{k}": v.contiguous() for k, v in prior.state().items()}
        for n, optimizer in enumerate(optimizers):
            tensors |= adam_tensors(optimizer, n)
        with atomic_path(self.path) as temporary:
            save_file(tensors, temporary, {"key": self.key, "step": str(step)})
        self.kept = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the run is done and its result written."""
        self.path.unlink(missing_ok=True)


def adam_tensors(optimizer: torch.optim.Optimizer, n: int) -> dict[str, Tensor]:
    """Return Adam's moments and step counts by name."""
    out = {}
    for k, p in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        for name, value in optimizer.state.get(p, {}).items():
            out[f"adam{n}.{k}.{name}"] = value.detach().contiguous()
    return out


def load_adam(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], n: int) -> None:
    """Set Adam's moments and step counts as ``adam_tensors`` returned them."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in tensors.items():
        _, k, what = name.split(".")
        optimizer.state[parameters[int(k)]][what] = value.clone()
