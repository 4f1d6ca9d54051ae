"""Training recipe of the bundled restorer: ``headcast train restorer --data IMAGES``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from headcast.limits import FRACTION, POSITIVE, RATE, Limit
from headcast.priors.restorer.data import GROUPS, generator_for, load_images, random_crop, render_heads
from headcast.priors.restorer.degrade import Degradation, degrade
from headcast.priors.restorer.losses import charbonnier, gradient_loss
from headcast.priors.restorer.network import Restorer
from headcast.priors.restorer.optimizer import Muon
from headcast.priors.restorer.solve import solve_last_layer

__all__ = ["RestorerRecipe"]

SOLVE_SEED_OFFSET = 7_000_003  # added to the seed of the images that the last layer is solved on
NATIVE_SCALE = 0.55
"""Faces in 225x275 portraits are about so large as those in 512² ones."""


@dataclass(frozen=True)
class RestorerRecipe:
    """Recipe of blind restoration from crops of clear images, degraded on the fly."""

    name: ClassVar[str] = "restorer"

    data: Path | None = None
    """Images: a folder, or a file packed by tools/pack_portraits.py; without, synthetic heads alone."""
    crop: Annotated[int, Limit(16, 4096)] = 112
    """Side of the crops, pixels."""
    size: Annotated[int, POSITIVE] = 4
    """Crops in a batch."""
    sharp: Annotated[float, FRACTION] = 0.5
    """Fraction of crops from images of the group sharp."""
    native: Annotated[float, FRACTION] = 0.2
    """Fraction from small portraits, at their own scale."""
    synth: Annotated[float, FRACTION] = 0.3
    """Fraction from stored synthetic heads."""
    fresh: Annotated[float, FRACTION] = 0.0
    """Fraction from synthetic heads rendered on the training device as it goes; 1 where there are no data."""
    fresh_size: Annotated[int, Limit(16, 4096)] = 512
    """Side of those, pixels."""
    widths: Annotated[tuple[int, int, int], POSITIVE] = (48, 64, 96)
    """Channels of the network's three levels."""
    blocks: tuple[int, int, int] = (1, 2, 2)
    """Residual blocks of its three levels."""
    rate: Annotated[float, RATE] = 0.02
    """Learning rate: the spectral norm of a step."""
    edges: float = 0.5
    """Weight of the difference of gradients."""
    perceptual: float = 0.0
    """Weight of the distance of the bundled encoder's features."""
    solve: int = 48
    """Batches on which the last layer is solved by least squares before training; 0: it starts at zero."""
    start: Path | None = None
    """Weights to start from."""
    degradation: Degradation = field(default_factory=Degradation)
    """Ranges of the degradation of training crops."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the restorer, with its last layer solved or weights loaded."""
        torch.manual_seed(seed)
        network = Restorer(self.widths, self.blocks)
        if self.start is None and self.solve:
            cpu = torch.device("cpu")
            made = (self.batch(i, seed + SOLVE_SEED_OFFSET, cpu) for i in range(self.solve))
            solve_last_layer(network, ((b["poor"], b["clear"]) for b in made))
        elif self.start is not None:
            from headcast.weights import load_tensors

            network.load_state_dict({k: v.float() for k, v in load_tensors(self.start)[0].items()})
        return {"restorer": network}

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return one optimizer: orthogonalized momentum."""
        return {"main": Muon(networks["restorer"].parameters(), self.rate)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Float[Tensor, "b 3 s s"]]:
        """Make ``clear`` and ``poor`` (degraded) crops in [-1, 1], a function of seed and index."""
        rng = generator_for(seed, index)
        groups = load_images(self.data) if self.data is not None else {}
        weights = torch.tensor([getattr(self, g) if groups.get(g) else 0.0 for g in GROUPS] + [self.fresh])
        if not weights.any():
            weights[-1] = 1.0
        heads: list[Tensor] = []
        clear, degraded = [], []
        for k, which in enumerate(torch.multinomial(weights, self.size, True, generator=rng).tolist()):
            group = (*GROUPS, "fresh")[which]
            if group == "fresh" and not heads:
                heads = render_heads(index, max(1, self.size // 8), self.fresh_size, seed, device)
            images = groups[group] if group != "fresh" else heads
            image = images[int(torch.randint(len(images), (), generator=rng))]
            crop = random_crop(image, self.crop, group != "native", rng).to(device)
            ranges = self.degradation.at_scale(NATIVE_SCALE) if group == "native" else self.degradation
            clear.append(crop)
            degraded.append(degrade(crop, int(generator_for(seed, index, k).initial_seed()), ranges))
        return {"clear": torch.stack(clear) * 2 - 1, "poor": torch.stack(degraded) * 2 - 1}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss terms."""
        out, clear = networks["restorer"](batch["poor"]), batch["clear"]
        terms = {"pixels": charbonnier(out, clear), "edges": self.edges * gradient_loss(out, clear)}
        if self.perceptual:
            from headcast.priors.encoder import load_encoder

            terms["perceptual"] = (
                self.perceptual * load_encoder("losses").to(out.device).distance(out, clear).mean()
            )
        return terms

    def preview(self, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> UInt8[np.ndarray, "h w 3"]:
        """Return an image with rows of degraded, restored and clear crops."""
        with torch.no_grad():
            out = networks["restorer"](batch["poor"][:8])
        rows = torch.stack([batch["poor"][:8], out, batch["clear"][:8]])  # 3 n c s s
        sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        return ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the network's weights in bf16."""
        return {k: v.detach().to(torch.bfloat16).cpu() for k, v in networks["restorer"].state_dict().items()}

    def card(self) -> dict[str, Any]:
        """Return the card of the weights."""
        counts = {g: len(x) for g, x in load_images(self.data).items()} if self.data else {}
        return {
            "name": "headcast-restorer-v1",
            "what": "blind restoration of portraits: blur, small size, noise and JPEG, to the same size",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": {
                "pictures": counts,
                "source": "official portraits in the public domain (train split) and synthetic heads",
            },
            "widths": list(self.widths),
            "blocks": list(self.blocks),
            "settings": {
                "crop": self.crop,
                "batch": self.size,
                "rate": self.rate,
                "edges": self.edges,
                "perceptual": self.perceptual,
                "shares": [self.sharp, self.native, self.synth, self.fresh],
                "started_from": self.start.name if self.start else f"{self.solve} solved batches",
                "optimizer": "Muon",
            },
        }
