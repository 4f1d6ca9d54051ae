"""Shells: textured surfaces beyond the head mesh (hair, clothes), skinned to the head model's joints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.entries import damaged
from headcast.avatar.source import check_tensor
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams

__all__ = ["Shell", "shells_from"]

NAME = re.compile(r"[a-z]{1,16}")
MAX_VERTICES = 1 << 18
GAP = 8  # texels of repeated border between packed textures


@dataclass(frozen=True)
class Shell:
    """A surface at rest in the head frame, moved by linear blend skinning.

    Attributes:
        name: a short lower-case word, ``hair`` or ``body``.
        rest: (V, 3) this person's rest shape, metres.
        faces: (F, 3) triangles, counter-clockwise from outside.
        uv, faces_uv: (U, 2) in 0..1 with the origin at the texture's top left, and the triangles' indices.
        skin_weights: (V, J) weights of the head model's ``JOINTS``.
        texture: (H, W, 4) albedo in sRGB display values, and coverage.
    """

    name: str
    rest: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "f 3"]
    skin_weights: Float[Tensor, "v j"]
    texture: UInt8[np.ndarray, "h w 4"]

    @property
    def opaque(self) -> bool:
        """Whether the texture is opaque everywhere."""
        return bool((self.texture[..., 3] == 255).all())

    def posed(self, head: HeadModel, params: HeadParams) -> Float[Tensor, "v 3"]:
        """Return world vertices, metres; ``params`` are unbatched."""
        return head.skin_points(self.rest, self.skin_weights, params)

    def tensors(self) -> dict[str, Tensor]:
        """Return the named tensors to be stored."""
        values = {
            "rest": self.rest,
            "faces": self.faces.int(),
            "uv": self.uv,
            "faces_uv": self.faces_uv.int(),
            "skin_weights": self.skin_weights,
        }
        return {f"shell.{self.name}.{k}": v for k, v in values.items()}


def shells_from(tensors: Mapping[str, Tensor], textures: Mapping[str, Any], path: Path) -> tuple[Shell, ...]:
    """Read and check stored shells.

    Raises:
        HeadcastError: something is missing, of a wrong shape, or points outside.
    """
    names = sorted({k.split(".")[1] for k in tensors if k.startswith("shell.") and k.count(".") == 2})
    return tuple(_shell(name, dict(tensors), textures, path) for name in names)


def _shell(name: str, tensors: dict[str, Tensor], textures: Mapping[str, Any], path: Path) -> Shell:
    def get(key: str, *shape: int) -> Tensor:
        return check_tensor(tensors, f"shell.{name}.{key}", shape, path)

    def rows(key: str) -> int:
        x = tensors.get(f"shell.{name}.{key}")
        return 0 if x is None or x.ndim == 0 else x.shape[0]

    v, f, u = rows("rest"), rows("faces"), rows("uv")
    if not NAME.fullmatch(name) or not 3 <= v <= MAX_VERTICES or not 1 <= f <= 4 * MAX_VERTICES:
        raise damaged(path, f"the shell '{name[:20]}' is invalid")
    faces, faces_uv = get("faces", f, 3).long(), get("faces_uv", f, 3).long()
    for index, count in ((faces, v), (faces_uv, u)):
        if not 0 <= int(index.min()) <= int(index.max()) < count:
            raise damaged(path, f"triangles of the shell '{name}' point outside")
    texture = textures.get(f"shell-{name}")
    if texture is None or texture.ndim != 3 or texture.shape[2] != 4:
        raise damaged(path, f"no texture of the shell '{name}'")
    weights = get("skin_weights", v, len(JOINTS))
    if bool((weights.sum(1) - 1).abs().max() > 0.01):
        raise damaged(path, f"joint weights of the shell '{name}' are invalid")
    return Shell(
        name=name,
        rest=get("rest", v, 3),
        faces=faces,
        uv=get("uv", u, 2),
        faces_uv=faces_uv,
        skin_weights=weights,
        texture=np.asarray(texture),
    )


def pack_textures(
    textures: list[UInt8[np.ndarray, "..."]],
) -> tuple[UInt8[np.ndarray, "..."], Float[Tensor, "n 4"]]:
    """Pack textures below each other into one RGBA atlas; borders are repeated, so that nothing bleeds in.

    Returns:
        The atlas, and for each texture the scale and offset (su, sv, ou, ov) that take its uv there.
    """
    width = max(t.shape[1] for t in textures)
    total_height = sum(t.shape[0] + 2 * GAP for t in textures)
    out = np.empty((total_height, width, 4), np.uint8)
    places = torch.empty(len(textures), 4)
    top = GAP
    for i, t in enumerate(textures):
        height, row_width = t.shape[:2]
        part = out[top : top + height]
        part[:, :row_width, :3] = t[..., :3]
        part[:, :row_width, 3] = t[..., 3] if t.shape[2] == 4 else 255
        part[:, row_width:] = part[:, row_width - 1 : row_width]
        out[top - GAP : top], out[top + height : top + height + GAP] = part[0], part[-1]
        places[i] = torch.tensor([row_width / width, height / total_height, 0.0, top / total_height])
        top += height + 2 * GAP
    return out, places
