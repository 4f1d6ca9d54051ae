"""Synthetic people for headcast train portrait4d.* on a machine that synthesizes slower than it trains.

python tools/build_portrait4d_people.py --out people --people 400 [--first 0] [--views 4] [--size 128]
    [--seed 404] [--apart .67] [--expression 1] [--still-neck]

Four people a file; what exists is kept, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from headcast.device import pick_device
from headcast.methods.portrait4d.data import CLIP_FPS
from headcast.methods.portrait4d.people import synthesize_people, write_people

AT_ONCE = 4


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=404)
    parser.add_argument("--split", default="train", choices=("train", "test"))
    parser.add_argument("--apart", type=float, default=1 / CLIP_FPS, help="seconds between the two moments")
    parser.add_argument("--expression", type=float, default=1.0, help="scales expressions")
    parser.add_argument(
        "--still-neck", action="store_true", help="the two moments differ by expression alone"
    )
    parser.add_argument("--device", default="auto")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    device = pick_device(a.device)
    for first in range(0, a.people, AT_ONCE):
        path = a.out / f"{first // AT_ONCE:05d}.safetensors"
        if not path.exists():
            numbers = np.arange(first, min(first + AT_ONCE, a.people)) + a.first
            made = synthesize_people(
                numbers,
                a.views,
                a.size,
                a.split,
                a.seed,
                device,
                apart=a.apart,
                expression=a.expression,
                still_neck=a.still_neck,
            )
            write_people(path, made)
            print(f"{first + len(numbers)} of {a.people} people", flush=True)


if __name__ == "__main__":
    main()
