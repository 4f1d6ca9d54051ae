"""Stored synthetic people (``synth.stored``) with the neck's fields of Portrait4D-v2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from headcast.head.params import HeadParams
from headcast.methods.portrait4d.data import CLIP_FPS, FRAMING, NeckShots, neck_field
from headcast.methods.portrait4d.network import Config
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots
from headcast.synth.stored import MOMENTS, StoredShots

__all__ = ["MOMENTS", "People", "read_people", "synthesize_people", "write_people"]


@dataclass(frozen=True)
class People(StoredShots[NeckShots]):
    """Stored images of people; ``extra`` are the neck's fields ``fine`` and ``smooth``, in half precision."""

    kind: ClassVar[type[Shots]] = NeckShots
    extra_names: ClassVar[tuple[str, ...]] = ("fine", "smooth")
    maker: ClassVar[str] = "tools/build_portrait4d_people.py"

    @classmethod
    def extra_of(cls, params: HeadParams) -> dict[str, Tensor]:
        """Compute the neck's fields of heads."""
        field = neck_field(params, Config())
        return {"fine": field.fine.half(), "smooth": field.smooth.half()}


def synthesize_people(
    numbers: Int[np.ndarray, " p"],
    views: int,
    size: int,
    split: str,
    seed: int,
    device: torch.device,
    *,
    apart: float = 1 / CLIP_FPS,
    expression: float = 1.0,
    still_neck: bool = False,
) -> dict[str, Tensor]:
    """Synthesize those people of the stream, as tensors to be stored.

    Args:
        apart: seconds between the two moments. expression: scales expressions.
        still_neck: the neck is the same at both.
    """
    config = SynthConfig(
        split=split,  # type: ignore[arg-type]
        size=size,
        people=len(numbers),
        frames=MOMENTS,
        views=views,
        clip=True,
        fps=1 / apart,
        framing=FRAMING,
        layers=2,
        expression=expression,
        still_neck=still_neck,
    )
    return People.make(config, numbers, seed, device)


def write_people(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a file of the set, whole or not at all."""
    from headcast.weights import save_tensors

    save_tensors(path, tensors, {})


@cache
def read_people(folder: str) -> People:
    """Read all files of a folder, once a process.

    Raises:
        HeadcastError: there is none, or one is not of this kind.
    """
    return People.read(Path(folder))
