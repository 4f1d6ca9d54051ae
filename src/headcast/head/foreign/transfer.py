"""Transfer a texture from one mesh and uv layout to another, by position on the surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from headcast.head.foreign.surface import nearest, normals_of
from headcast.head.model import HeadModel

__all__ = ["Layout", "layout_of", "transfer_texture"]

CANDIDATES = 12
MARGIN = 4
"""Texels by which charts grow at their rims, so that filtering finds no background."""


class Layout(NamedTuple):
    """A surface and its uv layout; (0, 0) is the image's upper left corner.

    Source and target have a common frame and coincide: bring a foreign mesh there with
    ``Registration.place``, or pose a head built by ``foreign_head`` like the other.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "u 2"]
    faces_uv: Int[np.ndarray, "f 3"]


def layout_of(
    head: HeadModel, part: str = "skin", vertices: Float[np.ndarray, "v 3"] | None = None
) -> Layout:
    """Return the layout of one part of a head, at rest or as posed."""
    rows = head.part_faces(part)
    v = head.neutral.double().numpy() if vertices is None else vertices
    return Layout(v, head.faces[rows].numpy(), head.uv.double().numpy(), head.faces_uv[rows].numpy())


def transfer_texture(
    image: Float[np.ndarray, "h w c"], source: Layout, target: Layout, size: tuple[int, int]
) -> tuple[Float[np.ndarray, "h2 w2 c"], Bool[np.ndarray, "h2 w2"]]:
    """Resample an image to the target's layout; return it and which texels a target triangle covers.

    Every texel takes what the source shows at the nearest place that looks the same way; texels beside the
    charts take their neighbours' colour, those further out are zero.

    Args:
        size: (width, height) of the result.
    """
    width, height = size
    triangle, bary = texel_places(target.uv * [width, height], target.faces_uv, width, height)
    known = triangle >= 0
    rows, weights = triangle[known], bary[known]
    points = np.einsum("nk,nkc->nc", weights, target.vertices[target.faces[rows]])
    looks = normals_of(target.vertices, target.faces)
    looks = np.einsum("nk,nkc->nc", weights, looks[target.faces[rows]])
    found = nearest(points, looks, source.vertices, source.faces, candidates=CANDIDATES)
    out = np.zeros((height, width, image.shape[2]), image.dtype)
    out[known] = sample_uv(image, found.on(source.uv, source.faces_uv))
    return dilate(out, known), known


def texel_places(
    corners: Float[np.ndarray, "u 2"], faces: Int[np.ndarray, "f 3"], width: int, height: int
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """Find which triangle (-1: none) covers each texel's centre, and the barycentric weights there."""
    triangle, bary = np.full((height, width), -1), np.zeros((height, width, 3))
    for i, (a, b, c) in enumerate(corners[faces]):
        low = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5).clip(0).astype(int)
        high = np.floor(np.maximum(np.maximum(a, b), c) - 0.5).astype(int) + 1
        (x0, y0), (x1, y1) = low, np.minimum(high, [width, height])
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if x1 <= x0 or y1 <= y0 or abs(area) < 1e-12:
            continue
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5 - a[0], np.arange(y0, y1) + 0.5 - a[1])
        weights = _barycentric(corners[faces[i]], x, y)
        inside = (weights > -1e-9).all(-1)
        triangle[y0:y1, x0:x1][inside] = i
        bary[y0:y1, x0:x1][inside] = weights[inside]
    return triangle, bary


def _barycentric(
    corner: Float[np.ndarray, "3 2"], x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Return barycentric weights in a triangle at places relative to its first corner."""
    a, b, c = corner
    area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
    s = (x * (c[1] - a[1]) - (c[0] - a[0]) * y) / area
    t = ((b[0] - a[0]) * y - x * (b[1] - a[1])) / area
    return np.stack([1 - s - t, s, t], -1)


def sample_uv(image: Float[np.ndarray, "h w c"], uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n c"]:
    """Sample an image bilinearly at uv; edges are repeated."""
    height, width = image.shape[:2]
    x, y = (uv * [width, height] - 0.5).clip(0, [width - 1, height - 1]).T
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    p, q = (x - x0)[:, None], (y - y0)[:, None]
    upper = image[y0, x0] * (1 - p) + image[y0, x1] * p
    lower = image[y1, x0] * (1 - p) + image[y1, x1] * p
    return (upper * (1 - q) + lower * q).astype(image.dtype)


def dilate(image: Float[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w c"]:
    """Dilate an image by ``MARGIN`` texels around known ones, each the mean of its neighbours."""
    out, filled = image.copy(), known.copy()
    for _ in range(MARGIN):
        wide, held = np.pad(out, ((1, 1), (1, 1), (0, 0))), np.pad(filled, 1)
        total, count = np.zeros_like(out), np.zeros(filled.shape)
        for dy in range(3):
            for dx in range(3):
                part = held[dy : dy + filled.shape[0], dx : dx + filled.shape[1]]
                total += wide[dy : dy + filled.shape[0], dx : dx + filled.shape[1]] * part[..., None]
                count += part
        new = ~filled & (count > 0)
        out[new] = total[new] / count[new][:, None]
        filled |= new
    return out
