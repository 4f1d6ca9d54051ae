"""Held-out synthetic heads from ±15° and ±30°: methods side by side against the truth.

    python -m headcast.evaluate.portrait4d -o out/portrait4d [--people 8] [--methods fit,portrait4d]

Heads of the split ``test`` (identities, skin, hair and lights unseen by training), at rest, one photo from
the front. Cameras are brought into each avatar's world as in the protocol ``novel-view``. Resumable: rows
are lines of ``rows.jsonl``.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.api import Progress
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.contestants import Contestant, contestants
from headcast.evaluate.gaussian_rows import Rows
from headcast.evaluate.main_job import Bar
from headcast.evaluate.networks import load_networks
from headcast.evaluate.novel_view import aligned_camera, seen_from
from headcast.evaluate.report import Row
from headcast.files import atomic_path
from headcast.image import save_png
from headcast.metrics.image import over_grey

__all__ = ["TURNS", "head_of", "main", "measured", "table"]

SIZE = 256
TURNS = (15.0, -15.0, 30.0, -30.0)
"""Yaws of the true views, degrees."""
DISTANCE, FIELD = 1.15, 18.0  # metres, degrees
MASKS = {
    "face": "", "foreground": "the person (alpha over .5), both sides over mid grey",
    "hair": "hair in the true labels, both sides over mid grey",
}  # fmt: skip
FIGURES = {
    "face_psnr": "face PSNR", "face_ssim": "face SSIM", "foreground_psnr": "person PSNR",
    "foreground_ssim": "person SSIM", "hair_psnr": "hair PSNR", "perceptual": "perceptual",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it and writes ``portrait4d.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="where rows, pictures and table go")
    parser.add_argument("--people", type=int, default=8, help="how many heads")
    parser.add_argument("--methods", default="fit,portrait4d", help="as for headcast evaluate")
    parser.add_argument("--seed", type=int, default=0, help="of the heads")
    parser.add_argument("--size", type=int, default=SIZE, help="of the pictures, pixels")
    a = parser.parse_args(arguments)
    try:
        who = contestants(a.methods.split(","), a.seed, baselines=False)
    except HeadcastError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    rows = Rows(a.out / "rows.jsonl")
    with Bar() as say, Comparer(load_networks(torch.device("cpu")), MASKS) as comparer:
        for n in range(a.people):
            for c in who:
                key = f"{n} {c.name} {c.facts}"
                if key not in rows:
                    say(n / a.people, f"head {n}: {c.name}")
                    rows.add(key, measured(n, a.seed, a.size, c, comparer, a.out / f"{n:03d}"))
    found = {c.name: [rows.found[f"{n} {c.name} {c.facts}"] for n in range(a.people)] for c in who}
    text = "\n".join(table(found))
    with atomic_path(a.out / "portrait4d.md") as tmp:
        tmp.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


@dataclass(frozen=True)
class Held:
    """A held-out head: its photo, the true pictures from ``TURNS``, their cameras, 68 landmarks (world)."""

    photo: UInt8[np.ndarray, "h w 3"]
    truths: list[Truth]
    cameras: list[Camera]
    points: Float[np.ndarray, "68 3"]


@torch.no_grad()
def head_of(number: int, seed: int, size: int, comparer: Comparer) -> Held:
    """Renders it."""
    from headcast.synth import SynthConfig, make_batch
    from headcast.synth.config import LABELS
    from headcast.synth.views import MIDDLE, looking

    yaw = torch.deg2rad(torch.tensor([0.0, *TURNS]))
    n, none = len(yaw), torch.zeros(len(yaw))
    views = looking(
        torch.tensor(MIDDLE).expand(n, 3), yaw, none, none, none + DISTANCE, none + math.radians(FIELD), size
    )
    batch = make_batch(
        SynthConfig("test", size, 1, views=n, expression=0.0), torch.device("cpu"), seed, np.array([number]),
        views=views,
    )  # fmt: skip
    rgb = (batch.rgb * 255).round().byte().numpy()
    truths = []
    for k in range(1, n):
        alpha = batch.alpha[k].numpy()
        hair = (batch.label[k].numpy() == LABELS.index("hair")) & (alpha > 0.5)
        regions = {"foreground": alpha > 0.5, "hair": hair}
        truths.append(
            comparer.truth(rgb[k], f"head {number} {TURNS[k - 1]:+.0f}", alpha, regions, need_face=False)
        )
    points = batch.landmarks68_world[0].double().numpy()
    return Held(rgb[0], truths, [views.camera(k) for k in range(1, n)], points)


def measured(
    number: int, seed: int, size: int, who: Contestant, comparer: Comparer, folder: Path
) -> list[Row]:
    """One method on one head: a row for every true view; empty where it makes no avatar of the photo."""
    held = head_of(number, seed, size, comparer)
    folder.mkdir(parents=True, exist_ok=True)
    save_png(folder / "photo.png", held.photo)
    assert who.make is not None
    quiet: Progress = lambda share, what: None  # noqa: E731
    try:
        avatar = who.make([folder / "photo.png"], quiet)
    except HeadcastError as e:
        (folder / f"{who.name}.txt".replace(":", "_")).write_text(str(e))
        return []
    rows: list[Row] = []
    for yaw, truth, camera in zip(TURNS, held.truths, held.cameras, strict=True):
        picture = seen_from(avatar, aligned_camera(avatar, held.points, camera))
        save_png(folder / f"{who.name}_{yaw:+.0f}.png".replace(":", "_"), over_grey(picture))
        save_png(folder / f"truth_{yaw:+.0f}.png", truth.rgb)
        rows.append({**comparer.compare(truth, picture), "yaw": yaw})
    return rows


def table(found: dict[str, list[list[Row]]]) -> list[str]:
    """Means by method and angle, as Markdown."""
    lines = [
        "| method | angle | views | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (3 + len(FIGURES)) + "|",
    ]
    for name, heads in found.items():
        for angle in (15.0, 30.0):
            rows = [r for h in heads for r in h if abs(r["yaw"]) == angle]
            cells = []
            for key in FIGURES:
                values = np.array([r.get(key, np.nan) for r in rows], np.float64)
                good = values[np.isfinite(values)]
                cells.append(f"{good.mean():.{1 if 'psnr' in key else 3}f}" if len(good) else "–")
            lines.append(f"| {name} | ±{angle:.0f}° | {len(rows)} | " + " | ".join(cells) + " |")
        failed = sum(not h for h in heads)
        if failed:
            lines.append(
                f"| {name} | | | {failed} of {len(heads)} photos gave no avatar" + " |" * len(FIGURES)
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
