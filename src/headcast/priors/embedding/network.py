"""The identity network: MediaPipe's face mesh network, fine-tuned, with a linear layer to a unit vector."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, normalize, pad

__all__ = ["DIMS", "FROZEN", "SIDE", "FaceBackbone", "IdentityEmbedder"]

SIDE = 256
"""Pixels of the face crop."""
DIMS = 128
"""Components of the identity vector."""
FROZEN = 2
"""Stages that are never trained: edges and spots, and the most expensive ones."""

WIDTHS = (16, 32, 64, 128, 128, 128, 128)
BLOCKS = (4, 5, 5, 5, 5, 5, 5)


class MeshBlock(nn.Module):
    """Residual bottleneck: to half the channels, depthwise 3x3, back; optionally at half the size."""

    def __init__(self, inputs: int, outputs: int, halve: bool = False) -> None:
        super().__init__()
        side, inner = (2 if halve else 1), outputs // 2
        self.reduce = nn.Conv2d(inputs, inner, side, side)
        self.inner = nn.PReLU(inner)
        self.spread = nn.Conv2d(inner, inner, 3, 1, 1, groups=inner)
        self.expand = nn.Conv2d(inner, outputs, 1)
        self.outer = nn.PReLU(outputs)
        self.halve, self.added = halve, outputs - inputs

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Compute features of the block; added channels of the residual are zero."""
        change = self.expand(self.spread(self.inner(self.reduce(x))))
        if self.halve:
            x = pad(max_pool2d(x, 2), (0, 0, 0, 0, 0, self.added))
        return self.outer(x + change)


class FaceBackbone(nn.Module):
    """The convolutions of MediaPipe's ``face_landmarks_detector.tflite`` (Apache-2.0) up to 2 x 2 places.

    Its weights are read by ``tools/convert_face_mesh.py``. Input: crops of ``SIDE`` pixels, values 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 2)
        self.first = nn.PReLU(WIDTHS[0])
        self.stages = nn.ModuleList()
        inputs = WIDTHS[0]
        for k, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            entry = [MeshBlock(inputs, width, halve=True)] if k else []
            rest = [MeshBlock(width, width) for _ in range(count - len(entry))]
            self.stages.append(nn.Sequential(*entry, *rest))
            inputs = width

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Compute the features of the last two stages: 4 x 4 and 2 x 2 places of 128 channels."""
        with torch.no_grad():
            x = self.first(self.stem(pad(x, (0, 1, 0, 1))))
            for stage in self.stages[:FROZEN]:
                x = stage(x)
        out = []
        for stage in self.stages[FROZEN:]:
            x = stage(x)
            out.append(x)
        return out[-2:]


class IdentityEmbedder(nn.Module):
    """Embed aligned face crops as unit vectors whose dot product is the likeness of two people."""

    def __init__(self, dims: int = DIMS) -> None:
        super().__init__()
        self.backbone = FaceBackbone()
        self.out = nn.Linear(WIDTHS[-2] * 16 + WIDTHS[-1] * 4, dims)
        self.whiten = nn.Linear(dims, dims).requires_grad_(False)
        nn.init.eye_(self.whiten.weight)
        nn.init.zeros_(self.whiten.bias)
        frozen = [self.backbone.stem, self.backbone.first, *self.backbone.stages[:FROZEN]]
        for part in frozen:
            part.requires_grad_(False)

    def features(self, crops: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b f"]:
        """Return the backbone's features of crops in 0..1, flattened."""
        return torch.cat([m.flatten(1) for m in self.backbone(crops)], 1)

    def forward(self, crops: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """Embed crops in 0..1 as unit vectors, before whitening."""
        return normalize(self.out(self.features(crops)).float(), dim=1)

    def whitened(self, vectors: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Return unit vectors in which what varies in the photographs of one person counts less."""
        return normalize(self.whiten(normalize(vectors, dim=1)), dim=1)
