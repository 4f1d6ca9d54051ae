"""Loss terms of Portrait4D-v2's Eq. 2 and Eq. 5; the adversarial ones are in ``training.adversarial``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from headcast.methods.portrait4d.network import RenderOutput
from headcast.nets.triplane import sample_planes
from headcast.priors.encoder.infer import face_crops
from headcast.priors.encoder.network import Encoder

__all__ = ["LossTarget", "downsample_area", "moving_region_weights", "reconstruction", "triplane_distance"]


@dataclass(frozen=True)
class LossTarget:
    """What a rendering is compared with.

    Attributes:
        image: (b, 3, h, w), -1..1. box: (b, 4) around the face's landmarks, pixels.
        alpha, depth: (b, 1, h, w) or None where unknown; depth along the ray, world units, 0 off the head.
        background: (b, 3, h, w), -1..1, where known.
        weight: (b, 1, h, w), per pixel, of the L1 terms; None: 1 everywhere.
        only_perceptual: (b,) pseudo targets, which count by the perceptual term alone (Sec. 4.3).
    """

    image: Float[Tensor, "b 3 h w"]
    box: Float[Tensor, "b 4"]
    alpha: Float[Tensor, "b 1 h w"] | None = None
    depth: Float[Tensor, "b 1 h w"] | None = None
    only_perceptual: Bool[Tensor, " b"] | None = None
    background: Float[Tensor, "b 3 h w"] | None = None
    weight: Float[Tensor, "b 1 h w"] | None = None

    @property
    def whole(self) -> Bool[Tensor, " b"]:
        """Mask of the targets to which every term applies."""
        if self.only_perceptual is None:
            return torch.ones(len(self.image), dtype=torch.bool, device=self.image.device)
        return ~self.only_perceptual


def reconstruction(output: RenderOutput, target: LossTarget, encoder: Encoder) -> dict[str, Tensor]:
    """Compute L1, perceptual, identity, depth and opacity terms, unweighted means over the batch.

    The raw volume rendering is compared with the target as well, as in EG3D's dual training. Depth counts
    where the target's coverage is full.
    """
    image, truth = output.image, target.image
    small = downsample_area(truth, output.image_raw.shape[-1])
    whole = target.whole.to(image)
    weights = whole / whole.sum().clamp(min=1) * (whole.sum() > 0)
    error, error_raw = (image - truth).abs(), (output.image_raw - small).abs()
    if target.weight is not None:
        error = error * target.weight
        error_raw = error_raw * downsample_area(target.weight, error_raw.shape[-1])
    out = {
        "l1": (error.mean((1, 2, 3)) * weights).sum(),
        "l1_raw": (error_raw.mean((1, 2, 3)) * weights).sum(),
        "perceptual": encoder.distance(image, truth).mean()
        + encoder.distance(output.image_raw, small).mean(),
    }
    faces = [face_crops(x, target.box) for x in (image, truth)]
    similarity = (encoder.embed(faces[0]) * encoder.embed(faces[1])).sum(-1)
    out["identity"] = ((1 - similarity) * weights).sum()
    _volume_terms(output, target, out)
    return out


def _volume_terms(output: RenderOutput, target: LossTarget, out: dict[str, Tensor]) -> None:
    """Add the terms of background, opacity and depth where the target has them."""
    if target.background is not None:
        # without it the background learns to paint the source's head, and the volume stays empty
        background = downsample_area(target.background, output.background.shape[-1])
        out["behind"] = (output.background - background).abs().mean()
    if target.alpha is not None:
        alpha = downsample_area(target.alpha, output.alpha.shape[-1])
        out["opacity"] = (output.alpha - alpha).abs().mean()
        if target.depth is not None:
            solid = alpha > 0.98
            depth = downsample_area(target.depth, output.depth.shape[-1]) / alpha.clamp(min=0.5)
            out["depth"] = ((output.depth - depth).abs() * solid).sum() / solid.sum().clamp(min=1)


def moving_region_weights(
    landmarks: Float[Tensor, "b 68 2"], side: int, more: float
) -> Float[Tensor, "b 1 s s"]:
    """Compute pixel weights: 1, and up to ``more`` in addition around mouth and eyes (not in the paper).

    What moves is small in the image.

    Args:
        landmarks: iBUG's 68, pixels of an image of ``side``².
    """
    centres = torch.arange(side, device=landmarks.device) + 0.5
    size = (landmarks[:, 36:48].mean(1) - landmarks[:, 48:60].mean(1)).norm(dim=-1)  # eyes to mouth
    out = torch.zeros(len(landmarks), 1, side, side, device=landmarks.device)
    for first, end, wide in ((48, 60, 0.45), (36, 42, 0.25), (42, 48, 0.25)):
        x, y = landmarks[:, first:end].mean(1).unbind(-1)
        distance2 = (centres[None, None] - x[:, None, None]) ** 2 + (
            centres[None, :, None] - y[:, None, None]
        ) ** 2
        out = out + torch.exp(-distance2 / (2 * (wide * size[:, None, None]) ** 2))[:, None]
    return 1 + more * out.clamp(max=1)


def downsample_area(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Downsample to a side of ``side`` pixels by averaging areas."""
    if x.shape[-1] % side == 0:
        return avg_pool2d(x, x.shape[-1] // side)
    return interpolate(x, (side, side), mode="bilinear", antialias=True)


def triplane_distance(
    planes: Float[Tensor, "b 3 f h w"],
    teacher: Float[Tensor, "b 3 f h w"],
    points: Float[Tensor, "b n 3"],
    side: float,
) -> Float[Tensor, ""]:
    """Compute L_T of Eq. 2: L1 between two tri-planes' features at points of the cube of side ``side``."""
    student, target = (sample_planes(p.float(), points, side) for p in (planes, teacher))
    return (student - target).abs().mean()
