"""The texture's texels as points on the mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from headcast.head.model import HeadModel
from headcast.render.jit import kernel, parallel
from headcast.render.uv import rasterize_uv

__all__ = ["Texels", "blur_texture", "interpolate_attributes", "texels_of"]

GUTTER = 8  # texels around charts that repeat the nearest one
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

    def to_image(
        self, values: Shaped[np.ndarray, "n *c"], empty: float = 0.0
    ) -> Shaped[np.ndarray, "s s *c"]:
        """Lay values out as a texture; the gutter repeats its nearest texel, the rest is ``empty``."""
        out = np.full((self.size * self.size, *values.shape[1:]), empty, values.dtype)
        out[self.index] = values
        out[self.gutter] = values[self.nearest]
        return out.reshape(self.size, self.size, *values.shape[1:])

    def from_image(self, image: Shaped[np.ndarray, "s s *c"]) -> Shaped[np.ndarray, "n *c"]:
        """Read the texels' values from a texture: the reverse of ``to_image``."""
        return image.reshape(self.size * self.size, *image.shape[2:])[self.index]

    def subset(self, which: Int[np.ndarray, "m"]) -> Texels:
        """Keep some of the texels, without a gutter."""
        return Texels(
            size=self.size,
            index=self.index[which],
            triangle=self.triangle[which],
            bary=self.bary[which],
            gutter=self.gutter[:0],
            nearest=self.nearest[:0],
        )

    def crop(
        self, which: Int[np.ndarray, "m"], margin: int
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
        """Two functions for work on a part of the texture.

        The first is ``to_image``, cropped to the texels ``which`` and ``margin`` more on each side; the
        second reads the values of ``which`` from such a crop.
        """
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

        return cut, lambda image: image[y[which] - top, x[which] - left]


def texels_of(head: HeadModel, size: int) -> Texels:
    """Find the texels of a square texture in the head's UV layout."""
    import cv2

    found = rasterize_uv(head.uv, head.faces_uv, size)
    triangle = found.triangle.numpy()
    index = np.flatnonzero(triangle >= 0)
    empty = (triangle.reshape(size, size) < 0).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owners = label.reshape(-1).astype(np.int64)
    owner = np.full(int(label.max()) + 1, -1, np.int64)
    owner[owners[index]] = np.arange(len(index))
    gutter = np.flatnonzero((empty.reshape(-1) > 0) & (distance.reshape(-1) <= GUTTER))
    return Texels(
        size=size,
        index=index,
        triangle=triangle[index].astype(np.int64),
        bary=found.barycentric.numpy()[index].astype(np.float32),
        gutter=gutter,
        nearest=owner[owners[gutter]],
    )


def blur_texture(image: Float[np.ndarray, "h w c"], sigma: float) -> Float[np.ndarray, "h w c"]:
    """Blur by a Gaussian of that standard deviation (pixels), channels on several threads."""
    import cv2

    out = np.empty_like(image)

    def piece(i: int) -> None:
        some = slice(i * CHANNELS, (i + 1) * CHANNELS)
        part = cv2.GaussianBlur(np.ascontiguousarray(image[..., some]), (0, 0), sigma)
        out[..., some] = part.reshape(out[..., some].shape)

    parallel(piece, -(-image.shape[2] // CHANNELS))
    return out


def interpolate_attributes(
    attributes: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"], texels: Texels
) -> Float[np.ndarray, "n c"]:
    """Interpolate vertex attributes at the texels, float32."""
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
