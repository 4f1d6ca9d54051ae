"""Image-space maps into a mesh's UV: least squares through the rasterized geometry (§3.1, §3.4), in tiles.

The paper follows the gradient of sum |T_image - R(G, T_UV)|² by a differentiable rasterizer. For fixed
geometry R is linear in the texture: a pixel is the bilinear mean of four texels. The same minimum is reached
here by conjugate gradients on the normal equations of one tile of the texture after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

__all__ = [
    "Pixels",
    "Unwrapped",
    "pixels_to_unwrap",
    "rotate_micronormals",
    "solve_by_gradient",
    "solve_texture",
]

TIE = 1e-3
"""Weight of a texel's tie to the start, against one pixel's: decides where no pixel observes."""
ROUNDS = 6
MARGIN = 2
AT_ONCE = 1 << 20
"""Number of pixels processed together: bounds memory."""


@dataclass(frozen=True)
class Pixels:
    """Pixels of an image that show a mesh: n of them.

    Attributes:
        index: place in the flattened image. uv: (n, 2) 0..1, origin at the top left.
        weight: how much each is believed, 0..1: facing, occluders, borders.
        spin: (n, 2) cosine and sine of the angle from the image's x, laid on the surface, to the u axis.
    """

    index: Int[Tensor, " n"]
    uv: Float[Tensor, "n 2"]
    weight: Float[Tensor, " n"]
    spin: Float[Tensor, "n 2"]


@dataclass(frozen=True)
class Unwrapped:
    """A texture (C, T, T) and how visible each texel was (T, T), 0..1."""

    texture: Float[Tensor, "c t t"]
    visibility: Float[Tensor, "t t"]


def pixels_to_unwrap(
    triangle: Int[Tensor, "h w"],
    bary: Float[Tensor, "h w 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    normals: Float[Tensor, "v 3"],
    trusted: Float[Tensor, "h w"],
) -> Pixels:
    """Collect the rasterizer's output as pixels to unwrap.

    Args:
        vertices, normals: in the camera's frame, +X right, +Y up, +Z to the camera, the eye at 0.
        trusted: 0..1 at every pixel: skin without occluders.
    """
    flat, bary, trust = triangle.reshape(-1), bary.reshape(-1, 3), trusted.reshape(-1)
    index = ((flat >= 0) & (trust > 0.01)).nonzero()[:, 0]
    mesh = (vertices, faces, uv, faces_uv, normals)
    found = [interpolate_geometry(flat[i].long(), bary[i], *mesh) for i in index.split(AT_ONCE)]
    where, facing, spin = (torch.cat(x) for x in zip(*found, strict=True))
    return Pixels(index, where, ((facing - 0.15) / 0.35).clamp(0, 1) * trust[index], spin)


class SurfaceSamples(NamedTuple):
    """UV, cosine towards the eye, and the rotation of image axes to UV axes as a unit vector."""

    uv: Float[Tensor, "n 2"]
    facing: Float[Tensor, " n"]
    spin: Float[Tensor, "n 2"]


def interpolate_geometry(
    t: Int[Tensor, " n"],
    b: Float[Tensor, "n 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    normals: Float[Tensor, "v 3"],
) -> SurfaceSamples:
    """Interpolate UV, cosine towards the eye and spin at places on triangles."""
    where, point, normal = (
        (x[f[t]] * b[..., None]).sum(1) for x, f in ((uv, faces_uv), (vertices, faces), (normals, faces))
    )
    normal = normalize(normal, dim=-1)
    facing = -(normal * normalize(point, dim=-1)).sum(-1)
    along = _along_u(t, vertices, faces, uv, faces_uv)
    right = torch.zeros_like(normal)
    right[:, 0] = 1
    x = normalize(right - (right * normal).sum(-1, keepdim=True) * normal, dim=-1)
    y = torch.linalg.cross(normal, x)
    spin = torch.stack([(along * x).sum(-1), (along * y).sum(-1)], -1)
    return SurfaceSamples(where, facing, normalize(spin, dim=-1))


def _along_u(
    t: Int[Tensor, " n"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
) -> Tensor:
    """Return the direction of u on the surface of each triangle, not normalized."""
    p, q = vertices[faces[t]], uv[faces_uv[t]]
    e1, e2, d1, d2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0], q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    det = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    return (e1 * d2[:, 1:] - e2 * d1[:, 1:]) * det.sign()[:, None]


def rotate_micronormals(micro: Float[Tensor, "n 3"], spin: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Rotate micronormals of the image's frame (``data.micro_of``) to UV's: +x along u, +y against v."""
    x, y, z = micro.unbind(-1)
    c, s = spin.unbind(-1)
    return torch.stack([c * x + s * y, c * y - s * x, z], -1)


