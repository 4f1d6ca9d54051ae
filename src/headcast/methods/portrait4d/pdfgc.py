"""PD-FGC (Wang et al. 2023): the motion encoder E_mot of the published Ψ, for those who import it.

A stacked-hourglass landmark network (FAN) with one stage, and heads for mouth, eyes, emotion and head pose,
of which the last is not used. Parameter names are those of the published file.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

from headcast.crops.grid import fit_similarity_2d, sample_similarity

__all__ = ["MOTION", "PDFGC", "align_face"]

MOTION = 548
"""Length of the embedding: eyes 6, emotion 30, mouth 512."""
ANCHORS = ((87.0, 59.0), (137.0, 59.0), (112.0, 120.0))
"""Where the right eye's, left eye's and inner lips' mean landmarks go in a 224² image, pixels."""


class ConvBlock(nn.Module):
    """Three convolutions whose outputs are concatenated, and a shortcut; norms come first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = (inputs, outputs // 2, outputs // 4, outputs // 4)
        for n in (1, 2, 3):
            setattr(self, f"bn{n}", nn.BatchNorm2d(widths[n - 1]))
            setattr(self, f"conv{n}", nn.Conv2d(widths[n - 1], widths[n], 3, padding=1, bias=False))
        self.downsample = (
            nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False))
            if inputs != outputs
            else None
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Compute features of the same size."""
        short = x if self.downsample is None else self.downsample(x)
        branches = []
        for n in (1, 2, 3):
            x = getattr(self, f"conv{n}")(relu(getattr(self, f"bn{n}")(x)))
            branches.append(x)
        return torch.cat(branches, 1) + short


class HourGlass(nn.Module):
    """Hourglass of ``depth`` halvings with a block on every path."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.depth = depth
        for level in range(1, depth + 1):
            for name in ("b1", "b2", "b3"):
                self.add_module(f"{name}_{level}", ConvBlock(width, width))
        self.add_module("b2_plus_1", ConvBlock(width, width))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Compute features of the same size."""
        return self._level(self.depth, x)

    def _level(self, level: int, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        block = self.get_submodule
        skip = block(f"b1_{level}")(x)
        low = block(f"b2_{level}")(max_pool2d(x, 2, 2))
        low = self._level(level - 1, low) if level > 1 else block("b2_plus_1")(low)
        low = block(f"b3_{level}")(low)
        return skip + interpolate(low, size=skip.shape[2:], mode="bilinear", align_corners=False)


class LandmarkNet(nn.Module):
    """FAN with one hourglass, ending in 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64)
        self.conv2, self.conv3, self.conv4 = ConvBlock(64, 128), ConvBlock(128, 128), ConvBlock(128, 256)
        self.m0, self.top_m_0 = HourGlass(4, 256), ConvBlock(256, 256)
        self.conv_last0, self.bn_end0 = nn.Conv2d(256, 256, 1), nn.BatchNorm2d(256)
        self.l0, self.bn5 = nn.Conv2d(256, 68, 1), nn.BatchNorm2d(68)
        self.conv6, self.fc = nn.Conv2d(68, 1, 3, 2, 1), nn.Linear(784, 512)

    def forward(self, x: Float[Tensor, "b 3 224 224"]) -> Float[Tensor, "b 512"]:
        """Compute features of an aligned face, -1..1."""
        x = relu(self.bn1(self.conv1(x)))
        x = max_pool2d(self.conv2(x), 2, 2)
        x = self.top_m_0(self.m0(self.conv4(self.conv3(x))))
        x = relu(self.bn5(self.l0(relu(self.bn_end0(self.conv_last0(x))))))
        return self.fc(relu(self.conv6(x).flatten(1)))


def make_embedding_head(outputs: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Build the head of one aspect: its 512 features, and its embedding."""
    to = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Linear(512, 512))
    return to, nn.Sequential(nn.ReLU(), nn.Linear(512, outputs))


class PDFGC(nn.Module):
    """Encoder from aligned faces to motion embeddings; freeze it and keep it in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.model = LandmarkNet()
        self.to_mouth, self.mouth_embed = make_embedding_head(500)
        self.to_headpose, self.headpose_embed = make_embedding_head(6)
        self.to_eye, self.eye_embed = make_embedding_head(6)
        self.to_emo, self.emo_embed = make_embedding_head(30)

    def forward(self, face: Float[Tensor, "b 3 224 224"]) -> Float[Tensor, "b 548"]:
        """Embed eyes, emotion and mouth; the head's pose is left out."""
        x = self.model(face)
        return torch.cat(
            [self.eye_embed(self.to_eye(x)), self.emo_embed(self.to_emo(x)), self.to_mouth(x)], -1
        )


def align_face(image: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "68 2"]) -> Float[Tensor, "3 224 224"]:
    """Align a face for PD-FGC: eyes and mouth at ``ANCHORS``, centre crop, 224².

    Args:
        image: -1..1. landmarks: iBUG's 68, pixels.
    """
    points = torch.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[60:68].mean(0)])
    to = torch.tensor(ANCHORS).to(points)
    face = sample_similarity(image, *fit_similarity_2d(points, to), 224)[None]
    face = interpolate(face[:, :, 0:192, 16:208], (224, 224), mode="bilinear", align_corners=False)
    return face[0].clamp(-1, 1)
