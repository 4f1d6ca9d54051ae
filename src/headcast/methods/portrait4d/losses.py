"""The terms of Portrait4D-v2's Eq. 2 and Eq. 5; the adversarial one's are in ``training.adversarial``."""

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

__all__ = ["Target", "downsample_area", "moving_parts", "planes_apart", "reconstruction"]


@dataclass(frozen=True)
class Target:
    """What a rendering is to look like.

    Attributes:
        image: (b, 3, h, w), -1..1. box: (b, 4) around the face's landmarks, pixels.
        alpha, depth: (b, 1, h, w) or None where unknown; depth along the ray, world units, 0 off the head.
        background: (b, 3, h, w), -1..1, what lies behind the head, where known.
        weight: (b, 1, h, w) of the L1 terms; None: 1 everywhere.
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
        """Targets that count by every term."""
        if self.only_perceptual is None:
            return torch.ones(len(self.image), dtype=torch.bool, device=self.image.device)
        return ~self.only_perceptual


def reconstruction(drawn: RenderOutput, target: Target, encoder: Encoder) -> dict[str, Tensor]:
    """L1, perceptual, identity, depth and opacity terms, unweighted means over the batch.

    The volume's own picture is held to the target as well, as in EG3D's dual training. Depth counts where the
    target's coverage is full.
    """
    image, truth = drawn.image, target.image
    small = downsample_area(truth, drawn.raw.shape[-1])
    share = target.whole.to(image)
    kept = share / share.sum().clamp(min=1) * (share.sum() > 0)
    off, off_raw = (image - truth).abs(), (drawn.raw - small).abs()
    if target.weight is not None:
        off, off_raw = off * target.weight, off_raw * downsample_area(target.weight, off_raw.shape[-1])
    out = {
        "l1": (off.mean((1, 2, 3)) * kept).sum(),
        "l1_raw": (off_raw.mean((1, 2, 3)) * kept).sum(),
        "perceptual": encoder.distance(image, truth).mean() + encoder.distance(drawn.raw, small).mean(),
    }
    faces = [face_crops(x, target.box) for x in (image, truth)]
    alike = (encoder.embed(faces[0]) * encoder.embed(faces[1])).sum(-1)
    out["identity"] = ((1 - alike) * kept).sum()
    if target.background is not None:
        # without it the background learns to paint the source's head, and the volume stays empty
        behind = downsample_area(target.background, drawn.behind.shape[-1])
        out["behind"] = (drawn.behind - behind).abs().mean()
    if target.alpha is not None:
        alpha = downsample_area(target.alpha, drawn.alpha.shape[-1])
        out["opacity"] = (drawn.alpha - alpha).abs().mean()
        if target.depth is not None:
            solid = alpha > 0.98
            depth = downsample_area(target.depth, drawn.depth.shape[-1]) / alpha.clamp(min=0.5)
            out["depth"] = ((drawn.depth - depth).abs() * solid).sum() / solid.sum().clamp(min=1)
    return out


def moving_parts(landmarks: Float[Tensor, "b 68 2"], side: int, more: float) -> Float[Tensor, "b 1 s s"]:
    """1, and up to ``more`` on top around mouth and eyes: what moves is small (not in the paper).

    Args:
        landmarks: iBUG's 68, pixels of a picture of ``side``².
    """
    at = torch.arange(side, device=landmarks.device) + 0.5
    size = (landmarks[:, 36:48].mean(1) - landmarks[:, 48:60].mean(1)).norm(dim=-1)  # eyes to mouth
    out = torch.zeros(len(landmarks), 1, side, side, device=landmarks.device)
    for first, end, wide in ((48, 60, 0.45), (36, 42, 0.25), (42, 48, 0.25)):
        x, y = landmarks[:, first:end].mean(1).unbind(-1)
        far = (at[None, None] - x[:, None, None]) ** 2 + (at[None, :, None] - y[:, None, None]) ** 2
        out = out + torch.exp(-far / (2 * (wide * size[:, None, None]) ** 2))[:, None]
    return 1 + more * out.clamp(max=1)


def downsample_area(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Means over the pixels of a coarser grid."""
    if x.shape[-1] % side == 0:
        return avg_pool2d(x, x.shape[-1] // side)
    return interpolate(x, (side, side), mode="bilinear", antialias=True)


def planes_apart(
    planes: Float[Tensor, "b 3 f h w"],
    teacher: Float[Tensor, "b 3 f h w"],
    points: Float[Tensor, "b n 3"],
    side: float,
) -> Float[Tensor, ""]:
    """L_T of Eq. 2: L1 between two tri-planes' features at points of the cube of side ``side``."""
    mine, its = (sample_planes(p.float(), points, side) for p in (planes, teacher))
    return (mine - its).abs().mean()
