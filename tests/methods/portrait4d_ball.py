"""Networks of portrait4d with random weights that draw a coloured ball the size of a head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from headcast.methods.portrait4d.motion_embedding import ExpressionToMotion, MotionEncoder
from headcast.methods.portrait4d.network import TINY, Synthesizer
from headcast.methods.portrait4d.weights import OWN

__all__ = ["RADIUS", "ball_tensors", "write_ball"]

RADIUS = 0.105
"""Metres, about; the ball's middle is the middle of the planes' cube."""


def ball_tensors(seed: int = 3) -> dict[str, Tensor]:
    """Tensors of a weights file: features 0 of the planes fall with the squared distance."""
    torch.manual_seed(seed)
    psi = Synthesizer(TINY)
    with torch.no_grad():
        n = TINY.side // 2
        at = ((torch.arange(n) + 0.5) / n - 0.5) * TINY.cube_side / TINY.units_per_metre / RADIUS
        y, x = torch.meshgrid(at, at, indexing="ij")
        mean = 0.3 * torch.randn_like(psi.mean)
        # the mean of the three planes' x² + y² is 2/3 of the squared radius
        mean[:, :, 0] = 1 - 1.5 * (x * x + y * y)
        psi.mean.copy_(mean)
        psi.generator_triplane.conv_last.weight.mul_(0.3)
        first, out = psi.decoder.net[0], psi.decoder.out_sigma
        first.weight[0] = 0  # type: ignore[index]
        first.weight[0, 0] = 40 / first.gain  # type: ignore[index, operator]
        out.weight.zero_()
        out.weight[0, 0] = 4 / out.gain
        out.bias.fill_(-4.0)
    parts = {"_motion.": MotionEncoder(TINY.motion_dim), "_said.": ExpressionToMotion(TINY.motion_dim)}
    tensors = {k: v.detach().half() for k, v in psi.state_dict().items()}
    for start, network in parts.items():
        tensors |= {start + k: v.detach().half() for k, v in network.state_dict().items()}
    return tensors


def write_ball(folder: Path, seed: int = 3) -> Path:
    """A user's folder for weights (``HEADCAST_WEIGHTS``) that holds them."""
    from headcast.weights import save_tensors

    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / f"{OWN}.safetensors", ball_tensors(seed), {})
    return folder
