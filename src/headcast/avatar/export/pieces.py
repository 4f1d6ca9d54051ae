"""Split an avatar's surface into pieces for other programs: one uv per vertex, one material per piece."""

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
"""Parts of the head by material; other parts belong to the skin."""


@dataclass(frozen=True)
class Piece:
    """A set of triangles with vertices of its own.

    Attributes:
        name: of the piece and its material.
        rows: (N,) index of each vertex in the whole mesh; vertices on a uv seam are duplicated.
        uv: (N, 2) in 0..1, origin at the top left.
        faces: (F, 3) into its own vertices.
        triangles: (F,) indices of the triangles in the whole mesh.
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
    """Make a piece of some (None: all) triangles; vertices are duplicated where their uv differ."""
    selected = torch.arange(len(faces)) if triangles is None else triangles
    corners = torch.stack([faces[selected].reshape(-1), faces_uv[selected].reshape(-1)], 1).long()
    pairs, index = torch.unique(corners, dim=0, return_inverse=True)
    return Piece(name=name, rows=pairs[:, 0], uv=uv[pairs[:, 1]], faces=index.view(-1, 3), triangles=selected)


def head_pieces(head: HeadModel) -> list[Piece]:
    """Return the head's pieces that have triangles."""
    piece_of = {part: name for name, parts in PIECES.items() for part in parts}
    owner = [piece_of.get(part, "skin") for part in head.part_names]
    found = []
    for name in PIECES:
        members = torch.tensor([i for i, o in enumerate(owner) if o == name], dtype=torch.long)
        triangles = torch.isin(head.part, members).nonzero()[:, 0]
        if len(triangles):
            found.append(split(name, head.faces, head.uv, head.faces_uv, triangles))
    return found
