"""Training data of the restorer: crops of clear images, as pure functions of a number."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from headcast.errors import HeadcastError

__all__ = ["GROUPS", "generator_for", "load_images", "random_crop", "render_heads"]

GROUPS = ("sharp", "native", "synth")
"""First parts of names in a file of images: see ``tools/pack_portraits.py``."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
SMALLEST_PART = 0.55  # a clear image is reduced to between this and all of its size


def generator_for(*numbers: int) -> torch.Generator:
    """Return a generator whose seed depends on all numbers."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


@lru_cache(maxsize=2)
def load_images(source: Path) -> dict[str, list[UInt8[Tensor, "h w 3"]]]:
    """Load images of a safetensors file (named ``group/name``) or a folder (all ``sharp``), by group.

    Raises:
        HeadcastError: nothing there, or not readable.
    """
    if source.is_dir():
        from headcast.image import load_image

        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        found = {f"sharp/{p.name}": torch.from_numpy(load_image(p).rgb) for p in files}
    else:
        from headcast.weights import load_tensors

        found = load_tensors(source)[0]
    groups = {
        g: [x for name, x in sorted(found.items()) if name.startswith(f"{g}/") and min(x.shape[:2]) >= 64]
        for g in GROUPS
    }
    if not any(groups.values()):
        raise HeadcastError(
            f"{source}: no images of 64 pixels or more; give a folder or a packed file of them"
        )
    return groups


def random_crop(
    image: UInt8[Tensor, "h w 3"], side: int, reduce: bool, rng: torch.Generator
) -> Float[Tensor, "3 s s"]:
    """Sample a square crop as display values 0..1: perhaps mirrored, brighter or darker, tinted.

    With ``reduce`` a part up to 1.8 times as large is downsampled: what was soft becomes sharp.
    """
    h, w = image.shape[:2]
    u = torch.rand(8, generator=rng).tolist()
    part = math.exp(u[0] * math.log(SMALLEST_PART)) if reduce else 1.0
    cut = min(h, w, round(side / part))
    y, x = int(u[1] * (h - cut + 1)), int(u[2] * (w - cut + 1))
    c = image[y : y + cut, x : x + cut].permute(2, 0, 1).float() / 255
    if cut != side:
        c = interpolate(c[None], (side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)
    if u[3] < 0.5:
        c = c.flip(-1)
    gamma = 2 ** ((u[4] - 0.5) * 1.2)
    gain = 1 + (torch.tensor(u[5:8]) - 0.5) * 0.2
    return (c.clamp_min(1e-4) ** gamma * gain[:, None, None]).clamp(0, 1)


def render_heads(
    number: int, count: int, size: int, seed: int, device: torch.device
) -> list[UInt8[Tensor, "h w 3"]]:
    """Render new synthetic heads of the training split on the training device."""
    import numpy as np

    from headcast.synth import SynthConfig
    from headcast.synth.stream import make_batch

    config = SynthConfig(size=size, people=count)
    rgb = make_batch(config, device, seed, np.arange(number * count, (number + 1) * count)).rgb
    return list((rgb * 255).round().to(torch.uint8))
