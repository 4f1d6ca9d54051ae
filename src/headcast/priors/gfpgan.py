"""GFPGANv1Clean: blind restoration of an aligned 512² face by a U-Net that steers a face generator.

Wang et al. 2021, "Towards Real-World Blind Face Restoration with Generative Facial Prior": latents from the
deepest features (Eq. 2), spatial feature transform of half of the channels (Eq. 4). Names and shapes are
those of the published GFPGANv1.3 and 1.4, which load; nothing of them is bundled.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from headcast.errors import HeadcastError
from headcast.nets.clean_synthesis import CleanGenerator
from headcast.weights.store import load_imported

__all__ = ["GFPGAN", "Restored", "convert", "load_gfpgan"]

SLOPE = 0.2
WIDTHS = (32, 64, 128, 256, 256, 256, 256, 256)
"""Channels of the U-Net at 512, 256, ..., 4 pixels a side."""
GENERATOR = (512, 512, 512, 512, 512, 256, 128, 64)
"""Channels of the generator at 4, 8, ..., 512."""
STYLES = 512


class Restored(NamedTuple):
    """The restored face, and the U-Net's own output at 8, 16, ..., 512 pixels (for training)."""

    image: Float[Tensor, "b 3 h w"]
    smaller: tuple[Float[Tensor, "b 3 _ _"], ...]


class ResizeBlock(nn.Module):
    """Two 3x3 convolutions with a change of size between, beside a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Return features of half or twice the size."""
        y = self.resized(leaky_relu(self.conv1(x), SLOPE))
        return leaky_relu(self.conv2(y), SLOPE) + self.skip(self.resized(x))

    def resized(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Resize bilinearly, without an antialiasing filter."""
        return interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class GFPGAN(nn.Module):
    """Network from an aligned face of 512² pixels in [-1, 1] to a restored one."""

    def __init__(self) -> None:
        super().__init__()
        up = WIDTHS[::-1]
        self.conv_body_first = nn.Conv2d(3, WIDTHS[0], 1)
        self.conv_body_down = nn.ModuleList(ResizeBlock(a, b, 0.5) for a, b in pairs(WIDTHS))
        self.final_conv = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, padding=1)
        self.conv_body_up = nn.ModuleList(ResizeBlock(a, b, 2) for a, b in pairs(up))
        self.toRGB = nn.ModuleList(nn.Conv2d(w, 3, 1) for w in up[1:])
        self.final_linear = nn.Linear(WIDTHS[-1] * 16, 2 * len(GENERATOR) * STYLES)
        self.stylegan_decoder = CleanGenerator(GENERATOR, STYLES)
        halves = tuple(zip(up[1:], (g // 2 for g in GENERATOR[1:]), strict=True))
        self.condition_scale = nn.ModuleList(condition(a, b) for a, b in halves)
        self.condition_shift = nn.ModuleList(condition(a, b) for a, b in halves)

    def forward(self, x: Float[Tensor, "b 3 512 512"], noise: torch.Generator | None = None) -> Restored:
        """Restore the face. ``noise``: source of the generator's noise; None takes the stored noise."""
        skips = []
        x = leaky_relu(self.conv_body_first(x), SLOPE)
        for down in self.conv_body_down:
            x = down(x)
            skips.append(x)
        x = leaky_relu(self.final_conv(x), SLOPE)
        w = self.final_linear(x.flatten(1)).unflatten(1, (-1, STYLES))
        conditions, smaller = [], []
        for k, up in enumerate(self.conv_body_up):
            x = up(x + skips.pop())
            conditions.append((self.condition_scale[k](x), self.condition_shift[k](x)))
            smaller.append(self.toRGB[k](x))
        return Restored(self.stylegan_decoder(w, conditions, noise), tuple(smaller))


def pairs(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the pairs of neighbouring widths."""
    return list(pairwise(widths))


def condition(inputs: int, outputs: int) -> nn.Sequential:
    """Make convolutions from features to scales or shifts."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(inputs, outputs, 3, padding=1),
    )


def convert(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert an official checkpoint's weights, for ``headcast weights import gfpgan``.

    Raises:
        HeadcastError: it is no GFPGANv1Clean.
    """
    state = content if isinstance(content, dict) else {}
    state = next((state[k] for k in ("params_ema", "params") if isinstance(state.get(k), dict)), state)
    with torch.device("meta"):
        wanted = {k: v.shape for k, v in GFPGAN().state_dict().items()}
    wrong = [k for k, s in wanted.items() if not isinstance(state.get(k), Tensor) or state[k].shape != s]
    if wrong:
        raise HeadcastError(
            f"is no GFPGANv1Clean checkpoint ({len(wrong)} of {len(wanted)} tensors are missing or of "
            f"another shape, '{wrong[0]}' first); use GFPGANv1.3.pth or GFPGANv1.4.pth"
        )
    tensors = {k: state[k].float().clone() for k in wanted}
    return tensors, {"licence": "Apache-2.0", "what": "GFPGANv1Clean: restoration of aligned 512² faces"}


def load_gfpgan(device: torch.device) -> GFPGAN:
    """Load the network with the weights that the user imported.

    Raises:
        HeadcastError: they were not imported.
    """
    tensors, _ = load_imported("gfpgan", "the releases of TencentARC/GFPGAN (GFPGANv1.4.pth)")
    with torch.device("meta"):
        network = GFPGAN()
    network.load_state_dict(tensors, assign=True)
    return network.to(device).eval()
