"""Synthetic looks for the recipes ``uhr.*``, made once where rendering while training is too slow.

    python tools/build_uhr_looks.py --out looks --people 200 [--split train] [--size 256] [--texture 1024]
        [--windows 3] [--frames 1] [--factors 2 4]

A file a person; those that exist are left alone, so that several processes may share a folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from headcast.methods.uhr_texture.data import FACTORS, WINDOWS, make_looks, write_looks


def main() -> None:
    """Writes one file after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--texture", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=606)
    parser.add_argument("--windows", type=int, default=WINDOWS, help="of each look; stage 1 needs none")
    parser.add_argument("--frames", type=int, default=1, help="looks at each person, each in its own light")
    parser.add_argument("--factors", type=float, nargs=2, default=FACTORS, help="how much finer windows are")
    args = parser.parse_args()
    for number in range(args.first, args.first + args.people):
        path = args.out / f"{args.split}_{number:05d}.safetensors"
        if path.exists():
            continue
        looks = make_looks(
            args.split,
            args.seed,
            np.array([number]),
            args.size,
            args.texture,
            torch.device("cpu"),
            args.windows,
            args.frames,
            tuple(args.factors),
        )
        write_looks(looks, path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
