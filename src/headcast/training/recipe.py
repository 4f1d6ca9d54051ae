"""The protocol between the trainer and what is trained."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

__all__ = ["Networks", "Recipe"]

Networks = dict[str, nn.Module]


@runtime_checkable
class Recipe(Protocol):
    """Networks, data and losses of one training; a dataclass whose fields are its settings.

    Constructing one is cheap; heavy imports and files wait inside the methods. A class attribute ``defaults``
    (a ``TrainConfig``) may hold its best settings; a method ``notes() -> list[str]`` returns what the user
    should know at the end, such as skipped files. No field may have the name of one of ``TrainConfig``.
    """

    @property
    def name(self) -> str:
        """Name of the recipe and of the weights it exports; a class attribute."""
        ...

    def networks(self, seed: int) -> Networks:
        """Build the networks to be trained, on the CPU, a function of the seed; without frozen helpers."""
        ...

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create optimizers by name, stepped in this order: one, or a generator's and a discriminator's."""
        ...

    def batch(self, index: int, seed: int, device: torch.device) -> Any:
        """Make training data: a PURE function of seed and index; process r of w takes indices r, r + w, …

        Tensors, arrays, numbers, and dicts, lists and dataclasses of those.
        """
        ...

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute named, weighted terms (scalars), whose sum is minimized. Empty: no step of this optimizer.

        While one optimizer works, weights of the others are held constant. Global random numbers are seeded
        before each call by seed, step and index: noise and dropout need no care.
        """
        ...

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Render a grid of preview images of held-out data, by averaged networks in evaluation mode."""
        ...

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the tensors of the weights file, from averaged networks; the recipe chooses their type."""
        ...

    def card(self) -> dict[str, Any]:
        """Return training data, licence and settings that matter, for the weights' card (JSON)."""
        ...
