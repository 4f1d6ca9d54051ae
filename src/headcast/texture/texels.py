"""The texture's texels as points on the mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.render.jit import kernel, parallel

__all__ = ["Texels", "blurred", "gather", "texels_of"]

GUTTER = 8
CHANNELS = 2  # a thread blurs at a time
PIECE = 1 << 16  # texels a thread takes at a time


@dataclass(frozen=True)
class Texels:
    """Every texel that a triangle covers, n of them.

    Attributes:
        size: side of the texture.
        index: (n,) position in the flattened texture.
        triangle, bary: where it lies on the mesh.
        gutter, nearest: texels just outside of the charts, and for each which of the n is nearest.
    """

    size: int
    index: Int[np.ndarray, "n"]
    triangle: Int[np.ndarray, "n"]
    bary: Float[np.ndarray, "n 3"]
    gutter: Int[np.ndarray, "g"]
    nearest: Int[np.ndarray, "g"]

    def picture(self, values: Shaped[np.ndarray, "n *c"], empty: float = 0.0) -> Shaped[np.ndarray, "s s *c"]:
        """Values laid out as a texture; the gutter repeats its nearest texel, the rest is ``empty``."""
        out = np.full((self.size * self.size, *values.shape[1:]), empty, values.dtype)
        out[self.index] = values
        out[self.gutter] = values[self.nearest]
        return out.reshape(self.size, self.size, *values.shape[1:])

    def values(self, picture: Shaped[np.ndarray, "s s *c"]) -> Shaped[np.ndarray, "n *c"]:
        """The reverse of ``picture``."""
        return picture.reshape(self.size * self.size, *picture.shape[2:])[self.index]

    def around(
        self, which: Int[np.ndarray, "m"], margin: int
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
        """For work on a part of the texture: ``picture`` cut to the texels ``which`` and ``margin`` more on
        each side, and what takes such a cut back to values of ``which``."""
        y, x = np.divmod(self.index, self.size)
        (top, left), (bottom, right) = ((f(y[which]), f(x[which])) for f in (np.min, np.max))
        top, left = max(0, top - margin), max(0, left - margin)
        bottom, right = min(self.size, bottom + margin + 1), min(self.size, right + margin + 1)

        def within(index: Int[np.ndarray, "k"]) -> tuple[Int[np.ndarray, "i"], tuple[np.ndarray, np.ndarray]]:
            row, column = np.divmod(index, self.size)
            row, column = row - top, column - left
            found = (row >= 0) & (row < bottom - top) & (column >= 0) & (column < right - left)
            return np.flatnonzero(found), (row[found], column[found])

        (inside, at), (edge, edge_at) = within(self.index), within(self.gutter)

        def cut(values: np.ndarray) -> np.ndarray:
            out = np.zeros((bottom - top, right - left, *values.shape[1:]), values.dtype)
            out[at] = values[inside]
            out[edge_at] = values[self.nearest[edge]]
            return out

        return cut, lambda picture: picture[y[which] - top, x[which] - left]


def texels_of(head: HeadModel, size: int) -> Texels:
    """The texels of a square texture: the UV layout is drawn as a flat mesh one unit before the camera."""
    import cv2

    from headcast.render.mesh import rasterize_mesh

    flat = torch.cat([head.uv * size, torch.ones(len(head.uv), 1)], 1)
    camera = Camera(torch.eye(3), torch.eye(4), size, size)
    drawn = rasterize_mesh(flat, head.faces_uv, camera)
    triangle = drawn.triangle.numpy().reshape(-1)
    index = np.flatnonzero(triangle >= 0)
    empty = (triangle.reshape(size, size) < 0).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owners = label.reshape(-1).astype(np.int64)
    owner = np.full(int(label.max()) + 1, -1, np.int64)
    owner[owners[index]] = np.arange(len(index))
    gutter = np.flatnonzero((empty.reshape(-1) > 0) & (distance.reshape(-1) <= GUTTER))
    bary = drawn.barycentric.numpy().reshape(-1, 3)[index].astype(np.float32)
    return Texels(size, index, triangle[index].astype(np.int64), bary, gutter, owner[owners[gutter]])


def blurred(picture: Float[np.ndarray, "h w c"], width: float) -> Float[np.ndarray, "h w c"]:
    """A picture under a Gaussian of that standard deviation (pixels), its channels on several threads."""
    import cv2

    out = np.empty_like(picture)

    def piece(i: int) -> None:
        some = slice(i * CHANNELS, (i + 1) * CHANNELS)
        part = cv2.GaussianBlur(np.ascontiguousarray(picture[..., some]), (0, 0), width)
        out[..., some] = part.reshape(out[..., some].shape)

    parallel(piece, -(-picture.shape[2] // CHANNELS))
    return out


def gather(
    attributes: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"], texels: Texels
) -> Float[np.ndarray, "n c"]:
    """Vertex attributes at the texels, float32."""
    a = np.ascontiguousarray(attributes, dtype=np.float32)
    f = np.ascontiguousarray(faces, dtype=np.int64)
    triangle, bary = np.ascontiguousarray(texels.triangle), np.ascontiguousarray(texels.bary)
    out = np.empty((len(triangle), a.shape[1]), np.float32)

    def piece(i: int) -> None:
        _gather(a, f, triangle, bary, i * PIECE, min((i + 1) * PIECE, len(triangle)), out)

    parallel(piece, -(-len(triangle) // PIECE))
    return out


@kernel("void(f4[:,::1], i8[:,::1], i8[::1], f4[:,::1], i8, i8, f4[:,::1])")
def _gather(a, faces, triangle, bary, first, last, out):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        t = triangle[n]
        for c in range(a.shape[1]):
            s = a[faces[t, 0], c] * bary[n, 0]
            s += a[faces[t, 1], c] * bary[n, 1]
            out[n, c] = s + a[faces[t, 2], c] * bary[n, 2]
