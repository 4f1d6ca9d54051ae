"""Device, precision and communication of processes: by Lightning Fabric, or plain torch."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from headcast.device import local_device, pick_device
from headcast.errors import HeadcastError
from headcast.training.config import ComputeDtype, TrainConfig
from headcast.training.precision import PrecisionChoice, autocast, bf16_time_ratio, faster, remembered

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Engine", "average_gradients", "choose_precision", "make_engine"]


@runtime_checkable
class Engine(Protocol):
    """Device, precision and communication, as the loop needs them."""

    device: torch.device
    rank: int
    world: int
    dtype: ComputeDtype
    """Data type that networks compute in; ``auto`` is 32 until the loop has chosen."""

    def autocast(self) -> AbstractContextManager[object]:
        """Open a context of mixed precision."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        ...

    def mean(self, x: Tensor) -> Tensor:
        """Average a tensor over all processes."""
        ...


class Plain:
    """One process, one device, only torch."""

    rank = 0
    world = 1

    def __init__(self, config: TrainConfig) -> None:
        self.device = pick_device(config.device)
        self.dtype: ComputeDtype = "bf16" if config.precision == "bf16" else "32"

    def autocast(self) -> AbstractContextManager[object]:
        """Open a context of mixed precision."""
        return autocast(self.device, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        loss.backward()

    def mean(self, x: Tensor) -> Tensor:
        """Return the tensor: there is one process."""
        return x


class OnFabric:
    """Lightning Fabric: one process, or as many as ``torchrun`` started."""

    def __init__(self, config: TrainConfig, fabric: Fabric) -> None:
        self.fabric = fabric
        self.device, self.rank, self.world = fabric.device, fabric.global_rank, fabric.world_size
        self.dtype: ComputeDtype = "bf16" if config.precision == "bf16" else "32"

    def autocast(self) -> AbstractContextManager[object]:
        """Open a context of mixed precision."""
        return autocast(self.device, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        self.fabric.backward(loss)

    def mean(self, x: Tensor) -> Tensor:
        """Average a tensor over all processes."""
        if self.world == 1:
            return x
        y = self.fabric.all_reduce(x, reduce_op="mean")
        assert isinstance(y, Tensor)
        return y


def make_engine(config: TrainConfig) -> Engine:
    """Create the engine: Fabric under ``torchrun`` or if requested, else the plain one (the same numbers).

    Raises:
        HeadcastError: Fabric is needed and absent; the device is absent.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 and config.engine != "fabric":
        return Plain(config)
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as e:
        raise HeadcastError(
            "train: several processes, or --engine fabric, need Lightning Fabric: pip install headcast[train]"
        ) from e
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = local_device(config.device, int(os.environ.get("LOCAL_RANK", "0")), world)
    devices = [device.index or 0] if world == 1 and device.type != "cpu" else local
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="32-true",
    )
    fabric.launch()
    return OnFabric(config, fabric)


def choose_precision(config: TrainConfig, engine: Engine, state: dict[str, Any]) -> PrecisionChoice:
    """Choose the precision: as configured; for ``auto`` the checkpoint's, else the faster one, timed now.

    All processes choose alike: they have read the same checkpoint, or share the mean of their measurements.

    Args:
        state: of the checkpoint that the run resumes from; empty for a new run.
    """
    if config.precision != "auto":
        return PrecisionChoice(config.precision, None, engine.device.type)
    stored = remembered(state, engine.device.type)
    if stored is not None:
        return stored
    ratio = torch.tensor([bf16_time_ratio(engine.device)], device=engine.device)
    return faster(round(float(engine.mean(ratio)), 3), engine.device.type)


def average_gradients(engine: Engine, networks: dict[str, nn.Module]) -> None:
    """Average the gradients of all processes, in one message for each data type.

    By hand instead of through DistributedDataParallel: recipes may then call any method of their networks,
    several times a step, with gradient penalties, and need no wrapper.
    """
    if engine.world == 1:
        return
    weights = [p for n in networks.values() for p in n.parameters() if p.requires_grad]
    for kind in sorted({p.dtype for p in weights}, key=str):
        same = [p for p in weights if p.dtype == kind]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in same])
        for p, g in zip(same, engine.mean(flat).split([p.numel() for p in same]), strict=True):
            p.grad = g.view_as(p).clone()
