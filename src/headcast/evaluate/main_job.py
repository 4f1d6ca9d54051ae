"""The table of the main job: portraits, clips, cost.

    python -m headcast.evaluate.main_job --data ../shared/data -o out/main_job

Resumable: delete a row in ``out/main_job/*/rows`` to measure it again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from headcast.evaluate.clips import LARGE_YAW, clip_rows
from headcast.evaluate.cost import create_cost, tracking_milliseconds
from headcast.evaluate.judge import Row, summary
from headcast.evaluate.portraits import portrait_rows
from headcast.image import atomic_path

__all__ = ["main"]

PORTRAIT_TARGETS = {
    "landmarks": "≤ .95; p90 ≤ 1.4", "landmarksMedian": "report", "landmarksFixed": "report",
    "landmarksHeldOut": "report",
    "psnr": "≥ 28; p10 25", "ssim": "≥ .93", "akd": "≤ 1.4", "iddist": "≤ .17", "holes": "0",
    "iddist30": "≤ .40; p90 ≤ .55",
}  # fmt: skip
CLIP_TARGETS = {"d18": 29.4, "d3": 25.5, "d20": 27.5}
COST_TARGETS = (("mesh", "≤ 5 s", "≤ 25 s"), ("gaussians", "≤ 15 s", "report"))
FEW = 5
"""Groups of fewer people are counted, not judged."""

Summary = dict[str, tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the protocol and writes ``main_job.md`` and ``main_job.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with splits.json, portraits and videos"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="where rows, renderings and the table go"
    )
    parser.add_argument("--limit", type=int, default=None, help="only so many portraits")
    parser.add_argument("--skip", nargs="*", default=[], choices=["portraits", "clips", "cost"])
    a = parser.parse_args(arguments)
    ids = json.loads((a.data / "splits.json").read_text())["evaluation"][: a.limit]
    photos = [a.data / "portraits" / f"{i}.jpg" for i in ids]
    a.out.mkdir(parents=True, exist_ok=True)
    text, record = [], {}
    if "portraits" not in a.skip:
        with Bar() as say:
            rows = portrait_rows(photos, a.out / "portraits", say)
        text += portrait_table(rows, groups(a.data / "groups.csv", rows))
        record["portraits"] = rows
    if "clips" not in a.skip:
        with Bar() as say:
            clips = {n: clip_rows(a.data / "videos" / f"{n}.mp4", a.out / "clips", say) for n in CLIP_TARGETS}
        text += clip_table(clips)
        record["clips"] = clips
    if "cost" not in a.skip:
        text += cost_table(photos[0], a.data / "videos" / "d3.mp4")
    with atomic_path(a.out / "main_job.md") as tmp:
        tmp.write_text("\n".join(text) + "\n")
    with atomic_path(a.out / "main_job.json") as tmp:
        tmp.write_text(json.dumps(record))
    sys.stdout.write("\n".join(text) + "\n")
    return 0


class Bar:
    """A progress bar with the time that remains, on standard error."""

    def __enter__(self) -> Callable[[float, str], None]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description:28}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.progress.start()
        task = self.progress.add_task("", total=1.0)
        return lambda share, what: self.progress.update(task, completed=share, description=what)

    def __exit__(self, *error: object) -> None:
        self.progress.stop()


def figure(value: float) -> str:
    """Three digits that matter."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}".rstrip("0").rstrip(".") if value else "0"


def portrait_table(rows: dict[str, Row], by_group: dict[str, list[str]]) -> list[str]:
    """Median and tail of every figure, then of the main ones per group."""
    total = summary(list(rows.values()))
    lost = int(sum(r["lost"] for r in rows.values()))
    out = [
        f"## Portraits (n = {len(rows)}; faces lost: {lost})",
        "",
        "| figure | median | tail | target |",
        "|---|---|---|---|",
    ]
    out += [
        f"| {k} | {figure(total[k][0])} | {figure(total[k][1])} | {t} |" for k, t in PORTRAIT_TARGETS.items()
    ]
    keys = ("landmarks", "psnr", "ssim", "akd", "iddist", "iddist30")
    out += ["", "| group | n | " + " | ".join(keys) + " |", "|---|---|" + "---|" * len(keys)]
    for name, members in by_group.items():
        s = summary([rows[m] for m in members])
        cells = [figure(s[k][0]) if len(members) >= FEW else "too few" for k in keys]
        out.append(f"| {name} | {len(members)} | " + " | ".join(cells) + " |")
    return [*out, ""]


def groups(path: Path, rows: dict[str, Row]) -> dict[str, list[str]]:
    """Portraits by glasses, facial hair, hair, and thirds of skin tone."""
    out: dict[str, list[str]] = {}
    with path.open() as f:
        for line in csv.DictReader(f):
            for key in ("glasses", "facial_hair", "hair"):
                if line["id"] in rows:
                    out.setdefault(f"{key.replace('_', ' ')}: {line[key]}", []).append(line["id"])
    tone = {k: r["itaDegrees"] for k, r in rows.items()}
    low, high = np.percentile(list(tone.values()), [100 / 3, 200 / 3])
    for k, v in tone.items():
        name = "darkest" if v < low else "lightest" if v > high else "middle"
        out.setdefault(f"skin tone: {name} third", []).append(k)
    return dict(sorted(out.items()))


def clip_table(clips: dict[str, list[Row]]) -> list[str]:
    """Self-reenactment from frame 0."""
    out = [
        "## Clips, avatar from frame 0",
        "",
        "| clip | n | PSNR (p10) | target | gain (p10) | AKD (p90) | identity (p90) | lost |",
    ]
    out += ["|---|---|---|---|---|---|---|---|"]

    def line(name: str, s: Summary, rows: list[Row], target: str) -> str:
        cells = [f"{figure(s[k][0])} ({figure(s[k][1])})" for k in ("psnr", "gain", "akd", "iddist")]
        cells.insert(1, target)
        lost = int(sum(r["lost"] for r in rows))
        return f"| {name} | {len(rows)} | {' | '.join(cells)} | {lost} |"

    for name, rows in clips.items():
        out.append(line(name, summary(rows), rows, f"≥ {CLIP_TARGETS[name]}"))
        far = [r for r in rows if r["turn"] > LARGE_YAW]
        if name == "d3" and far:
            out.append(line(f"{name}, large yaw", summary(far), far, "report"))
    return [*out, ""]


def cost_table(photo: Path, video: Path) -> list[str]:
    """Seconds, milliseconds, megabytes."""
    out = ["## Cost (whole commands)", "", "| what | measured | target |", "|---|---|---|"]
    for representation, warm_target, first_target in COST_TARGETS:
        warm, first = create_cost(photo, representation)
        for when, cost, target in (("warm", warm, warm_target), ("first run", first, first_target)):
            done = f"{cost.seconds:.1f} s, {cost.megabytes:.0f} MB"
            out.append(f"| photo → .avatar, {representation}, {when} | {done} | {target}, ≤ 3 GB |")
    track = tracking_milliseconds(video)
    return [*out, f"| tracking a frame | {track:.0f} ms | ≤ 40 ms |", ""]


if __name__ == "__main__":
    sys.exit(main())
