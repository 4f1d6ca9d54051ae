"""Before stage 1, for ``small``: learn the average head, as planes and their decoder alone.

Not in the paper. A step costs a fifth of one of stage 1, and Ψ3d then learns only how people differ from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import RATE
from headcast.methods.portrait4d.losses import downsample_area
from headcast.methods.portrait4d.network import Synthesizer
from headcast.methods.portrait4d.recipes.base import Networks, adam
from headcast.methods.portrait4d.recipes.static import StaticRecipe
from headcast.render.volume import RayMarchOutput, render_rays
from headcast.training.config import TrainConfig
from headcast.training.tiles import tile_columns

__all__ = ["AverageRecipe"]


@dataclass(frozen=True)
class AverageRecipe(StaticRecipe):
    """One head for all people: fit colour, opacity and depth of its volume rendering to them."""

    name: ClassVar[str] = "portrait4d-average"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.98, warmup=10, clip=1.0, cooldown=0.3)

    rate: Annotated[float, RATE] = 5e-3
    """Learning rate of the decoder (``mean_rate`` times that for the planes)."""
    mean_rate: Annotated[float, RATE] = 4.0
    """Learning rate of the planes over that of the decoder."""

    def networks(self, seed: int) -> Networks:
        """Build Ψ3d, of which the average's planes and the decoder are trained.

        Raises:
            HeadcastError: the official network has no planes of its own.
        """
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if not self.config.mean_planes:
            raise HeadcastError("portrait4d.average: --size official has no average head; start with static")
        return {"synthesizer": psi}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create the optimizer of planes and decoder."""
        groups = self.groups(networks["synthesizer"], lambda n: n == "mean" or n.startswith("decoder"))
        return {"main": adam(groups, self.rate, self.momentum)}

    def march(self, networks: Networks, batch: Any, jitter: bool) -> RayMarchOutput:
        """March rays of the targets' cameras through the one head."""
        psi, target = networks["synthesizer"], batch["target"]
        assert isinstance(psi, Synthesizer)
        c, count = self.config, len(target.image)
        warp, planes = target.neck(c), psi.mean.expand(count, -1, -1, -1, -1)
        rays = target.rays(c, c.side // 4)
        return render_rays(
            lambda p: psi.radiance(planes, warp(p)), rays, c.coarse_samples, c.fine_samples, jitter
        )

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute L1 of colour over black, opacity and depth."""
        marched, target = self.march(networks, batch, True), batch["target"]
        n = self.config.side // 4
        head, alpha = downsample_area(target.head, n), downsample_area(target.alpha, n)
        colour = marched.colour[..., :3].transpose(1, 2).unflatten(2, (n, n))
        solid = alpha > 0.98
        depth = downsample_area(target.depth * self.config.units_per_metre, n) / alpha.clamp(min=0.5)
        error = (marched.depth.unflatten(1, (n, n))[:, None] - depth).abs() * solid
        return {
            "colour": 2 * (colour - head).abs().mean(),
            "opacity": (1 - marched.transmittance.unflatten(1, (n, n))[:, None] - alpha).abs().mean(),
            "depth": error.sum() / solid.sum().clamp(min=1),
        }

    def preview(self, networks: Networks, batch: Any) -> Any:
        """Tile true head, colour, opacity."""
        marched, n = self.march(networks, batch, False), self.config.side // 4
        colour = marched.colour[..., :3].transpose(1, 2).unflatten(2, (n, n))
        alpha = (1 - marched.transmittance).unflatten(1, (n, n))[:, None].expand(-1, 3, -1, -1)
        return tile_columns([batch["target"].head * 2 - 1, colour * 2 - 1, alpha * 2 - 1])

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the tensors of planes and decoder."""
        state = networks["synthesizer"].state_dict()
        return {k: v.cpu() for k, v in state.items() if k == "mean" or k.startswith("decoder")}

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {**super().card(), "what": "the average head from which portrait4d.static starts"}
