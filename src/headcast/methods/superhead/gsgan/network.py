"""GSGAN's generator: latents to foreground and background Gaussians.

Frame: EG3D's, +Y up, the frontal camera on +Z looking along -Z. Scales are logarithms, opacities logits,
colours the constant spherical harmonic, quaternions wxyz of any length.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.methods.superhead.gsgan.background import Background
from headcast.methods.superhead.gsgan.layers import (
    AdaEdge,
    AdaMLP,
    FullyConnected,
    LocalEdge,
    PlainMLP,
    Transformer,
    Upsample,
)
from headcast.methods.superhead.gsgan.points import (
    LATENT,
    SIZES,
    START,
    FourierFeatures,
    Points,
    capped,
    child_scale,
    offset,
)
from headcast.nets.mapping import unit_rms

__all__ = ["CUTOFF", "GSGAN", "camera_direction"]

CHANNELS = {4: (512, 512), 8: (512, 512), 16: (512, 256), 32: (256, 128), 64: (128, 128), 128: (128, 128)}
"""Input and output channels of every block."""
EARLY = (8, 16)
CAMERA, EMBEDDED = 25, 32
FOREGROUND_WS, CUTOFF = 16, 14


def camera_direction(c: Float[Tensor, "b 25"]) -> Float[Tensor, "b 3"]:
    """Return the optical axis of a camera label: the third column of its OpenCV world from camera."""
    return c[:, :16].view(-1, 4, 4)[:, :3, 2]


class ConstantTable(nn.Module):
    """The constant table, read as published: its middle, fading with the coordinate's size."""

    def __init__(self, out: int, length: int) -> None:
        super().__init__()
        self.const_pe = nn.Parameter(torch.randn(3, out, 1, length))

    def forward(self, x: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n c"]:
        """Encode the points' coordinates."""
        middle = self.const_pe.shape[-1] // 2
        value = (self.const_pe[:, :, 0, middle - 1] + self.const_pe[:, :, 0, middle]) / 2
        return (1 - x.abs() / 2).clamp(min=0) @ value / math.sqrt(3)


class PointEncoding(nn.Module):
    """Both encodings of the start points, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.learnable_pe, self.const_pe = FourierFeatures(256), ConstantTable(256, 512)

    def forward(self, x: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 512"]:
        """Encode the points' coordinates."""
        return torch.cat([self.learnable_pe(x), self.const_pe(x)], -1)


class Foreground(nn.Module):
    """The head's Gaussians, coarse to fine.

    Args:
        last: name of the last block, a quarter of the image's side. resolution: the image's side.
    """

    scale_init: Tensor
    scale_threshold: Tensor
    rotation_init: Tensor
    color_init: Tensor
    opacity_init: Tensor

    def __init__(self, last: int, resolution: int) -> None:
        super().__init__()
        start = torch.full((3,), START["scale"])
        values = (start, start.clone(), torch.tensor([1, 0, 0, 0]), torch.zeros(3))
        names = ("scale_init", "scale_threshold", "rotation_init", "color_init")
        for name, value in zip(names, values, strict=True):
            self.register_buffer(name, value)
        self.register_buffer("opacity_init", torch.full((1,), START["opacity"]))
        self.sides = [s for s in CHANNELS if s <= last]
        self.dense, self.split = 1 / resolution, 2.0
        self.conv_in = PointEncoding()
        self.blocks = nn.ModuleDict({f"block_{s}": self.block(s) for s in self.sides})
        self.out_layers = nn.ModuleDict(
            {
                kind: nn.ModuleDict({f"block_{s}": self.heads(kind, CHANNELS[s][1]) for s in self.sides})
                for kind in SIZES
            }
        )
        self.encoder_camera_cond = FullyConnected(3, EMBEDDED, active=True)
        self.camera_dep_affine = FullyConnected(EMBEDDED, 512)

    def block(self, side: int) -> nn.ModuleList:
        """Make a block's layers."""
        into, out = CHANNELS[side]
        if side == 4:
            return nn.ModuleList([Transformer(into, LATENT, layers=6, heads=8)])
        if side in EARLY:
            return nn.ModuleList([AdaEdge(into, LATENT), Upsample(into, out), AdaMLP(out, LATENT)])
        return nn.ModuleList([LocalEdge(into), Upsample(into, out), PlainMLP(out)])

    def heads(self, kind: str, width: int) -> nn.ModuleList:
        """Make a block's anchor head and output head."""
        more = EMBEDDED if kind == "color" else 0
        return nn.ModuleList([FullyConnected(width, SIZES[kind]), FullyConnected(width + more, SIZES[kind])])

    def read(self, side: int, which: int, x: Tensor, camera: Tensor) -> dict[str, Tensor]:
        """Return a block's raw heads (0: anchor, 1: output)."""
        seen = torch.cat([x, camera[:, None].expand(-1, x.shape[1], -1)], -1)
        modules: Any = self.out_layers
        return {
            k: modules[k][f"block_{side}"][which](seen if k == "color" and which == 1 else x) for k in SIZES
        }

    def first(self, head: dict[str, Tensor], parent: Points | None) -> Points:
        """Return the first block's Gaussians; outputs lie around the anchors (``parent``)."""
        return Points(
            xyz=(0.1 * head["xyz"]).tanh() if parent is None else offset(parent, head["xyz"]),
            scale=capped(self.scale_init + head["scale"], self.scale_threshold),
            rotation=self.rotation_init + head["rotation"],
            color=self.color_init + head["color"],
            opacity=self.opacity_init + head["opacity"],
        )

    def later(self, head: dict[str, Tensor], parent: Points) -> Points:
        """Return Gaussians of a later block, relative to the previous block's anchors."""
        return Points(
            xyz=offset(parent, head["xyz"]),
            scale=child_scale(parent.scale, head["scale"], self.dense, self.split, -8),
            rotation=parent.rotation + head["rotation"],
            color=parent.color + head["color"],
            opacity=parent.opacity + head["opacity"],
        )

    def forward(
        self, points: Float[Tensor, "b n 3"], ws: Float[Tensor, "b 16 512"], direction: Float[Tensor, "b 3"]
    ) -> Points:
        """Generate all levels.

        Args:
            points: start points in -1..1. direction: the camera's optical axis.
        """
        camera = self.encoder_camera_cond(direction)
        x, latent, anchor = self.conv_in(points), 0, None
        levels: list[Points] = []
        blocks: Any = self.blocks
        for side in self.sides:
            layers = blocks[f"block_{side}"]
            if side == 4:
                x, latent = layers[0](x, ws[:, :12]), 12
            elif side in EARLY:
                x = layers[2](layers[1](layers[0](x, ws[:, latent])), ws[:, latent + 1])
                latent += 2
            else:
                x = layers[2](layers[1](layers[0](x)))
            anchor = self.level(side, x, camera, anchor, levels)
        joint = Points.join(levels)
        return replace(joint, xyz=joint.xyz.clamp(-1, 1))

    def level(
        self, side: int, x: Tensor, camera: Tensor, before: Points | None, levels: list[Points]
    ) -> Points:
        """Append a level's outputs; return its anchors."""
        raw, out = self.read(side, 0, x, camera), self.read(side, 1, x, camera)
        if before is None:
            anchor = self.first(raw, None)
            levels.append(self.first(out, anchor))
            return anchor
        parent = before.repeat()
        levels.append(self.later(out, parent))
        return self.later(raw, parent)


class Mapping(nn.Module):
    """z and a camera label to w."""

    w_avg: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(LATENT))
        self.embed = FullyConnected(CAMERA, LATENT)
        self.fc0 = FullyConnected(2 * LATENT, LATENT, active=True, lr_mult=0.01)
        self.fc1 = FullyConnected(LATENT, LATENT, active=True, lr_mult=0.01)

    def forward(
        self, z: Float[Tensor, "b 512"], c: Float[Tensor, "b 25"], psi: float = 1.0
    ) -> Float[Tensor, "b 17 512"]:
        """Return w for every layer; the first ``CUTOFF`` are truncated by ``psi``."""
        both = torch.cat([unit_rms(z), unit_rms(self.embed(c))], 1)
        w = self.fc1(self.fc0(both))[:, None].repeat(1, FOREGROUND_WS + 1, 1)
        if psi != 1:
            w[:, :CUTOFF] = self.w_avg.lerp(w[:, :CUTOFF], psi)
        return w


class GSGAN(nn.Module):
    """The generator with the published state dict.

    Args:
        resolution: 256 or 512, of the images that it was trained on.
    """

    def __init__(self, resolution: int = 512) -> None:
        super().__init__()
        self._xyz, self._xyz_bg = nn.Parameter(torch.randn(256, 3)), nn.Parameter(torch.randn(2000, 3))
        self.point_gen = Foreground(resolution // 4, resolution)
        self.point_gen_bg = Background()
        self.mapping_network = Mapping()
        self.resolution = resolution

    def forward(
        self, ws: Float[Tensor, "b 17 512"], direction: Float[Tensor, "b 3"]
    ) -> tuple[Points, Points]:
        """Return foreground and background Gaussians."""
        start = self._xyz.tanh()[None].expand(len(ws), -1, -1)
        seeds = self._xyz_bg[None].expand(len(ws), -1, -1)
        front = self.point_gen(start, ws[:, :FOREGROUND_WS], direction)
        return front, self.point_gen_bg(seeds, ws[:, FOREGROUND_WS])
