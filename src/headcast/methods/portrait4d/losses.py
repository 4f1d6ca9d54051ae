"""The terms of Portrait4D-v2's Eq. 2 and Eq. 5, and the discriminator of the adversarial one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, softplus

from headcast.methods.portrait4d.network import Picture
from headcast.nets.triplane import sample_planes
from headcast.priors.encoder.infer import face_crops
from headcast.priors.encoder.network import Encoder

__all__ = [
    "Discriminator",
    "Target",
    "fooling",
    "gradient_penalty",
    "planes_apart",
    "reconstruction",
    "shrunk",
    "telling",
]


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


def reconstruction(drawn: Picture, target: Target, encoder: Encoder) -> dict[str, Tensor]:
    """L1, perceptual, identity, depth and opacity terms, unweighted means over the batch.

    The volume's own picture is held to the target as well, as in EG3D's dual training. Depth counts where the
    target's coverage is full.
    """
    image, truth = drawn.image, target.image
    small = shrunk(truth, drawn.raw.shape[-1])
    share = target.whole.to(image)
    kept = share / share.sum().clamp(min=1) * (share.sum() > 0)
    off, off_raw = (image - truth).abs(), (drawn.raw - small).abs()
    if target.weight is not None:
        off, off_raw = off * target.weight, off_raw * shrunk(target.weight, off_raw.shape[-1])
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
        behind = shrunk(target.background, drawn.behind.shape[-1])
        out["behind"] = (drawn.behind - behind).abs().mean()
    if target.alpha is not None:
        alpha = shrunk(target.alpha, drawn.alpha.shape[-1])
        out["opacity"] = (drawn.alpha - alpha).abs().mean()
        if target.depth is not None:
            solid = alpha > 0.98
            depth = shrunk(target.depth, drawn.depth.shape[-1]) / alpha.clamp(min=0.5)
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


def shrunk(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Means over the pixels of a coarser grid."""
    if x.shape[-1] % side == 0:
        return avg_pool2d(x, x.shape[-1] // side)
    return interpolate(x, (side, side), mode="bilinear", antialias=True)


class Discriminator(nn.Module):
    """Judges a picture together with the volume's own, enlarged (EG3D's dual discrimination)."""

    def __init__(self, side: int, width: int = 32, most: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, width, 1)]
        n = side
        while n > 4:
            after = min(2 * width, most)
            layers += [Half(width, after)]
            width, n = after, n // 2
        self.body = nn.Sequential(*layers)
        self.out = nn.Sequential(
            nn.Conv2d(width + 1, width, 3, 1, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(width * n * n, 1)
        )

    def forward(self, image: Float[Tensor, "b 3 h w"], raw: Float[Tensor, "b 3 n n"]) -> Float[Tensor, "b 1"]:
        """Logits that the pictures are real."""
        large = interpolate(raw, image.shape[-2:], mode="bilinear", align_corners=False)
        x = self.body(torch.cat([image, large], 1))
        spread = x.std(0, unbiased=False).mean().expand(len(x), 1, *x.shape[2:])
        return self.out(torch.cat([x, spread], 1))


class Half(nn.Module):
    """A residual block that halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, inputs, 3, 1, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Features at half the size."""
        y = avg_pool2d(leaky_relu(self.conv1(leaky_relu(self.conv0(x), 0.2)), 0.2), 2)
        return (y + self.skip(avg_pool2d(x, 2))) * 0.5**0.5


def gradient_penalty(
    judge: Discriminator, image: Float[Tensor, "b 3 h w"], raw: Float[Tensor, "b 3 n n"]
) -> Float[Tensor, ""]:
    """R1: mean squared gradient of the judgement by real pictures; always in single precision."""
    image, raw = image.detach().float().requires_grad_(), raw.detach().float().requires_grad_()
    with torch.enable_grad(), torch.autocast(image.device.type, enabled=False):
        found = torch.autograd.grad(judge(image, raw).sum(), [image, raw], create_graph=True)
    return sum((g.square().sum((1, 2, 3)).mean() for g in found), torch.zeros([], device=image.device))


def planes_apart(
    planes: Float[Tensor, "b 3 f h w"], teacher: Float[Tensor, "b 3 f h w"], points: Float[Tensor, "b n 3"],
    side: float,
) -> Float[Tensor, ""]:  # fmt: skip
    """L_T of Eq. 2: L1 between two tri-planes' features at points of the cube of side ``side``."""
    mine, its = (sample_planes(p.float(), points, side) for p in (planes, teacher))
    return (mine - its).abs().mean()


def fooling(logits: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """The generator's side of the non-saturating loss."""
    return softplus(-logits).mean()


def telling(real: Float[Tensor, "b 1"], made: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """The discriminator's side."""
    return softplus(-real).mean() + softplus(made).mean()