def bilinear_corners(uv: Float[Tensor, "n 2"], size: int) -> tuple[Int[Tensor, "n 4"], Float[Tensor, "n 4"]]:
    """Return the four texels around each point and their bilinear weights."""
    at = uv * size - 0.5
    low = at.floor()
    f = at - low
    x = torch.stack([low[:, 0], low[:, 0] + 1], -1).long().clamp(0, size - 1)
    y = torch.stack([low[:, 1], low[:, 1] + 1], -1).long().clamp(0, size - 1)
    wx, wy = (torch.stack([1 - f[:, k], f[:, k]], -1) for k in (0, 1))
    index = (y[:, :, None] * size + x[:, None]).flatten(1)
    return index, (wy[:, :, None] * wx[:, None]).flatten(1)


def _corners_in_tile(
    uv: Float[Tensor, "n 2"], size: int, tile: tuple[int, int, int, int]
) -> tuple[Int[Tensor, " m"], Float[Tensor, "n 4"]]:
    """Return the four texels around each point as indices into a tile (top, left, height, width).

    Also their bilinear weights, 0 for texels outside of it.
    """
    y0, x0, h, w = tile
    rows, weights = bilinear_corners(uv, size)
    i, j = rows // size - y0, rows % size - x0
    ok = (i >= 0) & (i < h) & (j >= 0) & (j < w)
    return (i.clamp(0, h - 1) * w + j.clamp(0, w - 1)).reshape(-1), weights * ok


def solve_texture(
    values: Float[Tensor, "n c"],
    pixels: Pixels,
    size: int,
    start: Float[Tensor, "c t t"],
    tile: int = 512,
    rounds: int = ROUNDS,
    tie: float = TIE,
) -> Unwrapped:
    """Solve for the texture whose rendering is nearest to the pixels' values (weighted least squares).

    Args:
        start: what texels are that no pixel observes, and where the search begins, at any size (the cascade).
        tile: side of the pieces solved one after the other: bounds memory.
    """
    from headcast.methods.uhr_texture.network import resize_maps

    out = resize_maps(start[None], size, size)[0]
    out = out.clone() if out.data_ptr() == start.data_ptr() else out
    visibility = torch.zeros(size, size, device=values.device)
    place = (pixels.uv * size).long().clamp(0, size - 1)
    for top in range(0, size, tile):
        for left in range(0, size, tile):
            low = torch.tensor([left, top], device=place.device)
            inside = ((place >= low - MARGIN) & (place < low + tile + MARGIN)).all(1).nonzero()[:, 0]
            if len(inside) == 0:
                continue
            window, mine, to = _tile_windows(top, left, tile, size)
            y0, x0, h, w = window
            local, weights = _corners_in_tile(pixels.uv[inside], size, window)
            found, known = conjugate_gradients(
                values[inside],
                local,
                weights,
                pixels.weight[inside],
                out[:, y0 : y0 + h, x0 : x0 + w].flatten(1).T,
                rounds,
                tie,
            )
            out[(slice(None), *to)] = found.T.reshape(-1, h, w)[(slice(None), *mine)]
            visibility[to] = known.view(h, w)[mine]
    return Unwrapped(out, visibility.clamp(max=1))


class _TileWindows(NamedTuple):
    """Where a tile is solved, with a margin around it (top, left, height, width); the tile's rows and columns
    in there, and in the texture."""

    window: tuple[int, int, int, int]
    mine: tuple[slice, slice]
    to: tuple[slice, slice]


