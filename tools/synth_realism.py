"""How far synthetic faces are from real portraits: kernel distance (KID) of fixed random features at 128².

python tools/synth_realism.py --data ../shared/data [--count 240] [--seed 0]

Features are means and deviations over a convolutional network of seeded random weights, four layers; no
learned network is needed and the number means the same on every machine. KID (Binkowski et al. 2018) with
polynomial kernel of degree 3 on standardized features, lower is nearer; beside it that of two halves of the
real ones, and the accuracy of a linear probe that tells real from synthetic (cross-validated; .5 is perfect).
Real: colour portraits of split ``train`` in the public domain. Both are cropped about the face.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from headcast.synth import SynthConfig, make_batch

SIDE, MARGIN = 128, 1.55


def crop(picture: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """A square about a face box, resized; what lies outside repeats the edge."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half = MARGIN * max(box[3] - box[1], box[2] - box[0]) / 2
    steps = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    h, w = picture.shape[:2]
    gy, gx = torch.meshgrid((y + steps * half) / h * 2 - 1, (x + steps * half) / w * 2 - 1, indexing="ij")
    source = picture.permute(2, 0, 1)[None].float()
    shrink = int(2 * half / SIDE)
    if shrink > 1:
        source = avg_pool2d(source, shrink)
    grid = torch.stack([gx, gy], -1)[None]
    return torch.nn.functional.grid_sample(source, grid, padding_mode="border", align_corners=False)[0]


def real_faces(data: Path, count: int) -> Tensor:
    """Portraits in 0..1, (n, 3, 128, 128)."""
    from PIL import Image

    rows = list(csv.DictReader((data / "portraits_pd" / "portraits_pd.csv").open()))
    rows = [r for r in rows if r["split"] == "train" and r["black_and_white"] == "no"][:count]
    faces = []
    for r in rows:
        picture = torch.from_numpy(
            np.array(Image.open(data / "portraits_pd" / f"{r['id']}.jpg").convert("RGB"))
        )
        faces.append(crop(picture / 255, tuple(float(r[f"face_{n}"]) for n in ("x0", "y0", "x1", "y1"))))  # type: ignore[arg-type]
    return torch.stack(faces)


def synthetic_faces(count: int, seed: int) -> Tensor:
    """The same of synthetic heads; their box is that of the 478 landmarks."""
    config = SynthConfig(size=192, people=4, framing="front", expression=0.6)
    faces = []
    for first in range(0, count, 4):
        b = make_batch(config, torch.device("cpu"), seed, np.arange(first, first + 4))
        for i in range(len(b)):
            low, high = b.landmarks478[i].amin(0).tolist(), b.landmarks478[i].amax(0).tolist()
            faces.append(crop(b.rgb[i], (*low, *high)))
    return torch.stack(faces[:count])


def features(pictures: Tensor) -> Tensor:
    """Means and deviations of random convolutions, layer by layer."""
    g = torch.Generator().manual_seed(0)
    x, out, channels = pictures - 0.5, [], 3
    small = interpolate(pictures, size=(8, 8), mode="area").flatten(1)
    for wide in (32, 64, 128, 128):
        weight = torch.randn(wide, channels, 5, 5, generator=g) / (channels * 25) ** 0.5
        x = 2 * conv2d(x, weight, stride=2, padding=2).relu()
        out += [x.mean((2, 3)), x.std((2, 3))]
        channels = wide
    return torch.cat([small, *out], 1)


def kid(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD with the kernel (x·y / d + 1)³."""

    def k(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    n, m = len(a), len(b)
    aa, bb = k(a, a), k(b, b)
    same = (aa.sum() - aa.trace()) / (n * (n - 1)) + (bb.sum() - bb.trace()) / (m * (m - 1))
    return float(same - 2 * k(a, b).mean())


def probe(a: Tensor, b: Tensor) -> float:
    """Share that ridge regression tells apart, five-fold."""
    x = torch.cat([a, b])
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1).double()
    y = torch.cat([torch.ones(len(a)), -torch.ones(len(b))]).double()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    right = 0
    for fold in order.chunk(5):
        rest = order[~torch.isin(order, fold)]
        ridge = 10.0 * torch.eye(x.shape[1], dtype=x.dtype)
        w = torch.linalg.solve(x[rest].T @ x[rest] + ridge, x[rest].T @ y[rest])
        right += int(((x[fold] @ w).sign() == y[fold]).sum())
    return right / len(x)


def main() -> None:
    """Prints one line of the table in docs/results/synth.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    real, made = features(real_faces(args.data, args.count)), features(synthetic_faces(args.count, args.seed))
    mean, spread = real.mean(0), real.std(0).clamp(min=1e-6)
    real, made = (((x - mean) / spread).clamp(-4, 4) for x in (real, made))
    numbers = f"{kid(real, made):.1f} | {kid(real[::2], real[1::2]):.1f} | {probe(real, made):.3f}"
    print(f"| {len(real)} real, {len(made)} synthetic | {numbers} |")


if __name__ == "__main__":
    main()
