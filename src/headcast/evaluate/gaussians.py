"""The table of Gaussians: what holds when the head turns, of every representation side by side.

    python -m headcast.evaluate.gaussians --data ../shared/data -o out/gaussians

Resumable: rows are lines of ``out/gaussians/*.jsonl``; delete one to measure it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from headcast import api
from headcast.evaluate.gaussian_rows import Rows, avatars_of, clip_rows, same_view, turned_views
from headcast.evaluate.judge import Judge, Row, summary
from headcast.evaluate.main_job import FEW, Bar, figure, groups
from headcast.image import atomic_path, save_png
from headcast.video import read_video

__all__ = ["main"]

KINDS = ("mesh", "gaussians")
PARTS = ("portraits", "views", "clips")
CLIPS = ("d18", "d3", "d20")
SAME = {"psnr": "≥ 36; p10 32", "ssim": "≥ .97", "akd": "report", "iddist": "report", "foreground": "≥ 29.5",
        "iou": "≥ .97", "hair": "report", "speckle": "report"}  # fmt: skip
TURNED = {"iddist30": "≤ mesh", "consistency": "≥ 30", "consistencyWorst": "report", "holes": "≤ .001",
          "speckle": "≤ mesh + .001"}  # fmt: skip
DRIVEN = {"psnr": "≥ mesh", "gain": "≥ mesh", "akd": "≤ mesh", "iddist": "≤ mesh", "foreground": "report",
          "foregroundGain": "≥ 4 on d3, d20", "flicker": "report", "flickerReal": "—"}  # fmt: skip

Say = Callable[[float, str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the protocol and writes ``gaussians.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with splits.json, portraits and videos"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="where rows, renderings and table go")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    parser.add_argument("--clips", nargs="+", default=list(CLIPS), help="only these of the clips")
    parser.add_argument("--limit", type=int, help="only so many portraits")
    parser.add_argument("--ids", nargs="+", help="these portraits instead of the evaluation's")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="representations")
    a = parser.parse_args(arguments)
    ids = (a.ids or json.loads((a.data / "splits.json").read_text())["evaluation"])[: a.limit]
    photos = [a.data / "portraits" / f"{i}.jpg" for i in ids]
    kinds: list[str] = a.kinds
    text: list[str] = []
    with Bar() as say:
        if {"portraits", "views"} & set(a.only):
            same, turned = measure_portraits(photos, kinds, a.out, a.only, say)
            if "portraits" in a.only:
                text += portrait_tables(same, ids, kinds, a.data / "groups.csv")
            if "views" in a.only:
                text += table(
                    "Turned by 30° and 45°, pitched by 15°, 8 expressions", turned, ids, kinds, TURNED
                )
        if "clips" in a.only:
            text += clip_tables(measure_clips(a.data / "videos", a.clips, kinds, a.out, say), kinds)
    with atomic_path(a.out / "gaussians.md") as tmp:
        tmp.write_text("\n".join(text) + "\n")
    sys.stdout.write("\n".join(text) + "\n")
    return 0


def measure_portraits(
    photos: list[Path], kinds: list[str], out: Path, only: Sequence[str], say: Say
) -> tuple[Rows, Rows]:
    """Rows ``ID KIND`` in the photo's view, and of the turned views; each avatar is made once."""
    same, turned = Rows(out / "portraits.jsonl"), Rows(out / "views.jsonl")
    with Judge() as judge:
        for i, photo in enumerate(photos):
            say(i / len(photos), photo.stem)
            first = [k for k in kinds if "portraits" in only and f"{photo.stem} {k}" not in same]
            second = "views" in only and any(f"{photo.stem} {k}" not in turned for k in kinds)
            if not first and not second:
                continue
            real = api.observe(photo)[0]
            avatars = avatars_of(photo, sorted({*kinds, "mesh"}) if second else first)
            for kind in first:
                row = same_view(real, avatars[kind], judge, out / "same" / f"{photo.stem} {kind}")
                same.add(f"{photo.stem} {kind}", row)
            if second:
                rows = turned_views(real, avatars, judge, out / "views" / photo.stem)
                for kind in kinds:
                    turned.add(f"{photo.stem} {kind}", rows[kind])
    return same, turned


