"""Training images: whole views of synthetic heads, and windows of the same views at greater detail."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.errors import HeadcastError
from headcast.image import linear_to_srgb
from headcast.synth.batch import SynthBatch
from headcast.synth.config import LABELS, Split, SynthConfig
from headcast.synth.rng import CounterRng
from headcast.synth.stream import make_batch
from headcast.synth.views import MIDDLE, Views, looking

__all__ = [
    "SKIN",
    "HeadViews",
    "camera_normals",
    "make_looks",
    "micro_of",
    "read_looks",
    "truth_maps",
    "write_looks",
]

SKIN = tuple(LABELS.index(n) for n in ("skin", "nose", "ears", "neck", "lips", "brows", "facial_hair"))
"""Labels of pixels whose maps are learned."""
WINDOWS = 3
FRAME_STEP = 1 << 42
"""Stride between the view numbers of looks at one person."""
FACTORS = (2.0, 4.0)
"""How many times finer than the whole view windows are by default; trainers vary the ratio more."""


@dataclass(frozen=True)
class HeadViews:
    """N views of heads: each whole and in W windows of it; channels first, all maps 0..1.

    Attributes:
        whole, windows: 16 channels: RGB (sRGB) 3, UV 2, geometry normal 3 (camera frame, +Y up, (n + 1) / 2;
            UV and normal 0 off the head), albedo 3 (sRGB), micronormal 3 (see ``micro_of``), specular 1,
            skin 1.
        place: (N, W, 3) of each window: left and top edge and side as fractions of the whole view's side.
    """

    whole: Float[Tensor, "n 16 h h"]
    windows: Float[Tensor, "n w 16 h h"]
    place: Float[Tensor, "n w 3"]

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: Tensor | slice) -> HeadViews:
        """Return some of the looks, by index or mask."""
        return HeadViews(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def joined(cls, parts: list[HeadViews]) -> HeadViews:
        """Concatenate several batches of looks."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def camera_normals(
    normal: Float[Tensor, "n h w 3"], cam_from_world: Float[Tensor, "n 4 4"]
) -> Float[Tensor, "n h w 3"]:
    """Turn world normals into the camera's frame: +X right, +Y up, +Z to the camera."""
    turned = torch.einsum("nij,nhwj->nhwi", cam_from_world[:, :3, :3], normal)
    return turned * torch.tensor([1.0, -1.0, -1.0], device=normal.device)


