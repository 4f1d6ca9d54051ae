"""The smallest recipe: a network learns to deblur random blobs. For trying the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from headcast.limits import FRACTION, POSITIVE, RATE, Limit
from headcast.training.config import TrainConfig
from headcast.training.recipe import Networks

__all__ = ["ToyRecipe"]


@dataclass(frozen=True)
class ToyRecipe:
    """A convolutional network that sharpens blurred blobs: seconds on a CPU."""

    name: ClassVar[str] = "toy"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.99, picture_every=100)

    size: Annotated[int, Limit(4, 4096)] = 24
    """Side of the images, pixels."""
    images: Annotated[int, POSITIVE] = 8
    """Images in a batch."""
    width: Annotated[int, POSITIVE] = 12
    """Number of channels of the hidden layer."""
    rate: Annotated[float, RATE] = 3e-3
    """Learning rate."""
    dropout: Annotated[float, FRACTION] = 0.1
    """Fraction of activations dropped."""

    def networks(self, seed: int) -> Networks:
        """Build a small residual network."""
        torch.manual_seed(seed)
        layers = [nn.Conv2d(3, self.width, 3, padding=1), nn.GELU(), nn.Dropout(self.dropout)]
        return {"main": nn.Sequential(*layers, nn.Conv2d(self.width, 3, 3, padding=1))}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create AdamW for the network."""
        return {"main": torch.optim.AdamW(networks["main"].parameters(), self.rate)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Make blobs, blurred and sharp, one generator an image: batches of 2n are two batches of n."""
        first = index * self.images
        sharp = torch.stack([self.blobs(first + i, seed) for i in range(self.images)]).to(device)
        return {"sharp": sharp, "blurred": F.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)}

    def blobs(self, number: int, seed: int) -> Float[Tensor, "3 s s"]:
        """Make image ``number``: thresholded noise."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        noise = torch.randn(1, 3, self.size // 3, self.size // 3, generator=generator)
        return (F.interpolate(noise, (self.size, self.size))[0] > 0.5).float()

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the mean squared error."""
        out = batch["blurred"] + networks["main"](batch["blurred"])
        return {"square": F.mse_loss(out, batch["sharp"])}

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Tile rows: blurred, sharpened, sharp."""
        out = batch["blurred"] + networks["main"](batch["blurred"])
        rows = torch.cat([torch.cat(list(x), 2) for x in (batch["blurred"], out, batch["sharp"])], 1)
        return (255 * rows.clamp(0, 1)).byte().permute(1, 2, 0).cpu().numpy()

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the weights in half precision."""
        return {k: v.half() for k, v in networks["main"].state_dict().items()}

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {"what": "sharpens blobs, to try the trainer", "licence": "Apache-2.0", "trained_on": "noise"}
