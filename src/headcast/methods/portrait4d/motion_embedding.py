"""Our own E_mot: motion embeddings of aligned faces, and of expression codes (ARKit weights and gaze)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.params import HeadParams, gaze_from_eye_look
from headcast.methods.portrait4d.pdfgc import align_face

__all__ = ["FACE_SIDE", "ExpressionToMotion", "MotionEncoder", "align_faces", "expression_code"]

FACE_SIDE = 96
"""Side of an aligned face, pixels."""
EXPRESSION_DIM = len(EXPRESSIONS) + 4
"""Length of an expression code: the 52 ARKit weights, then the gaze of both eyes (radians)."""


class MotionEncoder(nn.Module):
    """A small convolutional encoder of faces, trained together with Ψ."""

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
        """Embed aligned faces, -1..1."""
        return self.out(self.body(face).flatten(1))


class ExpressionToMotion(nn.Module):
    """MLP from expression codes to the embedding of a face that shows them."""

    def __init__(self, motion: int, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(EXPRESSION_DIM, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, motion),
        )

    def forward(self, code: Float[Tensor, "b k"]) -> Float[Tensor, "b m"]:
        """Embed expression codes (see ``expression_code``)."""
        return self.net(code)


def expression_code(params: HeadParams) -> Float[Tensor, "b k"]:
    """Return the expression code of ``params``; gaze in radians, the ``eyeLook*`` weights set to zero."""
    gaze = gaze_from_eye_look(params.expression) if params.gaze is None else params.gaze
    expression = params.expression.clone()
    look = [i for name, i in EXPRESSION_INDEX.items() if name.startswith("eyeLook")]
    expression[..., look] = 0
    return torch.cat([expression, gaze.flatten(-2)], -1)


def align_faces(
    images: Float[Tensor, "b 3 h w"], landmarks: Float[Tensor, "b 68 2"], side: int = FACE_SIDE
) -> Float[Tensor, "b 3 s s"]:
    """Align the faces of images (-1..1) by landmarks in pixels."""
    faces = torch.stack([align_face(i, p) for i, p in zip(images, landmarks, strict=True)])
    size = (side, side)
    return faces if side == 224 else interpolate(faces, size, mode="bilinear", antialias=True)
