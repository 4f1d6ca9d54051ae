"""Random smooth warps of images, for the equivariance loss: an affine map and a thin-plate spline.

As in the First Order Motion Model (Siarohin et al. 2019, supplement), which the paper follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from headcast.methods.facevid2vid.blocks import single_precision

__all__ = ["Warp", "random_warp"]

AFFINE_DEVIATION, SPLINE_DEVIATION = 0.05, 0.005
"""Standard deviations of the affine map's entries and of the spline's weights."""
CONTROL_POINTS = 5
"""Of the spline, along each side of the image."""
EPS = 1e-6


@dataclass(frozen=True)
class Warp:
    """Warps T of a batch, in coordinates of -1 (first pixel's middle) to 1 (last pixel's), x right, y down.

    Attributes:
        affine: T's affine part. control: the spline's control points. weights: theirs.
    """

    affine: Float[Tensor, "b 2 3"]
    control: Float[Tensor, "p 2"]
    weights: Float[Tensor, "b p 2"]

    def __call__(self, points: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
        """Map points of the warped images to the images before."""
        squared = (points[:, :, None] - self.control).square().sum(-1)
        with single_precision(points):
            moved = points @ self.affine[:, :, :2].transpose(1, 2) + self.affine[:, None, :, 2]
            return moved + 0.5 * (squared * torch.log(squared + EPS)) @ self.weights

    def image(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Warp images: the result at a point shows what the image has at T of the point."""
        h, w = image.shape[-2:]
        y, x = (torch.linspace(-1, 1, n, device=image.device, dtype=image.dtype) for n in (h, w))
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        positions = self(points.expand(len(image), -1, -1)).unflatten(1, (h, w))
        return grid_sample(image, positions, padding_mode="reflection", align_corners=True)


def random_warp(count: int, like: Tensor) -> Warp:
    """Sample warps from the global random numbers."""
    options = {"device": like.device, "dtype": like.dtype}
    identity = torch.eye(2, 3, **options)
    side = torch.linspace(-1, 1, CONTROL_POINTS, **options)
    control = torch.cartesian_prod(side, side)
    return Warp(
        identity + AFFINE_DEVIATION * torch.randn(count, 2, 3, **options),
        control,
        SPLINE_DEVIATION * torch.randn(count, len(control), 2, **options),
    )
