"""Render Gaussians in plain torch: slow, the specification of the fast backends.

A Gaussian is a mean (world, metres), log-scales, a quaternion (wxyz, need not be unit), an opacity logit and
a colour. Conventions are those of 3D Gaussian splatting (Kerbl et al. 2023), all constants below:

* EWA: the perspective map is linearized at the mean, whose direction is first clamped to the image plus
  ``GUARD`` of the half field of view on each side.
* The 2D covariance grows by ``DILATION`` px². In antialiased mode the opacity is multiplied by
  sqrt(undilated det / dilated det), whose square stays above ``MIN_COMPENSATION`` (Mip-Splatting; Yu et al.
  2024).
* A Gaussian contributes to a pixel if its alpha at the centre, capped at ``MAX_ALPHA``, is at least
  ``MIN_ALPHA``. There is no other cut-off, so the image doesn't depend on tiles.
* Front to back by camera z, ties by index; a pixel is finished before the Gaussian that would bring its
  transmittance below ``MIN_TRANSMITTANCE``.
* Gaussians not farther than ``near``, or whose footprint overflows, are not rendered and get no gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.render.types import SplatImage
from headcast.rotation import quaternion_to_matrix

__all__ = ["Footprints", "Intrinsics", "accumulate", "composite", "footprints", "render"]

DILATION = 0.3  # px², added to both diagonal entries of the 2D covariance
GUARD = 0.3  # of the half field of view, beyond the image border
MIN_ALPHA = 1.0 / 255.0
MAX_ALPHA = 0.999  # as gsplat; the first implementation had 0.99
MIN_TRANSMITTANCE = 1e-4
MIN_COMPENSATION = 2.5e-5  # of det ratio, before the square root
MAX_DETERMINANT = 1e30  # px⁴; beyond, float32 overflows
TILE = 16  # px, only to bound memory


class Intrinsics(NamedTuple):
    """Camera parameters for projection: focal lengths, principal point and the clamp of x/z and y/z."""

    fx: float
    fy: float
    cx: float
    cy: float
    left: float
    right: float
    top: float
    bottom: float

    @staticmethod
    def of(camera: Camera) -> Intrinsics:
        """Extract the intrinsics of a camera (skew is ignored)."""
        (fx, _, cx), (_, fy, cy), _ = camera.K.double().tolist()
        gx, gy = GUARD * camera.width / (2 * fx), GUARD * camera.height / (2 * fy)
        return Intrinsics(
            fx,
            fy,
            cx,
            cy,
            -cx / fx - gx,
            (camera.width - cx) / fx + gx,
            -cy / fy - gy,
            (camera.height - cy) / fy + gy,
        )


@dataclass(frozen=True)
class Footprints:
    """Visible Gaussians projected to the image, nearest first.

    ``index`` into the input; ``mean`` px; ``conic`` entries xx, xy, yy of the inverse covariance; ``opacity``
    with the compensation; ``depth`` camera z; ``half_extent`` half width and height (px) of the box outside
    of which alpha is below ``MIN_ALPHA``.
    """

    index: Int[Tensor, "n"]
    mean: Float[Tensor, "n 2"]
    conic: Float[Tensor, "n 3"]
    opacity: Float[Tensor, "n"]
    depth: Float[Tensor, "n"]
    half_extent: Float[Tensor, "n 2"]


def footprints(
    means: Float[Tensor, "n 3"],
    log_scales: Float[Tensor, "n 3"],
    quaternions: Float[Tensor, "n 4"],
    opacity_logits: Float[Tensor, "n"],
    camera: Camera,
    antialiased: bool,
    near: float,
) -> Footprints:
    """Project the visible Gaussians and sort them by depth; differentiable."""
    with torch.no_grad():
        visible = camera.to_camera(means)[:, 2] > near
        index = visible.nonzero()[:, 0]
        projected = _project(
            means[index], log_scales[index], quaternions[index], opacity_logits[index], camera, antialiased
        )
        is_valid = (
            (projected[3] >= MIN_ALPHA) & (projected[5] < MAX_DETERMINANT) & projected[1].isfinite().all(-1)
        )
        index, depth = index[is_valid], projected[4][is_valid]
        index = index[torch.argsort(depth, stable=True)]
    mean, conic, covariance, opacity, depth, _ = _project(
        means[index], log_scales[index], quaternions[index], opacity_logits[index], camera, antialiased
    )
    with torch.no_grad():
        half_extent = (
            2.0 * torch.log(opacity / MIN_ALPHA).clamp_min(0.0)[:, None] * covariance[:, [0, 2]]
        ).sqrt()
    return Footprints(
        index=index, mean=mean, conic=conic, opacity=opacity, depth=depth, half_extent=half_extent
    )


class _Projection(NamedTuple):
    """Mean, conic, dilated covariance, opacity, depth, and determinant of that covariance."""

    mean: Tensor
    conic: Tensor
    covariance: Tensor
    opacity: Tensor
    depth: Tensor
    determinant: Tensor


def _project(
    means: Tensor, log_scales: Tensor, quaternions: Tensor, logits: Tensor, camera: Camera, antialiased: bool
) -> _Projection:
    """Project Gaussians by EWA splatting, with the dilation and its compensation."""
    k = Intrinsics.of(camera)
    x, y, z = camera.to_camera(means).unbind(-1)
    mean = torch.stack([k.fx * x / z + k.cx, k.fy * y / z + k.cy], -1)
    tx, ty = (x / z).clamp(k.left, k.right), (y / z).clamp(k.top, k.bottom)
    axes = _image_axes(means, log_scales, quaternions, camera, z, k, tx, ty)
    u, v = axes.unbind(1)
    a, b, c = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    # Cauchy-Binet: the determinant without cancellation
    undilated_det = torch.linalg.cross(u, v).square().sum(-1)
    det = undilated_det + DILATION * (a + c) + DILATION**2
    a, c = a + DILATION, c + DILATION
    opacity = torch.sigmoid(logits)
    if antialiased:
        opacity = opacity * (undilated_det / det).clamp_min(MIN_COMPENSATION).sqrt()
    conic = torch.stack([c, -b, a], -1) / det[:, None]
    return _Projection(mean, conic, torch.stack([a, b, c], -1), opacity, z, det)


def _image_axes(
    means: Tensor,
    log_scales: Tensor,
    quaternions: Tensor,
    camera: Camera,
    z: Tensor,
    k: Intrinsics,
    tx: Tensor,
    ty: Tensor,
) -> Tensor:
    """Return the Gaussians' axes, scaled, projected to the image: (n, 2, 3)."""
    zero = torch.zeros_like(z)
    J = torch.stack([k.fx / z, zero, -k.fx * tx / z, zero, k.fy / z, -k.fy * ty / z], -1).reshape(-1, 2, 3)
    return (
        J
        @ camera.cam_from_world.to(means)[:3, :3]
        @ quaternion_to_matrix(quaternions)
        * log_scales.exp()[:, None]
    )


