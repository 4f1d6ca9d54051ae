"""What both stages of Portrait4D-v2's training share: settings, optimizers, the terms of Eq. 2 and 5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.losses import Target, downsample_area, reconstruction
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, TINY, Config, RenderOutput, Synthesizer
from headcast.nets.discriminator import DualDiscriminator
from headcast.training.adversarial import discriminator_loss, generator_loss, r1_penalty
from headcast.training.config import TrainConfig
from headcast.weights import load_tensors

__all__ = [
    "Networks",
    "Stage",
    "adam",
    "begin_with",
    "grid",
    "is_motion",
    "shipped_synthesizer",
    "synthesizer_of",
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
"""Of the terms of Eq. 2 and 5. The paper takes those of Portrait4D, which it doesn't print."""
ADVERSARIAL, PENALTY, PENALTY_EVERY = 0.05, 1.0, 4
JUDGE = 0.2
"""Of the learning rate, the discriminator's: faster, its judgements reach 20 and -20 within five steps."""
MOTION_LAYERS = ("attn2", "norm2", "maps", "proj_y")
"""Parts of Ψ that only the full model has: they learn 2.5 times as fast."""

Networks = dict[str, nn.Module]


@cache
def synthesizer_of(file: str, device: str, config: Config = SMALL) -> Synthesizer:
    """Frozen weights of a file or bundled ones by name, once a process; motion layers may be missing.

    Raises:
        HeadcastError: weights of something else or of another size.
    """
    network = Synthesizer(config)
    if not all(map(is_motion, begin_with(network, file))):
        raise HeadcastError(f"{file}: not weights of portrait4d.static")
    return network.to(device).eval().requires_grad_(False)


def begin_with(network: Synthesizer, file: str) -> list[str]:
    """Puts the tensors of a file, or of bundled weights by name, into Ψ; gives the names that it lacks.

    Raises:
        HeadcastError: weights of something else or of another size.
    """
    state = {k: v.float() for k, v in load_tensors(file)[0].items() if not k.startswith("_")}
    try:
        found = network.load_state_dict(state, strict=False)
    except RuntimeError as e:
        raise HeadcastError(f"{file}: weights of another size; check --size") from e
    if found.unexpected_keys:
        raise HeadcastError(f"{file}: not weights of portrait4d")
    return found.missing_keys


def adam(groups: list[dict[str, Any]], rate: float, first: float = 0.0) -> torch.optim.Optimizer:
    """Adam; ``first``: its memory of gradients, none as StyleGAN's descendants have it for adversarial terms.

    Without that memory, and without a bound of the gradients, single batches of few heads throw Ψ off.
    """
    return torch.optim.Adam(groups, rate, betas=(first, 0.99), eps=1e-8)


def is_motion(name: str) -> bool:
    """Whether a parameter of Ψ belongs to its motion layers."""
    within = name.startswith("encoder_canonical") and any(part in name for part in MOTION_LAYERS)
    return within or name.startswith("moving")


def shipped_synthesizer(network: nn.Module) -> dict[str, Tensor]:
    """Ψ's tensors in half precision; the noise of the super-resolution is not used and not kept apart."""
    return {k: v.to("cpu", torch.float16) for k, v in network.state_dict().items()}


def grid(columns: list[Tensor]) -> UInt8[np.ndarray, "h w 3"]:
    """Pictures -1..1, one row each, at most four rows."""
    side = columns[0].shape[-1]
    same = [nn.functional.interpolate(c[:4].float(), (side, side)) for c in columns]
    rows = torch.cat([torch.cat(list(c), 1) for c in same], 2)
    return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


@dataclass(frozen=True)
class Stage:
    """What both stages share."""

    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.995, warmup=50, clip=1.0, cooldown=0.3)

    people: int = 4
    """Synthetic people in a batch; the paper's batch is 32."""
    rate: float = 5e-4
    """Learning rate of the layers that both stages train (2.5 times that for the motion layers)."""
    adversarial_from: int = 1_000_000
    """Pictures seen after which the adversarial term begins and the depth term ends."""
    size: Literal["small", "official", "tiny"] = "small"
    """Which configuration of the network; tiny only shows that training runs."""
    folder: str = ""
    """People made before by tools/build_portrait4d_people.py; empty: made while training, without end."""
    mean_rate: float = 20.0
    """How much faster the average head's planes learn than the rest (small only)."""

    @property
    def config(self) -> Config:
        """Sizes of the network."""
        return {"official": OFFICIAL, "small": SMALL, "tiny": TINY}[self.size]

    def groups(
        self, network: nn.Module, of: Callable[[str], bool], factor: float = 1.0
    ) -> list[dict[str, Any]]:
        """Ψ's parameters of some names, the average head's planes apart."""
        named = [(n, p) for n, p in network.named_parameters() if of(n)]
        out = [{"params": [p for n, p in named if n != "mean"], "lr": factor * self.rate}]
        mean = [p for n, p in named if n == "mean"]
        return out + [{"params": mean, "lr": self.mean_rate * self.rate}] * bool(mean)

    @property
    def memory(self) -> float:
        """Of Ψ's Adam: none at the paper's size; few heads a batch throw a small Ψ off without."""
        return 0.9 if self.config.mean_planes else 0.0

    def resolution(self, seen: int) -> int:
        """Side of the volume's picture: half at first, then growing to the full one over as many pictures.

        The small network starts with the full one: it has few pixels.
        """
        full = self.config.side // 4
        if self.size == "small" or self.adversarial_from <= 0:
            return full
        share = min(1.0, max(0.0, seen / self.adversarial_from - 1))
        return round(full / 2 * (1 + share) / 8) * 8

    def judge_adam(self, judge: nn.Module) -> torch.optim.Optimizer:
        """The discriminator's optimizer, without memory."""
        return adam([{"params": list(judge.parameters())}], JUDGE * self.rate)

    def judge_losses(
        self, judge: nn.Module, drawn: RenderOutput, target: Target, step: int
    ) -> dict[str, Tensor]:
        """The discriminator's side of the adversarial term; pseudo targets are not shown to it."""
        assert isinstance(judge, DualDiscriminator)
        which = target.whole
        if not bool(which.any()):
            return {}
        truth = target.image[which]
        raw = downsample_area(truth, drawn.raw.shape[-1])
        real, made = judge(truth, raw), judge(drawn.image[which].detach(), drawn.raw[which].detach())
        out = {"telling": discriminator_loss(real, made)}
        if step % PENALTY_EVERY == 0:
            out["penalty"] = r1_penalty(judge, truth, raw) * PENALTY * PENALTY_EVERY / 2
        return out

    def terms(
        self, networks: Networks, drawn: RenderOutput, target: Target, adversarial: bool
    ) -> dict[str, Tensor]:
        """Eq. 2 and 5 with their weights."""
        from headcast.priors.encoder.infer import load

        out = reconstruction(drawn, target, load("losses", drawn.image.device))
        if adversarial:
            out.pop("depth", None)
        out = {k: WEIGHTS[k] * v for k, v in out.items()}
        which = target.whole
        if adversarial and bool(which.any()):
            out["fooling"] = ADVERSARIAL * generator_loss(
                networks["judge"](drawn.image[which], drawn.raw[which])
            )
        return out
