"""Hair, eyebrows and eyelashes as meshes that fit any identity of the head model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.parsing import parsing

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = ["HairAsset", "HairItem"]

NEIGHBOURS = 24  # skin vertices that move a vertex of hair
REACH = {"hair": 0.02, "eyebrows": 0.004, "eyelashes": 0.003}  # metres over which they are averaged


@dataclass(frozen=True)
class HairItem:
    """A hair item on the neutral head.

    Attributes:
        kind: ``hair``, ``eyebrows`` or ``eyelashes``.
        vertices: head frame, metres.
        faces: outwards counter-clockwise; most items are single layers of polygons, not closed.
        uv, faces_uv: 0..1, origin at the top left.
    """

    name: str
    kind: str
    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "f 3"]

    def carriers(self, head: HeadModel) -> tuple[Int[Tensor, "v k"], Float[Tensor, "v k"]]:
        """Return the skin vertices near every vertex of the item, and their weights (sum 1)."""
        skin = head.faces[head.part == head.part_names.index("skin")].unique()
        if self.kind == "hair":
            skin = skin[::4]
        distance, near = torch.cdist(self.vertices, head.neutral[skin]).topk(NEIGHBOURS, largest=False)
        reach = REACH[self.kind] + 0.5 * distance[:, :1]
        return skin[near], torch.softmax(-0.5 * (distance / reach) ** 2, 1)

    def worn(self, head: HeadModel, identity: Float[Tensor, "i"]) -> Float[Tensor, "v 3"]:
        """Fit to an identity: return rest vertices, moved smoothly with the nearby skin."""
        skin, weight = self.carriers(head)
        moved = (identity @ head.identity_basis.flatten(1)).view(-1, 3)
        return self.vertices + (moved[skin] * weight[..., None]).sum(1)

    def skin_weights(self, head: HeadModel) -> Float[Tensor, "v j"]:
        """Return joint weights, interpolated from the nearby skin."""
        skin, weight = self.carriers(head)
        weights = (head.skin_weights[skin] * weight[..., None]).sum(1)
        return weights / weights.sum(1, keepdim=True)


class HairAsset:
    """The bundled hair items by name."""

    def __init__(self, items: dict[str, HairItem]) -> None:
        self.items = items

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all items."""
        return tuple(self.items)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Return the names of the items of one kind: ``hair``, ``eyebrows`` or ``eyelashes``."""
        return tuple(n for n, item in self.items.items() if item.kind == kind)

    def __getitem__(self, name: str) -> HairItem:
        """Return the item of a name."""
        return self.items[name]

    @staticmethod
    def load(path: str | Path | None = None) -> HairAsset:
        """Load the bundled items, or others in the same format.

        Raises:
            HeadcastError: the file is missing or holds no hair.
        """
        from headcast.weights import load_tensors

        tensors, metadata, _ = load_tensors(path or "hair")
        with parsing(path or "hair.safetensors", "not a hair asset", "reinstall headcast"):
            kinds: dict[str, str] = json.loads(metadata["hair"])["kinds"]
            return HairAsset({name: read_item(tensors, name, kind) for name, kind in kinds.items()})


def read_item(tensors: dict[str, Tensor], name: str, kind: str) -> HairItem:
    """Decode one item: vertices in units of 1/50 mm and uv in 1/32767, both int16."""
    vertices = tensors[f"{name}/vertices"].float() * 2e-5
    uv = tensors[f"{name}/uv"].float() / 32767
    faces, faces_uv = (tensors[f"{name}/{k}"].long() for k in ("faces", "faces_uv"))
    return HairItem(name=name, kind=kind, vertices=vertices, faces=faces, uv=uv, faces_uv=faces_uv)
