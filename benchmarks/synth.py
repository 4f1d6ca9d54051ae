"""How fast synthetic heads with all truths are made, and what that costs beside bare rasterization.

python -m benchmarks.synth [--size 256] [--people 4] [--repeats 5] [--device auto]

The yardstick, run in the same process, is rasterizing the same heads without hair (triangle, barycentrics,
depth) at the same number of samples: everything else - painting, hair, light, shadows, truths - comes on top.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.harness import machine, milliseconds
from headcast.device import is_cuda, pick_device, synchronize
from headcast.head.model import HeadModel
from headcast.render.batch import batch_pixels, rasterize_batch
from headcast.synth import SynthConfig, make_batch


def bare(config: SynthConfig, device: torch.device) -> Callable[[], None]:
    """A call that rasterizes as many plain heads as a batch holds."""
    head = HeadModel.load().to(device)
    b = make_batch(config, device, 0, np.arange(config.people))
    views = b.views.scaled(config.antialias)
    with torch.no_grad():
        vertices = head(b.params)

    def call() -> None:
        points = batch_pixels(vertices, views.K, views.cam_from_world)
        rasterize_batch(points, head.faces, views.size, views.size)
        synchronize(device)

    return call


def made(config: SynthConfig, device: torch.device) -> Callable[[], None]:
    """A call that makes the next batch."""
    numbers = itertools.count()

    def call() -> None:
        first = next(numbers) * config.people
        make_batch(config, device, 0, np.arange(first, first + config.people))
        synchronize(device)

    return call


def main() -> None:
    """Prints a table row per kind of batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--people", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = pick_device(args.device)
    people = args.people or (64 if is_cuda(torch.zeros(1, device=device)) else 4)
    print(f"{machine()}, device {device}, {args.size}²\n")
    print("| batch | ms a picture, median (minimum) | pictures a second | times bare rasterization |")
    print("|---|---|---|---|")
    for name, views in (("every picture another person", 1), ("four views of each person", 4)):
        config = SynthConfig(size=args.size, people=max(1, people // views), views=views)
        floor = milliseconds(bare(config, device), args.repeats)[1] / config.count
        call = made(config, device)
        for _ in range(8):  # every hair style is prepared once
            call()
        median, least = (t / config.count for t in milliseconds(call, args.repeats))
        print(f"| {name} | {median:.0f} ({least:.0f}) | {1e3 / median:.1f} | {least / floor:.1f} |")


if __name__ == "__main__":
    main()
