"""Images of heads with labels to train on: synthesized when asked for, or from a folder made before."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.array_files import load_arrays
from headcast.errors import HeadcastError
from headcast.parsing import parsing

__all__ = ["IGNORE", "FaceImageSource", "FaceImages", "synthesized"]

MAX_FILE_BYTES = 1 << 33

IGNORE = 255
"""Label of a pixel of which nothing is known."""


@dataclass(frozen=True)
class FaceImages:
    """N square images of one size.

    Attributes:
        rgb: display values. alpha: coverage by the person, 255 is all. background: what is behind.
        label: numbers of ``synth.config.LABELS``, or ``IGNORE``.
        box: x0, y0, x1, y1 around the 478 landmarks, pixels.
        person: the same number for images of the same person.
    """

    rgb: UInt8[Tensor, "n h h 3"]
    alpha: UInt8[Tensor, "n h h"]
    background: UInt8[Tensor, "n h h 3"]
    label: UInt8[Tensor, "n h h"]
    box: Float[Tensor, "n 4"]
    person: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: Tensor | slice) -> FaceImages:
        """Return the images at an index."""
        return FaceImages(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device) -> FaceImages:
        """Move all tensors to another device."""
        return FaceImages(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @classmethod
    def joined(cls, parts: list[FaceImages]) -> FaceImages:
        """Concatenate several batches of images."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class FaceImageSource:
    """Where synthetic people come from.

    Attributes:
        split: of ``headcast.synth``. seed: of it. frames: unrelated moments of each person.
        size: pixels a side when synthesized.
        folder: images made before (``tools/build_face_images.py``); empty: made when asked for, without end.
    """

    split: str = "train"
    seed: int = 0
    frames: int = 4
    size: int = 256
    folder: str = ""

    def people(self, rng: torch.Generator, count: int, device: torch.device) -> FaceImages:
        """Sample ``count`` people with all their frames, person after person."""
        if self.folder:
            stored = load_stored(self.folder)
            numbers = torch.unique(stored.person)
            chosen = numbers[torch.randperm(len(numbers), generator=rng)[:count]]
            at = (stored.person[None] == chosen[:, None]).nonzero()[:, 1]
            return stored[at].to(device)
        first = int(torch.randint(0, 2**40, (), generator=rng))
        numbers = np.arange(first, first + count)
        return synthesized(self.split, self.seed, numbers, self.frames, self.size, device)


def synthesized(
    split: str, seed: int, numbers: Int[np.ndarray, " p"], frames: int, size: int, device: torch.device
) -> FaceImages:
    """Synthesize moments of people, each with its own light, expression and camera."""
    from headcast.synth import SynthConfig, make_batch

    config = SynthConfig(split=split, size=size, texture=size, people=len(numbers), frames=frames)  # type: ignore[arg-type]
    b = make_batch(config, device, seed, numbers)
    low, high = b.landmarks478.amin(1), b.landmarks478.amax(1)
    return FaceImages(
        rgb=to_uint8(b.rgb),
        alpha=to_uint8(b.alpha),
        background=to_uint8(b.background),
        label=b.label,
        box=torch.cat([low, high], 1),
        person=b.number,
    )


def to_uint8(x: Tensor) -> Tensor:
    """Convert 0..1 to bytes, rounding."""
    return (x.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


@cache
def load_stored(folder: str) -> FaceImages:
    """Load all images of a folder of ``*.npz`` into memory.

    Raises:
        HeadcastError: there is none, or one cannot be read.
    """
    files = stored_files(folder, "images", "build_face_images")
    return FaceImages.joined([read_images(p) for p in files])


def stored_files(folder: str, what: str, tool: str) -> list[Path]:
    """List the ``*.npz`` of a folder that a tool made, in order of their names.

    Raises:
        HeadcastError: there is none.
    """
    files = sorted(p for p in Path(folder).glob("*.npz") if not p.name.startswith("."))
    if not files:
        raise HeadcastError(f"{folder}: no {what} (*.npz) here; make them with tools/{tool}.py")
    return files


def read_images(path: Path) -> FaceImages:
    """Read one file of images."""
    names = [f.name for f in fields(FaceImages)]
    data = load_arrays(path, names, "delete it and make it again", limit=MAX_FILE_BYTES)
    with parsing(path, "not a file of images", "delete it and make it again"):
        return FaceImages(**{name: torch.from_numpy(data[name]) for name in names})