def micro_of(normal: Float[Tensor, "*n 3"], geometric: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Express fine normals relative to geometric ones, both in the camera's frame.

    Its frame does not know of any UV layout: z is the geometric normal, x the camera's right laid on the
    surface, y = z x x. ``unwrap.rotate_micronormals`` brings it into the tangent frame of a layout.
    """
    right = torch.zeros_like(geometric)
    right[..., 0] = 1
    t = normalize(right - (right * geometric).sum(-1, keepdim=True) * geometric, dim=-1)
    b = torch.linalg.cross(geometric, t)
    parts = [(x * normal).sum(-1) for x in (t, b, geometric)]
    return normalize(torch.stack(parts, -1), dim=-1)


def truth_maps(b: SynthBatch) -> Float[Tensor, "n 16 h h"]:
    """Stack the channels of ``Looks`` from a synthetic batch."""
    fine, smooth = (camera_normals(x, b.views.cam_from_world) for x in (b.normal, b.geometric_normal))
    on = ((b.uv[..., 0] >= 0) & (b.alpha > 0.5)).float()[..., None]
    skin = torch.isin(b.label, torch.tensor(SKIN, device=b.label.device, dtype=b.label.dtype))[..., None] * on
    maps = [
        b.rgb,
        b.uv.clamp(min=0) * on,
        (smooth + 1) / 2 * on,
        linear_to_srgb(b.albedo),
        (micro_of(fine, smooth) + 1) / 2,
        b.specular[..., None],
        skin,
    ]
    return torch.cat(maps, -1).permute(0, 3, 1, 2).clamp(0, 1).contiguous()


def frame_views(rng: CounterRng, size: int) -> Views:
    """Sample views of heads from about the front, filling most of the image."""
    yaw, pitch = 0.2 * rng.normal("uhr yaw", clip=2.0), 0.1 * rng.normal("uhr pitch", clip=2.0)
    fov = torch.deg2rad(rng.uniform("uhr fov", low=11.0, high=30.0))
    fraction = rng.uniform("uhr share", low=0.7, high=1.0)
    at = rng.normal("uhr at", 3, clip=2.0) * torch.tensor([0.008, 0.008, 0.0], device=rng.device)
    middle = torch.tensor(MIDDLE, device=rng.device)
    radius = 0.25 / (fraction * 2 * torch.tan(fov / 2)) + 0.05
    return looking(middle + at, yaw, pitch, 0.05 * rng.normal("uhr roll"), radius, fov, size)


def add_windows(
    views: Views, rng: CounterRng, count: int, factors: tuple[float, float] = FACTORS
) -> tuple[Views, Float[Tensor, "n w 3"]]:
    """Append to each view ``count`` windows of it around places on the face; also return where they lie."""
    n, size = len(views.K), float(views.size)
    factor = rng.uniform("uhr factor", count, low=math.log(factors[0]), high=math.log(factors[1])).exp()
    side = 1 / factor
    spread = rng.normal("uhr window", count, 2, clip=1.6) * 0.14 + 0.5
    corner = (spread - side[..., None] / 2).clamp(min=0).minimum(1 - side[..., None])
    K = views.K[:, None].repeat(1, count + 1, 1, 1)
    K[:, 1:, :2] *= factor[..., None, None]
    K[:, 1:, :2, 2] -= corner * (size * factor)[..., None]
    pose = views.cam_from_world[:, None].expand(n, count + 1, 4, 4)
    place = torch.cat([corner, side[..., None]], -1)
    return Views(K.flatten(0, 1), pose.flatten(0, 1), views.size), place


def make_looks(
    split: Split,
    seed: int,
    numbers: Int[np.ndarray, " p"],
    size: int,
    texture: int,
    device: torch.device,
    windows: int = WINDOWS,
    frames: int = 1,
    factors: tuple[float, float] = FACTORS,
) -> HeadViews:
    """Render looks at some synthetic people, in PBR mode.

    Args:
        windows: of each look. frames: looks at each person, each with its own light, face and view.
        factors: how many times finer than the whole view windows are.
    """
    config = SynthConfig(
        split=split,
        size=size,
        texture=texture,
        people=len(numbers),
        frames=frames,
        views=windows + 1,
        pbr=True,
        layers=2,
    )
    every = (np.asarray(numbers)[:, None] + np.arange(frames) * FRAME_STEP).reshape(-1)
    rows = np.stack([np.full(len(every), 1 if split == "test" else 0), every], 1).astype(np.int64)
    rng = CounterRng(rows, seed, device)
    views, place = add_windows(frame_views(rng, size), rng, windows, factors)
    maps = truth_maps(make_batch(config, device, seed, numbers, views=views))
    maps = maps.view(len(every), windows + 1, *maps.shape[1:])
    return HeadViews(maps[:, 0], maps[:, 1:], place)


def write_looks(looks: HeadViews, path: Path) -> None:
    """Write looks to a half-precision safetensors file."""
    from headcast.weights import save_tensors

    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(
        path, {f.name: getattr(looks, f.name).half().cpu() for f in fields(looks)}, {"what": "looks"}
    )


@cache
def read_looks(folder: str) -> HeadViews:
    """Read all files of a folder, in half precision.

    Raises:
        HeadcastError: there are none.
    """
    files = sorted(p for p in Path(folder).glob("*.safetensors"))
    if not files:
        raise HeadcastError(
            f"{folder}: no looks (*.safetensors) here; make them with tools/build_uhr_looks.py"
        )
    return HeadViews.joined([read_file_of_looks(p) for p in files])


def read_file_of_looks(path: Path) -> HeadViews:
    """Read one file of looks.

    Raises:
        HeadcastError: it is damaged, or holds something else.
    """
    from headcast.weights import load_tensors

    tensors = load_tensors(path)[0]
    if set(tensors) != {f.name for f in fields(HeadViews)}:
        raise HeadcastError(f"{path}: not a file of looks; make it with tools/build_uhr_looks.py")
    return HeadViews(**tensors)


def as_float(looks: HeadViews, device: torch.device) -> HeadViews:
    """Convert to single precision on a device."""
    return replace(looks, **{f.name: getattr(looks, f.name).to(device).float() for f in fields(looks)})
