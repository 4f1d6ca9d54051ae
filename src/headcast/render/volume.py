"""Volume rendering of radiance fields along rays: stratified samples, importance samples, mid-point rule.

By default the quadrature is EG3D's, which Portrait4D and InvertAvatar keep: densities and colours are
averaged between neighbouring samples, the density goes through softplus(x - 1), and no ray ends in an
opaque wall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera

__all__ = [
    "RayMarchOutput",
    "Rays",
    "importance_depths",
    "query_field",
    "ray_march",
    "rays_of",
    "rays_through",
    "render_rays",
    "shifted_softplus",
    "stratified_depths",
]

Field = Callable[[Float[Tensor, "b n 3"]], tuple[Float[Tensor, "b n 1"], Float[Tensor, "b n c"]]]
"""Points in the world to density logits and colours."""
Activation = Callable[[Float[Tensor, "*n"]], Float[Tensor, "*n"]]
"""Density logits to densities, per world unit; not negative."""


@dataclass(frozen=True)
class Rays:
    """Rays of b images, r each, in the world.

    Attributes:
        origin, direction: (b, r, 3); directions have unit length.
        near, far: (b, 1) distances between which the volume lies.
    """

    origin: Float[Tensor, "b r 3"]
    direction: Float[Tensor, "b r 3"]
    near: Float[Tensor, "b 1"]
    far: Float[Tensor, "b 1"]

    def at(self, depth: Float[Tensor, "b r s"]) -> Float[Tensor, "b r s 3"]:
        """Compute the points at distances along the rays."""
        return self.origin[:, :, None] + depth[..., None] * self.direction[:, :, None]

    def __getitem__(self, part: slice) -> Rays:
        return Rays(self.origin[:, part], self.direction[:, part], self.near, self.far)


@dataclass(frozen=True)
class RayMarchOutput:
    """Accumulated values along rays.

    Attributes:
        colour: (b, r, c) weighted sum of colours, over the background where one was given.
        depth: (b, r) weighted mean distance; the nearest sample's where nothing was met.
        transmittance: (b, r) fraction of light that passes through: 1 - sum of weights.
        weights: (b, r, s-1) of the intervals between samples.
        depths: (b, r, s) distances of the samples.
    """

    colour: Float[Tensor, "b r c"]
    depth: Float[Tensor, "b r"]
    transmittance: Float[Tensor, "b r"]
    weights: Float[Tensor, "b r t"]
    depths: Float[Tensor, "b r s"]


def rays_of(
    cameras: list[Camera],
    side: int,
    radius: float,
    scale: float = 1.0,
    *,
    near: float | None = None,
    far: float | None = None,
) -> Rays:
    """Cast rays through the pixel centres of ``side``² images of the cameras.

    Arguments as those of :func:`rays_through`.
    """
    K = torch.stack([c.K for c in cameras])
    poses = torch.stack([c.cam_from_world for c in cameras])
    size = torch.tensor([[float(c.width), float(c.height)] for c in cameras])
    return rays_through(K, poses, size, side, radius, scale, near=near, far=far)


def rays_through(
    K: Float[Tensor, "b 3 3"],
    cam_from_world: Float[Tensor, "b 4 4"],
    size: Float[Tensor, "b 2"],
    side: int,
    radius: float,
    scale: float = 1.0,
    *,
    near: float | None = None,
    far: float | None = None,
) -> Rays:
    """Cast rays through the pixel centres of ``side``² images, row by row, around the world's origin.

    Args:
        K, cam_from_world: OpenCV, metres; intrinsics in pixels of images of ``size`` (width, height).
        radius: of a ball around the origin that holds the volume, world units of the field.
        scale: world units of the field per metre of the cameras.
        near, far: where the volume begins and ends, in world units relative to the origin's distance along
            the view axis (near is negative); by default ``-radius`` and ``radius``.
    """
    R, t = cam_from_world[:, :3, :3], cam_from_world[:, :3, 3] * scale
    pixel = (torch.arange(side, device=K.device) + 0.5) / side
    v, u = torch.meshgrid(pixel, pixel, indexing="ij")
    at = torch.stack([u, v], -1).reshape(1, -1, 2) * size.to(K)[:, None]
    xy = (at - K[:, None, :2, 2]) / torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)[:, None]
    ray = torch.cat([xy, torch.ones_like(xy[..., :1])], -1) @ R  # rows times R: Rᵀ applied
    direction = torch.nn.functional.normalize(ray, dim=-1)
    origin = (-t[:, None] @ R).expand_as(direction)
    middle = t[:, 2:].abs()
    near, far = -radius if near is None else near, radius if far is None else far
    return Rays(origin, direction, middle + near, middle + far)


def shifted_softplus(density: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Activate density logits as EG3D does: softplus(x - 1)."""
    return torch.nn.functional.softplus(density - 1)


def stratified_depths(
    rays: Rays, count: int, jitter: Float[Tensor, "b r s"] | float
) -> Float[Tensor, "b r s"]:
    """Space ``count`` distances evenly, near to far, each moved on by ``jitter`` (0..1) of an interval."""
    at = torch.linspace(0, 1, count, device=rays.origin.device)
    span = rays.far - rays.near
    even = rays.near[:, None] + at * span[:, None]
    even = even.expand(-1, rays.origin.shape[1], -1)
    return even + jitter * (span / (count - 1))[:, None]


