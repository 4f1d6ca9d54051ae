"""Synthetic images for training on a machine that synthesizes slower than it trains.

python tools/build_face_images.py --out faces --people 300 --seed 101 [--split test] [--frames 4] [--size 256]

Four people a file; what exists is kept, so that a stopped run goes on. Training reads the folder with
``headcast train parser --folders pictures`` or ``headcast train encoder --folder pictures``.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np

from headcast.device import pick_device
from headcast.files import atomic_path
from headcast.priors.images import FaceImages, synthesized

AT_ONCE = 4


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--split", default="train", choices=("train", "test"))
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="auto")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for first in range(0, a.people, AT_ONCE):
        path = a.out / f"{first // AT_ONCE:05d}.npz"
        if path.exists():
            continue
        numbers = np.arange(first, min(first + AT_ONCE, a.people))
        made = synthesized(a.split, a.seed, numbers, a.frames, a.size, pick_device(a.device))
        with atomic_path(path) as temporary, temporary.open("wb") as f:
            np.savez(f, **{x.name: getattr(made, x.name).cpu().numpy() for x in fields(FaceImages)})
        print(f"{first + len(numbers)} of {a.people} people")


if __name__ == "__main__":
    main()
