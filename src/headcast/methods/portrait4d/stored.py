"""Synthetic people made before training, for machines that synthesize slower than they train.

A file holds a few people, two moments of a clip each, seen by the same cameras; with the neck's fields.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.data import CLIP_FPS, Shots, neck_field, shots_of
from headcast.methods.portrait4d.neck import NeckField
from headcast.methods.portrait4d.network import Config
from headcast.synth.config import SynthConfig
from headcast.synth.stream import make_batch

__all__ = ["People", "made_people", "read_people", "write_people"]

MOMENTS = 2
BYTES = ("head", "background", "alpha")
PARAMS = ("identity", "expression", "rotation", "translation", "neck", "jaw", "gaze")


@dataclass(frozen=True)
class People:
    """Pictures of p people, two moments, v views each; pictures in bytes, depth and fields in half precision.

    Attributes:
        head: (p, 2, v, 3, h, w) premultiplied. background, alpha: alike. depth: along rays, metres.
        K, cam_from_world: (p, v, …) cameras, the same at both moments. landmarks, face: (p, 2, 68 | 478, 3).
        fine, smooth: (p, 2, 4, n, n, n) the neck's fields. params: (p, 2) of the heads.
    """

    head: Tensor
    background: Tensor
    alpha: Tensor
    depth: Tensor
    K: Float[Tensor, "p v 3 3"]
    cam_from_world: Float[Tensor, "p v 4 4"]
    landmarks: Float[Tensor, "p 2 68 3"]
    face: Float[Tensor, "p 2 478 3"]
    fine: Tensor
    smooth: Tensor
    params: HeadParams

    @property
    def views(self) -> int:
        """Of each moment."""
        return self.head.shape[2]

    def shots(
        self, person: Int[Tensor, " b"], moment: Int[Tensor, " b"], view: Int[Tensor, " b"],
        device: torch.device, size: int = 0,
    ) -> Shots:  # fmt: skip
        """Some of the pictures; ``size``: smaller ones than are stored."""
        head, background, alpha = (
            getattr(self, k)[person, moment, view].to(device).float() / 255 for k in BYTES
        )
        depth = self.depth[person, moment, view].to(device).float()
        K = self.K[person, view].to(device)
        whole = head.shape[-1]
        if size and size != whole:
            if whole % size:
                raise HeadcastError(f"pictures of {whole} pixels can't be shrunk to {size}")
            by = whole // size
            K = K * torch.tensor([[1 / by], [1 / by], [1.0]], device=device)
            covered = torch.nn.functional.avg_pool2d((depth > 0).float(), by)
            depth = torch.nn.functional.avg_pool2d(depth, by) / covered.clamp(min=1e-6)
            head, background, alpha = (
                torch.nn.functional.avg_pool2d(x, by) for x in (head, background, alpha)
            )
        image = (head + (1 - alpha) * background) * 2 - 1
        return Shots(
            image, head, background, alpha, depth, K, self.cam_from_world[person, view].to(device),
            self.landmarks[person, moment].to(device), self.face[person, moment].to(device),
            self.params[person, moment].to(device), self.field(person, moment, device),
        )  # fmt: skip

    def drawn(self, count: int, number: int, seed: int, device: torch.device, size: int) -> list[Shots]:
        """Two pictures of ``count`` people by the dice: one moment, two views; colours drawn anew."""
        dice = np.random.default_rng([seed, number, 5])
        who = torch.from_numpy(dice.integers(0, len(self.head), count))
        moment = torch.from_numpy(dice.integers(0, MOMENTS, count))
        views = [
            torch.from_numpy(v) for v in dice.permuted(np.tile(np.arange(self.views), (count, 1)), axis=1).T
        ]
        gains = self.gains(dice, count, device)
        return [self.shots(who, moment, v, device, size).recoloured(*gains) for v in views[:2]]

    def clips(self, count: int, number: int, seed: int, device: torch.device, size: int) -> list[Shots]:
        """The two moments of ``count`` people by the dice, and the first once more as the second's camera
        sees it; all before the first picture's background."""
        dice = np.random.default_rng([seed, number, 6])
        who = torch.from_numpy(dice.integers(0, len(self.head), count))
        view, other = (torch.from_numpy(dice.integers(0, self.views, count)) for _ in range(2))
        first = torch.from_numpy(dice.integers(0, MOMENTS, count))
        gains = self.gains(dice, count, device)
        seen = ((first, view), (1 - first, other), (first, other))
        shots = [self.shots(who, m, v, device, size).recoloured(*gains) for m, v in seen]
        return [shots[0], *(s.before(shots[0].background) for s in shots[1:])]

    @staticmethod
    def gains(dice: np.random.Generator, count: int, device: torch.device) -> list[Tensor]:
        """Of heads and backgrounds: brightness, and a little of each channel."""
        both = dice.uniform(0.75, 1.2, (2, count, 1)) * dice.uniform(0.92, 1.08, (2, count, 3))
        return list(torch.from_numpy(both).float().to(device))

    def field(self, person: Tensor, moment: Tensor, device: torch.device) -> NeckField:
        """The neck's field of those heads."""
        fine, smooth = (x[person, moment].to(device).float() for x in (self.fine, self.smooth))
        return NeckField.stored(fine, smooth, Config.cube)