def ray_march(
    density: Float[Tensor, "b r s"],
    colour: Float[Tensor, "b r s c"],
    depths: Float[Tensor, "b r s"],
    *,
    activation: Activation = shifted_softplus,
    background: Float[Tensor, "*b c"] | None = None,
) -> RayMarchOutput:
    """March along rays: composite by the mid-point rule.

    Args:
        density: logits; the mean of two neighbours goes through ``activation``.
        background: colour behind the volume, (b, r, c) or what broadcasts to it, weighted with the
            transmittance; by default nothing.
    """
    apart = depths.diff(dim=-1)
    middle = (depths[..., :-1] + depths[..., 1:]) / 2
    colour = (colour[:, :, :-1] + colour[:, :, 1:]) / 2
    density = activation((density[..., :-1] + density[..., 1:]) / 2)
    alpha = 1 - torch.exp(-density * apart)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha + 1e-10], -1), -1)[..., :-1]
    weights = alpha * through
    total = weights.sum(-1)
    depth = torch.where(total > 0, (weights * middle).sum(-1) / total.clamp(min=1e-12), depths[..., 0])
    depth = depth.clamp(min=depths.min(), max=depths.max())
    gathered, transmittance = (weights[..., None] * colour).sum(-2), 1 - total
    if background is not None:
        gathered = gathered + transmittance[..., None] * background
    return RayMarchOutput(
        colour=gathered, depth=depth, transmittance=transmittance, weights=weights, depths=depths
    )


def importance_depths(
    depths: Float[Tensor, "b r s"], weights: Float[Tensor, "b r t"], u: Float[Tensor, "*b n"]
) -> Float[Tensor, "b r n"]:
    """Sample distances where a first march met density: the inverse of the smoothed weights' distribution.

    Args:
        u: numbers in 0..1, ascending for an ascending result.
    """
    b, r, _ = depths.shape
    wide = torch.nn.functional.max_pool1d(weights.detach(), 2, 1, padding=1)
    smooth = torch.nn.functional.avg_pool1d(wide, 2, 1) + 0.01
    middle = (depths[..., :-1] + depths[..., 1:]) / 2
    probability = smooth[..., 1:-1] + 1e-5
    cdf = torch.cumsum(probability / probability.sum(-1, keepdim=True), -1)
    cdf = torch.cat([torch.zeros_like(cdf[..., :1]), cdf], -1)
    u = u.expand(b, r, -1).contiguous()
    above = torch.searchsorted(cdf.contiguous(), u, right=True)
    below = (above - 1).clamp(min=0)
    above = above.clamp(max=cdf.shape[-1] - 1)
    c0, c1 = cdf.gather(-1, below), cdf.gather(-1, above)
    d0, d1 = middle.gather(-1, below), middle.gather(-1, above)
    width = c1 - c0
    width = torch.where(width < 1e-5, torch.ones_like(width), width)
    return d0 + (u - c0) / width * (d1 - d0)


def render_rays(
    field: Field,
    rays: Rays,
    coarse: int,
    fine: int,
    jitter: bool = False,
    *,
    activation: Activation = shifted_softplus,
    background: Float[Tensor, "*b c"] | None = None,
) -> RayMarchOutput:
    """March over coarse samples and importance samples, sorted together.

    Args:
        jitter: samples lie anywhere in their intervals (torch's global random numbers), else in the middle.
        activation, background: as for :func:`ray_march`.
    """
    b, r, _ = rays.origin.shape
    device = rays.origin.device

    def uniform(n: int) -> Tensor:
        return torch.rand(b, r, n, device=device)

    depths = stratified_depths(rays, coarse, uniform(coarse) if jitter else 0.5)
    density, colour = query_field(field, rays, depths)
    if not fine:
        return ray_march(density, colour, depths, activation=activation, background=background)
    with torch.no_grad():
        first = ray_march(density, colour, depths, activation=activation)
        u = uniform(fine) if jitter else torch.linspace(0, 1, fine, device=device)
        more = importance_depths(depths, first.weights, u)
    density2, colour2 = query_field(field, rays, more)
    depths, order = torch.cat([depths, more], -1).sort(dim=-1)
    density = torch.cat([density, density2], -1).gather(-1, order)
    colour = torch.cat([colour, colour2], -2)
    colour = colour.gather(-2, order[..., None].expand(-1, -1, -1, colour.shape[-1]))
    return ray_march(density, colour, depths, activation=activation, background=background)


def query_field(
    field: Field, rays: Rays, depths: Float[Tensor, "b r s"]
) -> tuple[Float[Tensor, "b r s"], Float[Tensor, "b r s c"]]:
    """Evaluate density logits and colours of a field at distances along rays."""
    b, r, s = depths.shape
    density, colour = field(rays.at(depths).reshape(b, r * s, 3))
    return density.reshape(b, r, s), colour.reshape(b, r, s, -1)
