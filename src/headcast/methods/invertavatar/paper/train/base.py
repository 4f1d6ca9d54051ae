"""What the four stages share: settings, weights to begin with, optimizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import POSITIVE, RATE
from headcast.methods.invertavatar.paper.config import PAPER, TINY, InvertConfig
from headcast.methods.invertavatar.paper.inversion import Inversion
from headcast.nets.discriminator import DualDiscriminator
from headcast.training.config import TrainConfig
from headcast.training.recipe import Networks
from headcast.weights import load_tensors

__all__ = ["DISCRIMINATOR", "INVERSION", "PaperStage", "inversion_of", "load_parts", "trained_adam"]

INVERSION, DISCRIMINATOR = "inversion", "discriminator"
"""Names of the networks in checkpoints."""
HALF = torch.float16
"""Type of stored weights."""


@dataclass(frozen=True)
class PaperStage:
    """Settings of every stage."""

    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.999)
    what: ClassVar[str] = ""

    people: Annotated[int, POSITIVE] = 16
    """Synthetic people in a batch of one process."""
    size: Literal["paper", "tiny"] = "paper"
    """Which sizes of the networks; tiny only shows that training runs."""
    rate: Annotated[float, RATE] = 1e-4
    """Learning rate of what is trained."""
    weights: str = ""
    """Weights to begin with: a file of the stage before."""

    @property
    def config(self) -> InvertConfig:
        """The sizes of the networks."""
        return {"paper": PAPER, "tiny": TINY}[self.size]

    def begin(self, recurrent: bool, needs: tuple[str, ...]) -> Inversion:
        """Build the networks and load the weights to begin with.

        Args:
            needs: parts, by the beginning of their names, that must be in the file.

        Raises:
            HeadcastError: no file is named, or its weights are of something else or of another size.
        """
        network = Inversion(self.config, recurrent)
        if self.weights or needs:
            load_parts(network, self.weights, needs)
        return network

    def make_discriminator(self, hints: int = 0, label: int = 0) -> DualDiscriminator:
        """Build a dual discriminator of the generator's widths."""
        c = self.config
        return DualDiscriminator(c.image_side, c.channels(c.image_side), c.channel_most, hints, label)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return all tensors so far, in half precision."""
        state = inversion_of(networks).state_dict()
        return {k: v.to("cpu", HALF) if v.is_floating_point() else v.cpu() for k, v in state.items()}

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {
            "what": f"InvertAvatar's own networks, {self.size}: {self.what}",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": "synthetic heads (headcast synth, train split)",
        }


def inversion_of(networks: Networks) -> Inversion:
    """Return the network that all stages train parts of."""
    network = networks[INVERSION]
    assert isinstance(network, Inversion)
    return network


def load_parts(network: Inversion, file: str, needs: tuple[str, ...]) -> None:
    """Load what a file holds of a network; the other parts keep their initial weights.

    Raises:
        HeadcastError: no file, weights of something else or of another size, or a needed part is missing.
    """
    if not file:
        raise HeadcastError(
            "train: this stage of invertavatar begins with the weights of the stage before; "
            "name them by --weights FILE"
        )
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in load_tensors(file)[0].items()}
    try:
        keys = network.load_state_dict(tensors, strict=False)
    except RuntimeError as e:
        raise HeadcastError(f"{file}: weights of another size; check --size") from e
    missing = [k for k in keys.missing_keys if k.startswith(needs)] if needs else []
    if keys.unexpected_keys or missing:
        raise HeadcastError(f"{file}: not weights of the stage of invertavatar before this one")


def trained_adam(network: nn.Module, rate: float, first: float = 0.0) -> torch.optim.Optimizer:
    """Create Adam for the weights that are trained; ``first``: beta 1, zero as in StyleGAN2 and EG3D."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, rate, betas=(first, 0.99), eps=1e-8)
