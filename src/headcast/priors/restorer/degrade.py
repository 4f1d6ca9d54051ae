"""Blind degradation of a clear image: blur, size, noise and JPEG; a pure function of a seed.

GFPGAN (Wang et al. 2021), Eq. 11: x = [(y * k) down r + n] JPEG q, brought back to the size of y; kernels,
noises and ways of resizing vary as in Real-ESRGAN (Wang et al. 2021, section 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from headcast.priors.restorer.jpeg import jpeg

__all__ = ["Degradation", "blurred", "degrade"]

Range = tuple[float, float]
SMALLEST = 8  # pixels of a reduced side


@dataclass(frozen=True)
class Degradation:
    """Ranges that an image's degradation is sampled from.

    Each value is the mean of two uniform samples, independent of the others: the middle is likelier
    than the ends.

    Attributes:
        blur: standard deviation of the Gaussian kernel, pixels of the full size.
        down: reduction.
        noise: standard deviation after reduction, levels of 255.
        quality: of JPEG; ``plain``: fraction of images that were never compressed.
        uneven: fraction of kernels that are longer in one direction (by up to 3).
        light: fraction of images that are hardly degraded (no reduction, a tenth of blur and noise), so that
            good images are left as they are.
    """

    blur: Range = (0.2, 4.0)
    down: Range = (1.0, 5.5)
    noise: Range = (0.0, 12.0)
    quality: Range = (40.0, 100.0)
    plain: float = 0.1
    uneven: float = 0.4
    light: float = 0.08

    def at_scale(self, scale: float) -> Degradation:
        """Return the ranges for images with faces ``scale`` times as large as in a 512² portrait."""
        top = max(1.0, self.down[1] * scale)
        return replace(self, blur=(self.blur[0] * scale, self.blur[1] * scale), down=(self.down[0], top))


def degrade(
    image: Float[Tensor, "3 h w"], seed: int, ranges: Degradation | None = None
) -> Float[Tensor, "3 h w"]:
    """Degrade an image (display values 0..1); its size and device stay.

    All choices and the noise come from a generator of this seed on the CPU, so that they are the same on
    every device.
    """
    ranges = ranges or Degradation()
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(16, generator=rng).tolist()
    middle = torch.rand(2, 4, generator=rng).mean(0).tolist()
    light = 0.1 if u[0] < ranges.light else 1.0
    sigma = lerp_range(ranges.blur, middle[0]) * light
    stretch = 1 + 2 * u[3] if u[2] < ranges.uneven else 1.0
    x = blurred(image, sigma * stretch**0.5, sigma / stretch**0.5, math.pi * u[4])
    h, w = image.shape[-2:]
    down = lerp_range(ranges.down, middle[1]) if light == 1.0 else 1.0
    small = (max(SMALLEST, round(h / down)), max(SMALLEST, round(w / down)))
    if small != (h, w):
        x = downsample(x, small, u[6])
    x = x + make_noise(x, lerp_range(ranges.noise, middle[2]) * light / 255, u[8], u[9], rng)
    if u[10] >= ranges.plain:
        worst = ranges.quality[0] if light == 1.0 else max(90.0, ranges.quality[0])
        x = jpeg(x, round(lerp_range((worst, ranges.quality[1]), middle[3])))
    else:
        x = (x.clamp(0, 1) * 255).round() / 255
    if small != (h, w):
        x = interpolate(x[None], (h, w), mode="bicubic" if u[12] < 0.7 else "bilinear")[0]
    return x.clamp(0, 1)


def lerp_range(range_: Range, u: float) -> float:
    """Interpolate a range linearly by u in 0..1."""
    return range_[0] + (range_[1] - range_[0]) * u


def blurred(image: Float[Tensor, "3 h w"], long: float, short: float, angle: float) -> Float[Tensor, "3 h w"]:
    """Blur with a Gaussian of two standard deviations (pixels), the long one at an angle to the rows.

    By its transfer function exp(-wᵀ Σ w / 2), so that the cost does not grow with the kernel. Edges are
    repeated outside.
    """
    reach = max(1, math.ceil(3 * max(long, short)))
    x = pad(image[None], (reach, reach, reach, reach), mode="replicate")[0]
    h, w = x.shape[-2:]
    v = 2 * math.pi * torch.fft.fftfreq(h, device=x.device)[:, None]
    u = 2 * math.pi * torch.fft.rfftfreq(w, device=x.device)
    along, across = u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)
    transfer = torch.exp(-0.5 * ((along * long) ** 2 + (across * short) ** 2))
    x = torch.fft.irfft2(torch.fft.rfft2(x) * transfer, (h, w))
    return x[:, reach : h - reach, reach : w - reach]


def downsample(x: Float[Tensor, "3 h w"], size: tuple[int, int], u: float) -> Float[Tensor, "3 i j"]:
    """Downsample by area means (half of the time), or bilinearly or bicubically with antialiasing."""
    if u < 0.5:
        return interpolate(x[None], size, mode="area")[0]
    mode = "bilinear" if u < 0.75 else "bicubic"
    return interpolate(x[None], size, mode=mode, antialias=True)[0]


def make_noise(
    x: Float[Tensor, "3 h w"], sigma: float, grey: float, shot: float, rng: torch.Generator
) -> Float[Tensor, "3 h w"]:
    """Make noise of a mean standard deviation.

    It is grey in 40 % of images; in 30 % it grows with the root of the light, as photon noise does in its
    Gaussian limit.
    """
    n = torch.randn(x.shape, generator=rng)
    n = n[:1].expand_as(n) if grey < 0.4 else n
    n = n.to(x) * sigma
    return n * (x.clamp(0, 1) / x.mean().clamp_min(0.05)).sqrt() if shot < 0.3 else n