def accumulate(footprint: Footprints, colours: Float[Tensor, "n c"], width: int, height: int) -> SplatImage:
    """Blend front to back: premultiplied colour, alpha, and alpha times expected depth. Tile by tile."""
    f = footprint
    values = [colours[f.index], torch.ones_like(f.depth)[:, None], f.depth[:, None]]
    rows = torch.cat([f.mean, f.conic, f.opacity[:, None], *values], 1)
    low, high = (f.mean - f.half_extent - 1).detach(), (f.mean + f.half_extent + 1).detach()
    xs, ys = (torch.arange(n, device=rows.device).to(rows) + 0.5 for n in (width, height))
    by_tile = _gaussians_by_tile(width, height, rows, low, high)
    # gathered for all tiles at once: a gather's backward costs as much as all Gaussians
    tiles = rows[torch.cat(by_tile)].split([len(n) for n in by_tile])
    corners = [(x, y) for y in range(0, height, TILE) for x in range(0, width, TILE)]
    blended = [
        _blend(t, xs[x : x + TILE], ys[y : y + TILE]) for t, (x, y) in zip(tiles, corners, strict=True)
    ]
    columns = -(-width // TILE)
    bands = [torch.cat(blended[k : k + columns], 1) for k in range(0, len(blended), columns)]
    image = torch.cat(bands, 0)
    return SplatImage(image[..., :-2], image[..., -2], image[..., -1])


def _gaussians_by_tile(width: int, height: int, rows: Tensor, low: Tensor, high: Tensor) -> list[Tensor]:
    """Return the indices of the Gaussians whose boxes overlap each tile, row by row."""
    starts = [torch.arange(0, n, TILE, device=rows.device) for n in (width, height)]
    column, row = ((low[:, a, None] < s + TILE) & (high[:, a, None] > s) for a, s in enumerate(starts))
    return [(c & r).nonzero()[:, 0] for r in row.T for c in column.T]


def _blend(rows: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Compute values (h, w, c) at the pixel centres; rows: mean, conic, opacity, values; nearest first."""
    return (_weights(rows[:, :6], xs, ys).T @ rows[:, 6:]).reshape(len(ys), len(xs), -1)


def _weights(rows: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Compute blend weights (n, pixels) at pixel centres; rows: mean, conic, opacity; nearest first."""
    mx, my, conic_xx, conic_xy, conic_yy, opacity = (e[:, None, None] for e in rows.unbind(1))
    dx, dy = xs - mx, ys[:, None] - my
    power = -0.5 * (conic_xx * dx * dx + conic_yy * dy * dy) - conic_xy * dx * dy
    alpha = (opacity * power.exp()).clamp_max(MAX_ALPHA).flatten(1)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
    transmittance_behind = torch.cumprod(1.0 - alpha, 0)
    transmittance = torch.cat([torch.ones_like(transmittance_behind[:1]), transmittance_behind[:-1]])
    return torch.where(transmittance_behind >= MIN_TRANSMITTANCE, alpha * transmittance, 0.0)


def render(
    means: Float[Tensor, "n 3"],
    log_scales: Float[Tensor, "n 3"],
    quaternions: Float[Tensor, "n 4"],
    opacity_logits: Float[Tensor, "n"],
    colours: Float[Tensor, "n c"],
    camera: Camera,
    background: Float[Tensor, "..."] | None,
    antialiased: bool,
    near: float,
) -> SplatImage:
    """Render colour (over ``background``, or straight without one), alpha and expected depth."""
    footprint = footprints(means, log_scales, quaternions, opacity_logits, camera, antialiased, near)
    return composite(*accumulate(footprint, colours, camera.width, camera.height), background)


def composite(
    rgb: Float[Tensor, "h w c"],
    alpha: Float[Tensor, "h w"],
    depth: Float[Tensor, "h w"],
    background: Float[Tensor, "..."] | None,
) -> SplatImage:
    """Composite the result of :func:`accumulate` over the background, or unpremultiply; divide the depth."""
    coverage = torch.where(alpha > 0, alpha, math.inf)
    rgb = rgb / coverage[..., None] if background is None else rgb + (1.0 - alpha)[..., None] * background
    return SplatImage(rgb, alpha, depth / coverage)
