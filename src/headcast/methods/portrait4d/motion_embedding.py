"""E_mot of our own: an aligned face to a motion embedding, and ARKit weights to the same embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.params import HeadParams, gaze_from_eye_look
from headcast.methods.portrait4d.pdfgc import aligned

__all__ = ["FACE_SIDE", "ExpressionToMotion", "MotionEncoder", "expression_code", "faces_of"]

FACE_SIDE = 96
"""Pixels of an aligned face."""
EXPRESSION_DIM = len(EXPRESSIONS) + 4
"""Numbers that say a motion: the 52 weights, and the gaze."""


class MotionEncoder(nn.Module):
    """A small convolutional network; it learns with Ψ what of a face moves."""

    def __init__(self, motion: int, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for n in range(5):
            after = width * min(2**n, 8)
            layers += [
                nn.Conv2d(before, after, 3, 2, 1),
                nn.GroupNorm(max(1, after // 12), after),
                nn.SiLU(),
                nn.Conv2d(after, after, 3, 1, 1, groups=after),
                nn.Conv2d(after, after, 1),
                nn.SiLU(),
            ]
            before = after
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(before * (FACE_SIDE // 32) ** 2, motion)

    def forward(self, face: Float[Tensor, "b 3 96 96"]) -> Float[Tensor, "b m"]:
        """Embeddings of aligned faces, -1..1."""
        return self.out(self.body(face).flatten(1))


class ExpressionToMotion(nn.Module):
    """Expression weights and gaze to the embedding that a face showing them would get."""

    def __init__(self, motion: int, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(EXPRESSION_DIM, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, motion),
        )

    def forward(self, said: Float[Tensor, "b k"]) -> Float[Tensor, "b m"]:
        """``said``: see :func:`expression_code`."""
        return self.net(said)


def expression_code(params: HeadParams) -> Float[Tensor, "b k"]:
    """The numbers of ``params`` that say a motion; gaze in radians, the ``eyeLook*`` weights left out."""
    gaze = gaze_from_eye_look(params.expression) if params.gaze is None else params.gaze
    expression = params.expression.clone()
    look = [i for name, i in EXPRESSION_INDEX.items() if name.startswith("eyeLook")]
    expression[..., look] = 0
    return torch.cat([expression, gaze.flatten(-2)], -1)


def faces_of(
    images: Float[Tensor, "b 3 h w"], landmarks: Float[Tensor, "b 68 2"], side: int = FACE_SIDE
) -> Float[Tensor, "b 3 s s"]:
    """Aligned faces; images -1..1, landmarks in pixels."""
    found = torch.stack([aligned(i, p) for i, p in zip(images, landmarks, strict=True)])
    size = (side, side)
    return found if side == 224 else interpolate(found, size, mode="bilinear", antialias=True)
