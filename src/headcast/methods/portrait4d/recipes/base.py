"""Base of both stages of Portrait4D-v2's training: settings, optimizers, the terms of Eq. 2 and 5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import POSITIVE, RATE
from headcast.methods.portrait4d.importing import ORIGIN
from headcast.methods.portrait4d.losses import LossTarget, downsample_area, reconstruction
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, TINY, Config, RenderOutput, Synthesizer
from headcast.methods.portrait4d.weights import place_official
from headcast.nets.discriminator import DualDiscriminator
from headcast.training.adversarial import discriminator_loss, generator_loss, r1_penalty
from headcast.training.config import TrainConfig
from headcast.weights import load_tensors

__all__ = [
    "Networks",
    "Stage",
    "adam",
    "half_precision_state",
    "is_motion_layer",
    "load_frozen_synthesizer",
    "load_start_weights",
]

WEIGHTS = {
    "l1": 1.0,
    "l1_raw": 1.0,
    "perceptual": 0.5,
    "identity": 0.3,
    "depth": 1.0,
    "opacity": 1.0,
    "behind": 0.5,
    "triplane": 1.0,
}
"""Weights of the terms of Eq. 2 and 5. The paper takes those of Portrait4D, which it doesn't print."""
ADVERSARIAL, PENALTY, PENALTY_EVERY = 0.05, 1.0, 4
"""Weights of the generator's adversarial term and of R1; steps from one R1 penalty to the next."""
DISCRIMINATOR_LR_SCALE = 0.2
"""Learning rate of the discriminator over Ψ's: faster, its logits reach 20 and -20 within five steps."""
DISCRIMINATOR = "judge"
"""The discriminator's network and optimizer in checkpoints (named so in earlier runs, too)."""
GENERATOR_TERM, DISCRIMINATOR_TERM = "fooling", "telling"
"""The adversarial loss terms in logs (named so in earlier runs, too)."""
MOTION_LAYERS = ("attn2", "norm2", "maps", "proj_y")
"""Layers of Ψ that only the full model has: their learning rate is 2.5 times as high."""

STARTING_FILES = ("start", "teacher", "static")
"""Options of the stages that name weights to begin with."""

Networks = dict[str, nn.Module]


@cache
def read_origin(file: str) -> Tensor | None:
    """Read where official weights have FLAME's neck joint, (3,) metres; None in a file of our own.

    A file that cannot be read has none either: what loads the weights says why."""
    try:
        return load_tensors(file)[0].get(ORIGIN)
    except HeadcastError:
        return None


@cache
def load_frozen_synthesizer(file: str, device: str, config: Config = SMALL) -> Synthesizer:
    """Load a frozen Ψ of a file, or a bundled one by name, once a process; motion layers may be missing.

    Raises:
        HeadcastError: weights of something else or of another size.
    """
    network = Synthesizer(config)
    if not all(map(is_motion_layer, load_start_weights(network, file))):
        raise HeadcastError(f"{file}: not weights of portrait4d.static")
    return network.to(device).eval().requires_grad_(False)


def load_start_weights(network: Synthesizer, file: str) -> list[str]:
    """Load tensors of a file, or of bundled weights by name, into Ψ; return the names that are missing.

    Raises:
        HeadcastError: weights of something else or of another size.
    """
    state = {k: v.float() for k, v in load_tensors(file)[0].items() if not k.startswith("_")}
    try:
        keys = network.load_state_dict(state, strict=False)
    except RuntimeError as e:
        raise HeadcastError(f"{file}: weights of another size; check --size") from e
    if keys.unexpected_keys:
        raise HeadcastError(f"{file}: not weights of portrait4d")
    return keys.missing_keys


def adam(groups: list[dict[str, Any]], rate: float, first: float = 0.0) -> torch.optim.Optimizer:
    """Create Adam; ``first``: beta 1, zero as in StyleGAN and its descendants for adversarial terms.

    Without that momentum, and without gradient clipping, single batches of few heads make Ψ diverge.
    """
    return torch.optim.Adam(groups, rate, betas=(first, 0.99), eps=1e-8)


def is_motion_layer(name: str) -> bool:
    """Return whether a parameter of Ψ belongs to its motion layers."""
    within = name.startswith("encoder_canonical") and any(part in name for part in MOTION_LAYERS)
    return within or name.startswith("moving")


def half_precision_state(psi: nn.Module) -> dict[str, Tensor]:
    """Convert Ψ's tensors to half precision on the CPU; where its world is an imported one, say so."""
    assert isinstance(psi, Synthesizer)
    state = {k: v.to("cpu", torch.float16) for k, v in psi.state_dict().items()}
    return state | ({ORIGIN: torch.tensor(psi.config.origin)} if any(psi.config.origin) else {})


