"""Before stage 1, for ``small``: the average head, as planes and their decoder alone.

Not in the paper. A step costs a fifth of one of stage 1, and Ψ3d then learns only what people differ by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.losses import downsample_area
from headcast.methods.portrait4d.network import Synthesizer
from headcast.methods.portrait4d.recipes.base import Networks, adam, grid
from headcast.methods.portrait4d.recipes.static import StaticRecipe
from headcast.render.volume import RayMarchOutput, render_rays
from headcast.training.config import TrainConfig

__all__ = ["AverageRecipe"]


@dataclass(frozen=True)
class AverageRecipe(StaticRecipe):
    """One head for everybody: colour, opacity and depth of the volume's picture, all people alike."""

    name: ClassVar[str] = "portrait4d-average"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.98, warmup=10, clip=1.0, cooldown=0.3)

    rate: float = 5e-3
    """Learning rate of the decoder (``mean_rate`` times that for the planes)."""
    mean_rate: float = 4.0
    """How much faster the planes learn."""

    def networks(self, seed: int) -> Networks:
        """Ψ3d, of which the average's planes and the decoder are trained.

        Raises:
            HeadcastError: the official network has no planes of its own.
        """
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if not self.config.mean_planes:
            raise HeadcastError("portrait4d.average: --size official has no average head; start with static")
        return {"synthesizer": psi}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Planes and decoder."""
        groups = self.groups(networks["synthesizer"], lambda n: n == "mean" or n.startswith("decoder"))
        return {"main": adam(groups, self.rate, self.memory)}

    def gathered(self, networks: Networks, batch: Any, jitter: bool) -> RayMarchOutput:
        """Rays of the targets' cameras through the one head."""
        psi, target = networks["synthesizer"], batch["target"]
        assert isinstance(psi, Synthesizer)
        c, count = self.config, len(target.image)
        warp, planes = target.neck(c), psi.mean.expand(count, -1, -1, -1, -1)
        rays = target.rays(c, c.side // 4)
        return render_rays(lambda p: psi.radiance(planes, warp(p)), rays, c.coarse, c.fine, jitter)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """L1 of colour before black, opacity and depth."""
        found, target = self.gathered(networks, batch, True), batch["target"]
        n = self.config.side // 4
        head, alpha = downsample_area(target.head, n), downsample_area(target.alpha, n)
        colour = found.colour[..., :3].transpose(1, 2).unflatten(2, (n, n))
        solid = alpha > 0.98
        depth = downsample_area(target.depth * self.config.units_per_metre, n) / alpha.clamp(min=0.5)
        off = (found.depth.unflatten(1, (n, n))[:, None] - depth).abs() * solid
        return {
            "colour": 2 * (colour - head).abs().mean(),
            "opacity": (1 - found.transmittance.unflatten(1, (n, n))[:, None] - alpha).abs().mean(),
            "depth": off.sum() / solid.sum().clamp(min=1),
        }

    def pictures(self, networks: Networks, batch: Any) -> Any:
        """Colour, opacity, true head."""
        found, n = self.gathered(networks, batch, False), self.config.side // 4
        colour = found.colour[..., :3].transpose(1, 2).unflatten(2, (n, n))
        alpha = (1 - found.transmittance).unflatten(1, (n, n))[:, None].expand(-1, 3, -1, -1)
        return grid([batch["target"].head * 2 - 1, colour * 2 - 1, alpha * 2 - 1])

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Planes and decoder."""
        state = networks["synthesizer"].state_dict()
        return {k: v.cpu() for k, v in state.items() if k == "mean" or k.startswith("decoder")}

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return {**super().card(), "what": "the average head from which portrait4d.static starts"}
