"""An avatar's surface cut into pieces that other programs take: one uv a vertex, one material a piece."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.model import HeadModel

__all__ = ["PIECES", "Piece", "head_pieces", "split"]

PIECES: dict[str, tuple[str, ...]] = {
    "skin": ("skin",),
    "eyes": ("eyeLeft", "eyeRight"),
    "teeth": ("teethUpper", "teethLower"),
    "tongue": ("tongue",),
    "mouth": ("gums", "mouth"),
}
"""Which parts of the head share a material; parts of no piece go to the skin."""


@dataclass(frozen=True)
class Piece:
    """Triangles with their own vertices.

    Attributes:
        name: of the piece and its material.
        rows: (N,) which vertex of the whole each of its vertices is; one on a seam comes twice.
        uv: (N, 2) in 0..1, origin at the top left.
        faces: (F, 3) into its own vertices.
        triangles: (F,) which triangles of the whole they are.
    """

    name: str
    rows: Int[Tensor, "n"]
    uv: Float[Tensor, "n 2"]
    faces: Int[Tensor, "f 3"]
    triangles: Int[Tensor, "f"]


def split(
    name: str,
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    triangles: Int[Tensor, "n"] | None = None,
) -> Piece:
    """The piece made of some (None: all) triangles; vertices are doubled where their uv differ."""
    chosen = torch.arange(len(faces)) if triangles is None else triangles
    corners = torch.stack([faces[chosen].reshape(-1), faces_uv[chosen].reshape(-1)], 1).long()
    pairs, index = torch.unique(corners, dim=0, return_inverse=True)
    return Piece(name, pairs[:, 0], uv[pairs[:, 1]], index.view(-1, 3), chosen)


def head_pieces(head: HeadModel) -> list[Piece]:
    """The head's pieces, those without triangles left out."""
    piece_of = {part: name for name, parts in PIECES.items() for part in parts}
    owner = [piece_of.get(part, "skin") for part in head.part_names]
    found = []
    for name in PIECES:
        wanted = torch.tensor([i for i, o in enumerate(owner) if o == name], dtype=torch.long)
        triangles = torch.isin(head.part, wanted).nonzero()[:, 0]
        if len(triangles):
            found.append(split(name, head.faces, head.uv, head.faces_uv, triangles))
    return found