def _tile_windows(top: int, left: int, tile: int, size: int) -> _TileWindows:
    """Return the window of one tile, cut at the texture's border."""
    y0, x0 = max(0, top - 2 * MARGIN), max(0, left - 2 * MARGIN)
    y1, x1 = min(size, top + tile + 2 * MARGIN), min(size, left + tile + 2 * MARGIN)
    return _TileWindows(
        (y0, x0, y1 - y0, x1 - x0),
        (slice(top - y0, min(size, top + tile) - y0), slice(left - x0, min(size, left + tile) - x0)),
        (slice(top, top + tile), slice(left, left + tile)),
    )


def conjugate_gradients(
    values: Float[Tensor, "n c"],
    local: Int[Tensor, " m"],
    weights: Float[Tensor, "n 4"],
    believed: Float[Tensor, " n"],
    start: Float[Tensor, "t c"],
    rounds: int,
    tie: float,
) -> tuple[Float[Tensor, "t c"], Float[Tensor, " t"]]:
    """Run conjugate gradients with a diagonal preconditioner; also sum the weights at every texel."""
    n, count = len(values), len(start)
    root = believed.sqrt()[:, None]
    sampling, gathering = sampling_matrices(local, weights * root, count)
    zero = torch.zeros(count, dtype=values.dtype, device=values.device)
    known = zero.index_add(0, local, (weights * believed[:, None]).reshape(-1))
    diagonal = (zero.index_add(0, local, (weights**2 * believed[:, None]).reshape(-1)) + tie)[:, None]
    x = start.to(values).clone()
    r = gathering @ (values * root - sampling @ x)
    z = r / diagonal
    p, rz = z, (r * z).sum(0)
    for _ in range(rounds if n else 0):
        q = gathering @ (sampling @ p) + tie * p
        step = rz / (p * q).sum(0).clamp(min=1e-20)
        x, r = x + step * p, r - step * q
        z = r / diagonal
        new = (r * z).sum(0)
        p, rz = z + new / rz.clamp(min=1e-20) * p, new
    return x, known


def sampling_matrices(
    local: Int[Tensor, " m"], weights: Float[Tensor, "n 4"], count: int
) -> tuple[Tensor, Tensor]:
    """Build the sparse matrix of pixels from texels, four a row, and its transpose."""
    import warnings

    n, flat = len(weights), weights.reshape(-1)
    order = torch.argsort(local, stable=True)
    ends = torch.bincount(local, minlength=count).cumsum(0)
    rows = torch.cat([ends.new_zeros(1), ends])
    begins = torch.arange(0, 4 * n + 1, 4, device=local.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse matrices a beta
        forth = torch.sparse_csr_tensor(begins, local, flat, (n, count), check_invariants=False)
        back = torch.sparse_csr_tensor(rows, order // 4, flat[order], (count, n), check_invariants=False)
    return forth, back


def solve_by_gradient(
    values: Float[Tensor, "n c"],
    pixels: Pixels,
    size: int,
    start: Float[Tensor, "c t t"],
    steps: int = 400,
    rate: float = 0.02,
    tie: float = TIE,
) -> Float[Tensor, "c t t"]:
    """Solve as the paper does, for comparison: Adam on the texture through differentiable rendering."""
    from headcast.render.texture import sample_texture

    texture = start.clone().requires_grad_(True)
    follow = torch.optim.Adam([texture], rate)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(follow, steps)
    for _ in range(steps):
        follow.zero_grad()
        off = sample_texture(texture.permute(1, 2, 0), pixels.uv, mode="bilinear") - values
        loss = (off.square() * pixels.weight[:, None]).sum() + tie * (texture - start).square().sum()
        loss.backward()
        follow.step()
        slower.step()
    return texture.detach()


def is_covered(visibility: Float[Tensor, "t t"], least: float = 0.05) -> Bool[Tensor, "t t"]:
    """Mask texels that pixels cover well enough."""
    return visibility > least
