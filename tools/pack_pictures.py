"""Packs pictures to train the restorer on: python tools/pack_pictures.py ../shared/data restorer.safetensors

Uint8 pictures in one safetensors file, so that a machine with nothing but torch can train: ``sharp/*`` are
the 512² portraits whose rights are clear, ``native/*`` the colour public-domain ones at their 225x275, and
``synth/*`` synthetic heads of the training split at 512². Only rows of the ``train`` split (``--split``). The
file is private: it holds photographs of real people.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tyro.conf import Positional

from headcast.image import load_image
from headcast.synth import SynthConfig
from headcast.synth.stream import make_batch
from headcast.weights import save_tensors

SHARP = 3.0  # sharpness_half_loss: what is lost by halving a face twice this size
ELSEWHERE = 1_000_000  # the first synthetic person of the validation file


@dataclass(frozen=True)
class Pack:
    """What goes into the file."""

    data: Positional[Path]
    out: Positional[Path]
    split: Literal["train", "validation"] = "train"
    synth: Annotated[int, tyro.conf.arg(help="synthetic heads")] = 160
    seed: int = 7


def rows(path: Path) -> dict[str, dict[str, str]]:
    """A table by id."""
    with path.open() as f:
        return {r["id"]: r for r in csv.DictReader(f)}


def portraits(data: Path, split: str) -> dict[str, np.ndarray]:
    """Photographs of the split by name."""
    allowed = json.loads((data / "splits.json").read_text())[split]
    large, small = (rows(data / d / f"{d}.csv") for d in ("portraits", "portraits_pd"))
    found = {}
    for name in allowed:
        if name in large and float(large[name]["sharpness_half_loss"]) >= SHARP:
            found[f"sharp/{name}"] = load_image(data / "portraits" / f"{name}.jpg").rgb
        elif name in small and small[name]["black_and_white"] == "no":
            found[f"native/{name}"] = load_image(data / "portraits_pd" / f"{name}.jpg").rgb
    return found


def heads(count: int, split: str, seed: int) -> dict[str, np.ndarray]:
    """Synthetic heads of the training split; for validation, other people."""
    config = SynthConfig(split="train", size=512, people=4)
    first = 0 if split == "train" else ELSEWHERE
    found = {}
    for start in range(first, first + count, 4):
        rgb = make_batch(config, torch.device("cpu"), seed, np.arange(start, start + 4)).rgb
        for k, picture in enumerate((rgb * 255).round().to(torch.uint8).numpy()):
            found[f"synth/{start + k}"] = picture
        print(f"{start + 4 - first} of {count} synthetic heads", flush=True)
    return found


def main(pack: Pack) -> None:
    """Writes the file."""
    found = portraits(pack.data, pack.split) | heads(pack.synth, pack.split, pack.seed)
    kinds = {k: sum(name.startswith(k) for name in found) for k in ("sharp", "native", "synth")}
    tensors = {name: torch.from_numpy(x) for name, x in found.items()}
    save_tensors(pack.out, tensors, {"what": json.dumps(kinds), "split": pack.split, "seed": str(pack.seed)})
    print(kinds)


if __name__ == "__main__":
    main(tyro.cli(Pack))
