"""Loss terms of face-vid2vid's training (Wang et al. 2021), unweighted, with the paper's names of them.

L_P perceptual, L_G adversarial (the hinge of ``training.adversarial``, and ``feature_matching``), L_E
equivariance, L_L keypoint prior, L_H head pose, L_Δ deformation prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu

from headcast.methods.facevid2vid.blocks import AntiAliasDownsample
from headcast.methods.facevid2vid.pose import FaceMotion
from headcast.methods.facevid2vid.warps import Warp
from headcast.nets.patch_discriminator import PatchScores

__all__ = [
    "ImageDistance",
    "deformation_prior",
    "equivariance",
    "feature_matching",
    "head_pose",
    "keypoint_prior",
    "perceptual",
]

MIN_SQUARED_DISTANCE = 0.1
"""D_t: two keypoints' squared distance below which the prior pushes them apart."""
MEAN_DEPTH = 0.33
"""z_t: mean depth that the prior asks of the keypoints."""
SMALLEST = 16
"""Pixels of the smallest side at which images are compared."""


ImageDistance = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Float[Tensor, " b"]]
"""A perceptual distance of images in -1..1, one number for each pair."""


def perceptual(
    made: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"], distance: ImageDistance, levels: int = 4
) -> Float[Tensor, ""]:
    """Compute L_P: the distance of images, 0..1, at full, half, quarter, ... size, summed over the sizes."""
    total = torch.zeros([], device=made.device)
    for k in range(levels):
        if k and made.shape[-1] >> k < SMALLEST:
            break
        smaller = AntiAliasDownsample(3, 2**k).to(made)
        total = total + distance(smaller(made) * 2 - 1, smaller(truth) * 2 - 1).mean()
    return total


def feature_matching(real: Sequence[PatchScores], fake: Sequence[PatchScores]) -> Float[Tensor, ""]:
    """Compute L1 between the discriminator's features of real and generated images, mean over layers."""
    terms = [
        (a.detach() - b).abs().mean()
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r.features, f.features, strict=True)
    ]
    return torch.stack(terms).mean()


def equivariance(
    keypoints: Float[Tensor, "b k 3"], of_warped: Float[Tensor, "b k 3"], warp: Warp
) -> Float[Tensor, ""]:
    """Compute L_E: L1 in the image plane between keypoints and those of the warped image, warped back."""
    return (keypoints[..., :2] - warp(of_warped[..., :2])).abs().mean()


def keypoint_prior(keypoints: Float[Tensor, "b k 3"]) -> Float[Tensor, ""]:
    """Compute L_L: keypoints lie apart (over ordered pairs), and at a mean depth."""
    squared = (keypoints[:, :, None] - keypoints[:, None]).square().sum(-1)
    itself = torch.eye(keypoints.shape[1], device=keypoints.device, dtype=torch.bool)
    near = relu(MIN_SQUARED_DISTANCE - squared).masked_fill(itself, 0).sum((1, 2))
    return (near + (keypoints[..., 2].mean(1) - MEAN_DEPTH).abs()).mean()


def head_pose(motion: FaceMotion, truth: Float[Tensor, "b 3"]) -> Float[Tensor, ""]:
    """Compute L_H: L1 of yaw, pitch and roll, summed over the angles, radians; ``truth`` is in degrees."""
    angles = torch.stack([motion.yaw, motion.pitch, motion.roll], -1)
    return (angles - truth).abs().sum(-1).mean() * math.pi / 180


def deformation_prior(motion: FaceMotion) -> Float[Tensor, ""]:
    """Compute L_Δ: the L1 norm of the expression deformation of a keypoint, mean over keypoints."""
    return motion.expression.abs().sum(-1).mean()