def made_people(
    numbers: Int[np.ndarray, " p"], views: int, size: int, split: str, seed: int, device: torch.device, *,
    apart: float = 1 / CLIP_FPS, expression: float = 1.0, still_neck: bool = False,
) -> dict[str, Tensor]:  # fmt: skip
    """Those people of the synthetic stream, as tensors to be stored.

    Args:
        apart: seconds between the two moments. expression: scales expressions.
        still_neck: the neck is the same at both.
    """
    p = len(numbers)
    config = SynthConfig(
        split=split, size=size, people=p, frames=MOMENTS, views=views, clip=True, fps=1 / apart,  # type: ignore[arg-type]
        framing="portrait4d", layers=2, expression=expression, still_neck=still_neck,
    )  # fmt: skip
    shots = shots_of(make_batch(config, device, seed, numbers))
    every = (p, MOMENTS, views)
    out = {k: (getattr(shots, k).clamp(0, 1) * 255 + 0.5).byte().unflatten(0, every) for k in BYTES}
    out["depth"] = shots.depth.half().unflatten(0, every)
    for k in ("K", "cam_from_world"):
        out[k] = getattr(shots, k).unflatten(0, every)[:, 0]
    for k in ("landmarks", "face"):
        out[k] = getattr(shots, k).unflatten(0, every)[:, :, 0]
    params = shots.params[slice(None, None, views)]
    field = neck_field(params, Config())
    out |= {"fine": field.fine.half(), "smooth": field.smooth.half()}
    out |= {f"params.{k}": getattr(params, k) for k in PARAMS}
    per_moment = {k for k in out if k.startswith("params.") or k in ("fine", "smooth")}
    return {k: (v.unflatten(0, (p, MOMENTS)) if k in per_moment else v).contiguous() for k, v in out.items()}


def write_people(path: Path, tensors: dict[str, Tensor]) -> None:
    """A file of the set, whole or not at all."""
    from headcast.weights import save_tensors

    save_tensors(path, tensors, {})


@cache
def read_people(folder: str) -> People:
    """All files of a folder.

    Raises:
        HeadcastError: there is none, or one is not of this kind.
    """
    from headcast.weights import load_tensors

    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise HeadcastError(f"{folder}: no people here; make them with tools/build_portrait4d_people.py")
    parts = [load_tensors(f)[0] for f in files]
    names = [f.name for f in fields(People) if f.name != "params"] + [f"params.{k}" for k in PARAMS]
    for file, part in zip(files, parts, strict=True):
        if set(part) != set(names) or any(part[k].shape[1:] != parts[0][k].shape[1:] for k in names):
            raise HeadcastError(f"{file}: not a file of people like {files[0].name}; delete it")
    joined = {k: torch.cat([p[k] for p in parts]) for k in names}
    params = HeadParams(**{k: joined.pop(f"params.{k}") for k in PARAMS})
    return People(**joined, params=params)
