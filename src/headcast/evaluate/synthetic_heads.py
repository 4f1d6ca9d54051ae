"""Held-out synthetic heads: photos from about the front and true views, in one pose and one light each.

Heads are of the split ``test`` (identities, skin, hair and lights of no training), at rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from headcast.camera import Camera
from headcast.image import linear_to_srgb, srgb_to_linear

__all__ = ["PHOTO_YAWS", "SyntheticHead", "has_hair", "render_head"]

PHOTO_YAWS = (0.0, 20.0, -20.0, 45.0, -45.0)
"""Yaws of the photos in order, degrees; a single photo is from the front."""
DISTANCE = 1.15
"""Camera to head, metres."""
MIN_ALPHA = 1e-3
"""Coverage below which a colour is not divided by it."""


@dataclass(frozen=True)
class SyntheticHead:
    """One synthetic head with photos and true views.

    Attributes:
        photos: (P, H, W, 3) with a background, of ``PHOTO_YAWS``.
        images: (V, H, W, 3) the true views: with their backgrounds, or colours not multiplied by alpha.
        alpha: (V, H, W) coverage in 0..1, in steps of 1/255 where ``images`` have no background.
        regions: masks (V, H, W) by name: ``foreground``, ``hair``, and ``head``: skin or hair, not clothes.
        cameras: of the true views. points: (68, 3) landmarks in the world, metres.
    """

    photos: UInt8[np.ndarray, "p h w 3"]
    images: UInt8[np.ndarray, "v h w 3"]
    alpha: Float[np.ndarray, "v h w"]
    regions: dict[str, Bool[np.ndarray, "v h w"]]
    cameras: list[Camera]
    points: Float[np.ndarray, "68 3"]


@torch.no_grad()
def render_head(
    number: int, seed: int, size: int, field: float, photos: int, yaws: Sequence[float], shared: bool
) -> SyntheticHead:
    """Render a head of the test split.

    Args:
        size: pixels a side. field: of view, degrees.
        photos: how many of ``PHOTO_YAWS``. yaws: of the true views, degrees.
        shared: one background before all photos and none in the true views; else each has its own.
    """
    from headcast.synth import SynthConfig, make_batch
    from headcast.synth.config import LABELS
    from headcast.synth.views import MIDDLE, looking

    yaw = torch.deg2rad(torch.tensor([*PHOTO_YAWS[:photos], *yaws]))
    n, none = len(yaw), torch.zeros(len(yaw))
    views = looking(
        torch.tensor(MIDDLE).expand(n, 3), yaw, none, none, none + DISTANCE, none + math.radians(field), size
    )
    config = SynthConfig(split="test", size=size, people=1, views=n, expression=0.0, background=not shared)
    batch = make_batch(config, torch.device("cpu"), seed, np.array([number]), views=views)
    alpha, label = batch.alpha[photos:].numpy(), batch.label[photos:].numpy()
    if shared:
        images = before_one_background(batch.rgb, batch.alpha, photos, number, seed)
        alpha = np.round(alpha * 255).astype(np.float32) / 255
    else:
        images = to_display_bytes(batch.rgb)
    person = batch.alpha[photos:].numpy() > 0.5
    off = [LABELS.index("background"), LABELS.index("clothes")]
    return SyntheticHead(
        photos=images[:photos],
        images=images[photos:],
        alpha=alpha,
        regions={
            "foreground": person,
            "hair": person & (label == LABELS.index("hair")),
            "head": person & ~np.isin(label, off),
        },
        cameras=[views.camera(k) for k in range(photos, n)],
        points=batch.landmarks68_world[0].double().numpy(),
    )


def before_one_background(
    rgb: Float[Tensor, "n h w 3"], alpha: Float[Tensor, "n h w"], photos: int, number: int, seed: int
) -> UInt8[np.ndarray, "n h w 3"]:
    """Put the first images before one background; divide the colours of the others by their coverage."""
    from headcast.synth.backgrounds import draw_backgrounds
    from headcast.synth.rng import CounterRng

    colour, a = srgb_to_linear(rgb), alpha[..., None]  # before black
    behind = draw_backgrounds(CounterRng(np.array([[number]]), seed, torch.device("cpu")), rgb.shape[1])
    with_background = (colour[:photos] + (1 - a[:photos]) * behind).clamp(0, 1)
    straight = (colour[photos:] / a[photos:].clamp(min=MIN_ALPHA)).clamp(0, 1)
    return to_display_bytes(linear_to_srgb(torch.cat([with_background, straight])))


def to_display_bytes(x: Float[Tensor, "*n c"]) -> UInt8[np.ndarray, "*n c"]:
    """Convert display values 0..1 to 0..255."""
    return (x * 255).round().byte().numpy()


def has_hair(number: int, seed: int, size: int) -> bool:
    """Tell whether a head of the test split wears more hair than a buzz cut."""
    from headcast.synth import SynthConfig
    from headcast.synth.appearance import BUZZED, draw_appearance
    from headcast.synth.assets import load_assets
    from headcast.synth.people import draw_people, person_rng

    config, cpu = SynthConfig(split="test", size=size, people=1, expression=0.0), torch.device("cpu")
    assets = load_assets(cpu, config.texture_size)
    numbers = person_rng(config, np.array([number]), seed, cpu)
    person = draw_people(config, numbers, assets.head, len(assets.skin.components))
    appearance = draw_appearance(config, numbers, person, assets.hair_weights(config.split, person.feminine))
    return int(appearance.hair[0]) > BUZZED
