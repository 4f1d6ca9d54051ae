"""Convolutional gated recurrent unit (Ballas et al. 2015): a state image that is updated frame by frame."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ConvGRU"]


class ConvGRU(nn.Module):
    """InvertAvatar's Eq. 1: one state image of the features' size; parameter names are the published ones.

    Eq. 1 prints h_t = z h_{t-1} + (1 - z) o_t; the published network computes h_t = (1 - z) h_{t-1} + z o_t,
    and so does this module. Both describe the same functions, with z and 1 - z exchanged (sigmoid(-x)), but
    weights of one do not fit the other.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def step(self, x: Float[Tensor, "b c h w"], state: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the state after one more frame."""
        reset, update = self.ih(torch.cat([x, state], 1)).chunk(2, 1)
        candidate = self.hh(torch.cat([x, reset * state], 1))
        return (1 - update) * state + update * candidate

    def forward(
        self, x: Float[Tensor, "b t c h w"], state: Float[Tensor, "b c h w"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Compute the state after a sequence of frames, from ``state`` or from zeros."""
        if state is None:
            state = torch.zeros_like(x[:, 0])
        for frame in x.unbind(1):
            state = self.step(frame, state)
        return state