def measure_clips(
    videos: Path, names: Sequence[str], kinds: list[str], out: Path, say: Say
) -> dict[str, list[Row]]:
    """For each ``CLIP KIND`` its rows: an avatar of the first frame driven by the rest, over grey."""
    found = Rows(out / "clips.jsonl")
    for i, name in enumerate(names):
        missing = [k for k in kinds if f"{name} {k}" not in found]
        if not missing:
            continue
        say(i / len(names), f"{name}: first frame")
        real, first = videos / f"{name}.mp4", out / "first" / f"{name}.png"
        first.parent.mkdir(parents=True, exist_ok=True)
        (out / "driven").mkdir(exist_ok=True)
        save_png(first, read_video(real, 1).frames[0])
        for kind, avatar in avatars_of(first, missing).items():
            driven = out / "driven" / f"{name} {kind}.mp4"
            api.animate(avatar, real, driven, camera="driver", background="grey")
            say((i + 0.7) / len(names), f"{name} {kind}: measuring")
            found.add(f"{name} {kind}", clip_rows(real, driven, name))
    return found.found


def table(title: str, rows: Rows, ids: list[str], kinds: list[str], targets: dict[str, str]) -> list[str]:
    """Median and bad tail of each figure, a column for each representation."""
    total = {k: summary([rows.found[f"{i} {k}"] for i in ids if f"{i} {k}" in rows]) for k in kinds}
    count = sum(f"{i} {kinds[0]}" in rows for i in ids)
    return [*head(f"{title} (n = {count})", kinds), *lines(total, targets), ""]


def head(title: str, kinds: list[str]) -> list[str]:
    """A heading and the first lines of its table."""
    return [
        f"## {title}",
        "",
        f"| figure | {' | '.join(kinds)} | target |",
        "|---|" + "---|" * (len(kinds) + 1),
    ]


def lines(total: dict[str, dict[str, tuple[float, float]]], targets: dict[str, str]) -> list[str]:
    """A line for each figure: median (tail) of each representation."""

    def cell(kind: str, key: str) -> str:
        return "—" if key not in total[kind] else "{} ({})".format(*map(figure, total[kind][key]))

    return [f"| {k} | {' | '.join(cell(kind, k) for kind in total)} | {t} |" for k, t in targets.items()]


def portrait_tables(rows: Rows, ids: list[str], kinds: list[str], path: Path) -> list[str]:
    """The photo's view, all and per group."""
    out = table("Portraits in the photo's view", rows, ids, kinds, SAME)
    keys = ("psnr", "foreground", "iou", "hair")
    for kind in kinds:
        mine = {i: rows.found[f"{i} {kind}"] for i in ids if f"{i} {kind}" in rows}
        if len(mine) < FEW:
            continue
        out += [f"| {kind}, group | n | {' | '.join(keys)} |", "|---|---|" + "---|" * len(keys)]
        for name, members in groups(path, mine).items():
            s = summary([mine[m] for m in members])
            enough = len(members) >= FEW
            cells = [figure(s[k][0]) if enough and k in s else "too few" if k in s else "—" for k in keys]
            out.append(f"| {name} | {len(members)} | {' | '.join(cells)} |")
        out.append("")
    return out


def clip_tables(rows: dict[str, list[Row]], kinds: list[str]) -> list[str]:
    """A table for each clip."""
    out: list[str] = []
    for name in CLIPS:
        total = {k: summary(rows[f"{name} {k}"]) for k in kinds if f"{name} {k}" in rows}
        if total:
            count = len(rows[f"{name} {next(iter(total))}"])
            lost = {k: int(np.sum([r["lost"] for r in rows[f"{name} {k}"]])) for k in total}
            out += [
                *head(f"Clip {name}, avatar from frame 0 (n = {count})", list(total)),
                *lines(total, DRIVEN),
            ]
            out += [f"| lost | {' | '.join(str(n) for n in lost.values())} | 0 |", ""]
    return out


if __name__ == "__main__":
    sys.exit(main())
