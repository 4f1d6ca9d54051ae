"""What the trainer asks of whatever is trained."""

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

    Making one is light; heavy imports and files wait inside the methods. A class attribute ``defaults``
    (a ``TrainConfig``) may say how it is best trained; a method ``notes() -> list[str]`` what the user should
    know at the end, such as files that were skipped. No field may bear the name of one of ``TrainConfig``.
    """

    @property
    def name(self) -> str:
        """Name of the recipe and of the weights it ships; a class attribute."""
        ...

    def networks(self, seed: int) -> Networks:
        """What is trained, on the CPU, a function of the seed. Frozen helpers are the recipe's business."""
        ...

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Optimizers by name, stepped in this order: one, or a generator's and a discriminator's."""
        ...

    def batch(self, index: int, seed: int, device: torch.device) -> Any:
        """Training data: a PURE function of seed and index; process r of w takes indices r, r + w, …

        Tensors, arrays, numbers, and dicts, lists and dataclasses of those.
        """
        ...

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Named terms, already weighted (scalars); their sum is followed downhill. Empty: it rests this step.

        While one optimizer works, weights of the others are held constant. Global random numbers are seeded
        before each call by seed, step and index: noise and dropout need no care.
        """
        ...

    def pictures(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """A grid to look at, by networks with averaged weights in evaluation mode, of unseen data."""
        ...

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Tensors of the weights file, from networks with averaged weights; the recipe chooses their type."""
        ...

    def card(self) -> dict[str, Any]:
        """What it was trained on, the licence, settings that matter: goes into the weights' card (JSON)."""
        ...
