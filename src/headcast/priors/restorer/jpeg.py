"""JPEG's losses in torch, on any device: what encoding and decoding do to an image.

ITU-T T.81 (tables K.1 and K.2, 8x8 DCT) and JFIF's YCbCr, colour at half the resolution, with libjpeg's
tables for a quality. The entropy coder loses nothing and is left out.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

__all__ = ["jpeg"]

LUMINANCE = (
    16,
    11,
    10,
    16,
    24,
    40,
    51,
    61,
    12,
    12,
    14,
    19,
    26,
    58,
    60,
    55,
    14,
    13,
    16,
    24,
    40,
    57,
    69,
    56,
    14,
    17,
    22,
    29,
    51,
    87,
    80,
    62,
    18,
    22,
    37,
    56,
    68,
    109,
    103,
    77,
    24,
    35,
    55,
    64,
    81,
    104,
    113,
    92,
    49,
    64,
    78,
    87,
    103,
    121,
    120,
    101,
    72,
    92,
    95,
    98,
    112,
    100,
    103,
    99,
)
CHROMINANCE = (
    17,
    18,
    24,
    47,
    99,
    99,
    99,
    99,
    18,
    21,
    26,
    66,
    99,
    99,
    99,
    99,
    24,
    26,
    56,
    99,
    99,
    99,
    99,
    99,
    47,
    66,
    99,
    99,
    99,
    99,
    99,
    99,
    *([99] * 32),
)


def jpeg(image: Float[Tensor, "3 h w"], quality: int) -> Float[Tensor, "3 h w"]:
    """Return the image as it comes back from a JPEG file of this quality (1..100).

    Display values 0..1, rounded to 8 bits on the way in and out. Mean distance to libjpeg's: about half a
    level on photographs, one level on saturated colours.
    """
    _, h, w = image.shape
    x = (image.clamp(0, 1) * 255).round()
    x = pad(x[None], (0, -w % 16, 0, -h % 16), mode="replicate")[0]
    red, green, blue = x
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = torch.stack([(blue - y) / 1.772 + 128, (red - y) / 1.402 + 128])
    small = avg_pool2d(colour[None], 2)[0]
    y = quantize_blocks(y[None], quantization_table(LUMINANCE, quality).to(x))[0]
    small = quantize_blocks(small, quantization_table(CHROMINANCE, quality).to(x))
    cb, cr = interpolate(small[None], scale_factor=2.0, mode="bilinear")[0] - 128
    rgb = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    return (rgb.round().clamp(0, 255) / 255)[:, :h, :w]


def quantize_blocks(planes: Float[Tensor, "n h w"], steps: Float[Tensor, "8 8"]) -> Float[Tensor, "n h w"]:
    """Round the DCT coefficients of planes' blocks (0..255) to multiples of the steps, and transform back."""
    n, h, w = planes.shape
    d = dct_matrix().to(planes)
    blocks = planes.round().reshape(n, h // 8, 8, w // 8, 8).transpose(2, 3) - 128
    kept = (d @ blocks @ d.T / steps).round() * steps
    return (d.T @ kept @ d + 128).transpose(2, 3).reshape(n, h, w).round().clamp(0, 255)


@cache
def dct_matrix() -> Float[Tensor, "8 8"]:
    """Return the orthonormal DCT-II matrix."""
    k, i = torch.arange(8.0)[:, None], torch.arange(8.0)
    d = torch.cos(math.pi * (2 * i + 1) * k / 16) / 2
    d[0] /= math.sqrt(2)
    return d


def quantization_table(base: tuple[int, ...], quality: int) -> Float[Tensor, "8 8"]:
    """Return the quantization steps of a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return torch.tensor([float(min(max((b * scale + 50) // 100, 1), 255)) for b in base]).reshape(8, 8)