@dataclass(frozen=True)
class Stage:
    """Settings, optimizers and loss terms of both stages."""

    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.995, warmup=50, clip=1.0, cooldown=0.3)

    people: Annotated[int, POSITIVE] = 4
    """Synthetic people in a batch; the paper's batch is 32."""
    rate: Annotated[float, RATE] = 5e-4
    """Learning rate of the layers that both stages train (2.5 times that for the motion layers)."""
    adversarial_from: int = 1_000_000
    """Images trained on after which the adversarial term begins and the depth term ends."""
    size: Literal["small", "official", "tiny"] = "small"
    """Which configuration of the network; tiny only shows that training runs."""
    folder: str = ""
    """People rendered in advance by tools/build_portrait4d_people.py; empty: rendered while training."""
    mean_rate: Annotated[float, RATE] = 20.0
    """How much faster the average head's planes learn than the rest (small only)."""

    @property
    def config(self) -> Config:
        """The configuration of the network; its world lies where imported weights to begin with have it."""
        config = {"official": OFFICIAL, "small": SMALL, "tiny": TINY}[self.size]
        files = (getattr(self, name, "") for name in STARTING_FILES)
        origin = next((o for o in map(read_origin, filter(None, files)) if o is not None), None)
        return config if origin is None else place_official(config, origin)

    def groups(
        self, network: nn.Module, selected: Callable[[str], bool], factor: float = 1.0
    ) -> list[dict[str, Any]]:
        """Group Ψ's parameters of selected names for an optimizer, the average head's planes apart."""
        named = [(n, p) for n, p in network.named_parameters() if selected(n)]
        out = [{"params": [p for n, p in named if n != "mean"], "lr": factor * self.rate}]
        mean = [p for n, p in named if n == "mean"]
        return out + [{"params": mean, "lr": self.mean_rate * self.rate}] * bool(mean)

    @property
    def momentum(self) -> float:
        """Beta 1 of Ψ's Adam: zero at the paper's size; without it a small Ψ on few heads diverges."""
        return 0.9 if self.config.mean_planes else 0.0

    def resolution(self, trained: int) -> int:
        """Return the side of the volume rendering: half at first, then growing to the full one.

        It grows over as many images as it was half. The small network (few pixels) starts with the full one.
        """
        full = self.config.side // 4
        if self.size == "small" or self.adversarial_from <= 0:
            return full
        fraction = min(1.0, max(0.0, trained / self.adversarial_from - 1))
        return round(full / 2 * (1 + fraction) / 8) * 8

    def discriminator_optimizer(self, discriminator: nn.Module) -> torch.optim.Optimizer:
        """Create the discriminator's optimizer, without momentum."""
        return adam([{"params": list(discriminator.parameters())}], DISCRIMINATOR_LR_SCALE * self.rate)

    def discriminator_losses(
        self, discriminator: nn.Module, output: RenderOutput, target: LossTarget, step: int
    ) -> dict[str, Tensor]:
        """Compute the discriminator's loss, every few steps with R1; pseudo targets are not shown to it."""
        assert isinstance(discriminator, DualDiscriminator)
        whole = target.whole
        if not bool(whole.any()):
            return {}
        truth = target.image[whole]
        raw = downsample_area(truth, output.image_raw.shape[-1])
        real, fake = (
            discriminator(truth, raw),
            discriminator(output.image[whole].detach(), output.image_raw[whole].detach()),
        )
        out = {DISCRIMINATOR_TERM: discriminator_loss(real, fake)}
        if step % PENALTY_EVERY == 0:
            out["penalty"] = r1_penalty(discriminator, truth, raw) * PENALTY * PENALTY_EVERY / 2
        return out

    def terms(
        self, networks: Networks, output: RenderOutput, target: LossTarget, adversarial: bool
    ) -> dict[str, Tensor]:
        """Compute the weighted terms of Eq. 2 and 5, the generator's adversarial one if ``adversarial``."""
        from headcast.priors.encoder.infer import load_encoder

        out = reconstruction(output, target, load_encoder("losses", output.image.device))
        if adversarial:
            out.pop("depth", None)
        out = {k: WEIGHTS[k] * v for k, v in out.items()}
        whole = target.whole
        if adversarial and bool(whole.any()):
            out[GENERATOR_TERM] = ADVERSARIAL * generator_loss(
                networks[DISCRIMINATOR](output.image[whole], output.image_raw[whole])
            )
        return out
