"""Draw the images of docs/synth.md: a sheet of people, one of truths, one that shows what is balanced.

python tools/synth_sheet.py -o docs/images [--size 192] [--seed 0] [--people 40] [--only synth ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headcast.image import linear_to_srgb
from headcast.methods.portrait4d.framing import PORTRAIT4D
from headcast.synth import SynthConfig, make_batch
from headcast.synth.batch import SynthBatch
from headcast.synth.config import LABELS
from headcast.synth.people import TONES

PALETTE = (
    torch.tensor(
        [
            [0, 0, 0],
            [230, 180, 150],
            [200, 120, 90],
            [240, 140, 100],
            [170, 130, 110],
            [90, 60, 30],
            [220, 60, 80],
            [120, 20, 40],
            [255, 255, 255],
            [60, 160, 255],
            [130, 90, 200],
            [100, 120, 40],
            [20, 220, 200],
            [90, 100, 120],
        ]
    )
    / 255
)


def rows(pictures: Tensor, across: int) -> Tensor:
    """(n, h, w, 3) as a grid."""
    n = len(pictures) // across * across
    lines = pictures[:n].unflatten(0, (-1, across))
    return torch.cat([torch.cat(list(line), 1) for line in lines])


def people(config: SynthConfig, seed: int, numbers: np.ndarray) -> list[SynthBatch]:
    """Batches of four."""
    return [
        make_batch(config, torch.device("cpu"), seed, numbers[k : k + 4]) for k in range(0, len(numbers), 4)
    ]


def truths(b: SynthBatch) -> Tensor:
    """A column of truths per picture."""
    depth = torch.where(b.depth > 0, 1 - (b.depth - b.depth[b.depth > 0].min()) / 0.3, 0.0).clamp(0, 1)
    uv = torch.cat([b.uv.clamp(0, 1), torch.zeros_like(b.uv[..., :1])], -1)
    grey = [x[..., None].expand_as(b.rgb) for x in (b.alpha, depth, b.specular)]
    marks = b.rgb.clone()
    for i in range(len(b)):
        for x, y in b.landmarks478[i].round().long().tolist():
            if 0 <= x < marks.shape[2] and 0 <= y < marks.shape[1]:
                marks[i, y, x] = torch.tensor([0.1, 1.0, 0.3])
    maps = (
        b.rgb,
        grey[0],
        grey[1],
        b.normal / 2 + 0.5,
        uv,
        linear_to_srgb(b.albedo),
        grey[2],
        PALETTE[b.label.long()],
        marks,
    )
    assert len(PALETTE) == len(LABELS)
    return torch.stack([x for maps_of in zip(*maps, strict=True) for x in maps_of])


def balanced(config: SynthConfig, seed: int) -> Tensor:
    """Rows: tones; columns: women and men from young to old, the first of each kind that the stream gives."""
    found: dict[tuple[int, bool, int], int] = {}
    from headcast.head.model import HeadModel
    from headcast.synth.people import draw_people, person_rng

    everyone = draw_people(
        config, person_rng(config, np.arange(4000), seed, torch.device("cpu")), HeadModel.load(), 28
    )
    for i in range(4000):
        third = int((everyone.age[i] - 18) / 67.01 * 3)
        found.setdefault((int(everyone.tone[i]), bool(everyone.feminine[i]), third), i)
    order = [found[t, f, a] for t in range(len(TONES)) for f in (True, False) for a in range(3)]
    return rows(torch.cat([b.rgb for b in people(config, seed, np.array(order))]), 6)


def contact(size: int, seed: int, count: int) -> Tensor:
    """A contact sheet of people, eight a row."""
    config = SynthConfig(size=size, people=4)
    return rows(torch.cat([b.rgb for b in people(config, seed, np.arange(count))]), min(8, count))


def truth_columns(size: int, seed: int) -> Tensor:
    """Four people, nine truths of each."""
    config = SynthConfig(size=size, framing=PORTRAIT4D)
    return rows(truths(people(config, seed, np.arange(40, 44))[0]), 9)


def main() -> None:
    """Write synth.jpg, synth_truths.jpg and synth_balance.jpg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=40, help="on the contact sheet")
    names = ("synth", "synth_truths", "synth_balance")
    parser.add_argument("--only", nargs="*", default=names, choices=names)
    args = parser.parse_args()
    plain = SynthConfig(size=args.size * 3 // 4, framing="front", expression=0.0, background=False)
    sheets: dict[str, Callable[[], Tensor]] = {
        "synth": lambda: contact(args.size, args.seed, args.people),
        "synth_truths": lambda: truth_columns(args.size, args.seed),
        "synth_balance": lambda: balanced(plain, args.seed),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        x = sheets[name]()
        sheet = (x.clamp(0, 1) * 255).round().byte().numpy()
        Image.fromarray(sheet).save(args.out / f"{name}.jpg", quality=88, subsampling=0)


if __name__ == "__main__":
    main()
