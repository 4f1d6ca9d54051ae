"""The surfaces whose textures take in evidence: the head's skin and the hair's shell, texel by texel.

A layer stands for one neural texture of the paper; its texels are points on the posed surface, so that what
a photo shows of them is found by projection (the paper's unprojected image).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.surface import Posed
from headcast.head.model import HeadModel
from headcast.render.uv import rasterize_uv
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes, texels_of

__all__ = ["HAIR", "SIDE", "SKIN", "TEXELS", "TextureLayer", "layers_of", "layout_texels"]

SKIN, HAIR = "skin", "hair"
SIDE = 512  # texels of the textures on which weights, flow and gain are computed; colours are sampled finer
KEPT_REGIONS = ("lids",)  # of the head: what another frame's expression folds differently


@dataclass(frozen=True)
class TextureLayer:
    """One surface with a texture.

    Attributes:
        name: ``skin`` or ``hair``.
        first: of the surface's vertices that belong to it. faces: (F, 3) of its own vertices.
        texture: (H, W, 3 or 4) albedo in sRGB display values.
        coarse: its texels at ``SIDE``; (n,) each.
        changeable: (n,) 0..1, where evidence may change it. scalp: (n,) 0..1, where hair may be painted.
        uv, faces_uv: its layout. head: whose layout it is; None: a shell's.
    """

    name: str
    first: int
    faces: Int[np.ndarray, "f 3"]
    texture: UInt8[np.ndarray, "h w c"]
    coarse: Texels
    changeable: Float[np.ndarray, "n"]
    scalp: Float[np.ndarray, "n"]
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "f 3"]
    head: HeadModel | None = None

    def texels(self, size: int) -> Texels:
        """Return its texels in a square of another size."""
        return (
            layout_texels(self.uv, self.faces_uv, size) if self.head is None else TEXELS.get(self.head, size)
        )

    def points(self, posed: Posed, texels: Texels) -> Float[np.ndarray, "n 3"]:
        """Return world positions of texels, metres."""
        own = posed.vertices[self.first : self.first + int(self.faces.max()) + 1]
        return interpolate_attributes(own.numpy(), self.faces, texels)

    def normals(self, posed: Posed, texels: Texels) -> Float[np.ndarray, "n 3"]:
        """Return unit world normals of texels."""
        own = posed.normals[self.first : self.first + int(self.faces.max()) + 1]
        n = interpolate_attributes(own.numpy(), self.faces, texels)
        return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)

    def openness(self, posed: Posed) -> Float[np.ndarray, "n"]:
        """Return the fraction of the light that reaches the coarse texels."""
        own = posed.openness[self.first : self.first + int(self.faces.max()) + 1]
        return interpolate_attributes(own[:, None].float().numpy(), self.faces, self.coarse)[:, 0]

    @cached_property
    def albedo(self) -> Float[np.ndarray, "n 3"]:
        """Return the texture's linear albedo at the coarse texels, averaged over each."""
        import cv2

        from headcast.image import srgb_table

        small = cv2.resize(srgb_table()[self.texture[..., :3]], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return self.coarse.from_image(small)


def layers_of(mesh: MeshAvatar) -> list[TextureLayer]:
    """Return the layers of an avatar: skin, and hair where it has a shell of hair."""
    head = mesh.head
    out = [skin_layer(head, mesh.texture)]
    first = len(head.neutral)
    for shell in mesh.shells:
        if shell.name == HAIR:
            coarse = layout_texels(shell.uv, shell.faces_uv, SIDE)
            one = np.ones(len(coarse.index), np.float32)
            out.append(
                TextureLayer(
                    name=HAIR,
                    first=first,
                    faces=np.ascontiguousarray(shell.faces.numpy()),
                    texture=shell.texture,
                    coarse=coarse,
                    changeable=one,
                    scalp=one,
                    uv=shell.uv,
                    faces_uv=shell.faces_uv,
                )
            )
        first += len(shell.rest)
    return out


def skin_layer(head: HeadModel, texture: UInt8[np.ndarray, "h w 3"]) -> TextureLayer:
    """Return the head's layer; eyeballs, mouth and lids stay as the first frame shows them."""
    coarse = TEXELS.get(head, SIDE)
    is_skin = (head.part == head.part_names.index("skin")).numpy()[coarse.triangle]
    kept = region_weights(head, coarse, *(set(KEPT_REGIONS) & set(head.region_names)))
    return TextureLayer(
        name=SKIN,
        first=0,
        faces=np.ascontiguousarray(head.faces.numpy()),
        texture=texture,
        coarse=coarse,
        changeable=(is_skin * (1 - kept)).astype(np.float32),
        scalp=region_weights(head, coarse, "scalp"),
        uv=head.uv,
        faces_uv=head.faces_uv,
        head=head,
    )


class TexelCache:
    """Texels of heads' layouts, by the tensor that holds them: heads bound to people share it."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Tensor, Texels]] = {}

    def get(self, head: HeadModel, size: int) -> Texels:
        """Return the texels of a head's layout at a size."""
        if size not in self.kept or self.kept[size][0] is not head.uv:
            self.kept[size] = (head.uv, texels_of(head, size))
        return self.kept[size][1]


TEXELS = TexelCache()


def layout_texels(uv: Float[Tensor, "u 2"], faces_uv: Int[Tensor, "f 3"], size: int) -> Texels:
    """Return the texels of a shell's layout, stretched to a square, without a gutter."""
    found = rasterize_uv(uv, faces_uv, size)
    triangle = found.triangle.numpy()
    index = np.flatnonzero(triangle >= 0)
    none = np.zeros(0, np.int64)
    return Texels(
        size=size,
        index=index,
        triangle=triangle[index].astype(np.int64),
        bary=found.barycentric.numpy()[index].astype(np.float32),
        gutter=none,
        nearest=none,
    )
