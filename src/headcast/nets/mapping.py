"""StyleGAN2's mapping network with a condition, as EG3D uses it (Chan et al. 2022, Sec. 4.4)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from headcast.nets.linear import EqualizedLinear

__all__ = ["MappingNetwork", "unit_rms"]

RATE = 0.01
"""Learning rate of the fully connected layers over that of the rest."""
AVERAGE_DECAY = 0.998
"""Decay per batch of the running mean of w."""


class MappingNetwork(nn.Module):
    """Map a random code and a label to a latent w; parameter names are the published ones.

    Args:
        z: length of the random code. label: length of the label, 0: none. w: length of the latent.
        layers: fully connected layers.
    """

    def __init__(self, z: int, label: int, w: int, layers: int = 2) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("w_avg", torch.zeros(w))
        self.embed = EqualizedLinear(label, w) if label else None
        widths = [z + (w if label else 0), *[w] * layers]
        for k in range(layers):
            self.add_module(f"fc{k}", EqualizedLinear(widths[k], widths[k + 1], rate=RATE))

    def forward(
        self, z: Float[Tensor, "b z"], label: Float[Tensor, "b l"] | None = None, truncation: float = 1.0
    ) -> Float[Tensor, "b w"]:
        """Compute latents, drawn towards the mean latent by a ``truncation`` below 1."""
        x = unit_rms(z)
        if self.embed is not None:
            if label is None:
                raise ValueError("this mapping network needs a label")
            x = torch.cat([x, unit_rms(self.embed(label))], 1)
        for k in range(self.layers):
            x = leaky_relu(self.get_submodule(f"fc{k}")(x), 0.2) * math.sqrt(2)
        return x if truncation == 1 else self.get_buffer("w_avg").lerp(x, truncation)

    @torch.no_grad()
    def update_average(self, w: Float[Tensor, "b w"]) -> None:
        """Move the mean latent towards that of a batch."""
        average = self.get_buffer("w_avg")
        average.copy_(w.detach().float().mean(0).lerp(average, AVERAGE_DECAY))


def unit_rms(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    """Scale vectors to a root mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
