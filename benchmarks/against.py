"""Two versions of the whole program, this working tree and a revision, run in turn and judged alike.

python -m benchmarks.against REV [--rounds 5] [--only create mesh ...] [--photo FILE] [--json OUT]
    [--cache FOLDER] [--environment VENV]

REV is checked out into a git worktree with an environment made by its own tools/install.py; both are kept in
build/against/REV (--cache) for the next time: git worktree remove --force build/against/REV/tree, then delete
the folder. Commands run A B A B ... after a warm-up of each; ratios are this tree's cost over REV's, round by
round: median and range. Processor seconds (children included) count: wall time tells of other programs, too.
At last both versions' renderings are judged by this tree's metrics, against the photo and each other.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.versions.compare import Comparison, Ratio, compare, ratio
from benchmarks.versions.environment import Version, VersionError, two_versions
from benchmarks.versions.measure import CommandFailed, Cost
from benchmarks.versions.works import Work, works

__all__ = ["main", "ratios", "report"]

ROOT = Path(__file__).resolve().parent.parent
IMAGES = "images"
NAMES = (*(w.name for w in works(Path(), 0)), IMAGES)


def ratios(costs: tuple[list[Cost], list[Cost]]) -> dict[str, Ratio]:
    """By what is counted: cpu, wall, peak_mb."""
    return {name: ratio(*([getattr(c, name) for c in version] for version in costs)) for name in Cost._fields}


def report(result: Comparison, names: tuple[str, str]) -> str:
    """The table, a row a work."""
    lines = [
        f"| | CPU s {names[0]} | CPU s {names[1]} | CPU ratio (range) | wall ratio (range) | peak MB | "
        "peak ratio | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, costs in result.costs.items():
        found = ratios(costs)
        cpu = [ratio([1.0] * len(c), [x.cpu for x in c]).middle for c in costs]
        peak = [max(x.peak_mb for x in c) for c in costs]
        spread = [f"{r.middle:.3f} ({r.least:.3f} to {r.most:.3f})" for r in (found["cpu"], found["wall"])]
        lines.append(
            f"| {name} | {cpu[0]:.2f} | {cpu[1]:.2f} | {spread[0]} | {spread[1]} | {peak[0]:.0f}, "
            f"{peak[1]:.0f} | {found['peak_mb'].middle:.3f} | {found['cpu'].n} |"
        )
    lines += [f"| {name} | failed: {why} | | | | | | |" for name, why in result.failures.items()]
    return "\n".join(lines)


def as_json(result: Comparison, names: tuple[str, str]) -> dict[str, object]:
    """Everything measured, and the ratios."""
    return {
        name: {
            **{v: [c._asdict() for c in costs[k]] for k, v in enumerate(names)},
            "ratio": {key: r._asdict() for key, r in ratios(costs).items()},
        }
        for name, costs in result.costs.items()
    }


def images(versions: tuple[Version, Version], folder: Path, photo: Path) -> dict[str, dict[str, object]]:
    """Print and return the scores of both versions' images.

    Raises:
        CommandFailed: one cannot render.
    """
    from benchmarks.versions import judge

    for version in versions:
        judge.render_views(version, folder / version.name)
    truth = judge.truth_of(photo)
    print("\n| photo's view against the photo | PSNR person | SSIM person | PSNR face | SSIM face |")
    print("|---|---|---|---|---|")
    found: dict[str, dict[str, object]] = {"photo": {}, "agreement": {}}
    for version in versions:
        s = judge.score(truth, judge.read_rgba(folder / version.name / "source.png"))
        found["photo"][version.name] = s._asdict()
        row = f"{s.person_psnr:.2f} | {s.person_ssim:.4f} | {s.face_psnr:.2f} | {s.face_ssim:.4f}"
        print(f"| {version.name} | {row} |")
    print("\n| one version against the other | PSNR | SSIM |\n|---|---|---|")
    for view in judge.VIEWS:
        both = [judge.read_rgba(folder / v.name / f"{view}.png") for v in versions]
        psnr, ssim = judge.agreement(*both)
        found["agreement"][view] = {"psnr": psnr, "ssim": ssim}
        print(f"| {view} | {psnr:.1f} | {ssim:.5f} |")
    return found


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("revision", metavar="REV")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES)
    )
    parser.add_argument("--photo", type=Path, help="of whom avatars are made; default: the demo photo")
    parser.add_argument("--frames", type=int, default=100, help="that animate writes")
    parser.add_argument("--cache", type=Path, help="default: build/against/REV")
    parser.add_argument("--environment", type=Path, help="run REV in this virtual environment, build none")
    parser.add_argument("--json", type=Path, metavar="OUT")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    return given


def chosen(every: Sequence[Work], names: Sequence[str]) -> list[Work]:
    """The named works and those whose results they need."""
    wanted = set(names) | {w.needs for w in every if w.name in names}
    if IMAGES in names:
        wanted.add("create")
    return [w for w in every if w.name in wanted]


def demo_photo() -> Path:
    """The demo photo, found without importing torch (see ``measure.run``)."""
    from headcast.demo import demo_photo as find

    return find()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 where a command failed, 2 where REV cannot be had."""
    given = parsed(arguments)
    try:
        versions, cache = two_versions(ROOT, given.revision, given.cache, given.environment)
    except VersionError as e:
        sys.stderr.write(f"against: {e}\n")
        return 2
    photo, names = (given.photo or demo_photo()).absolute(), (versions[0].name, versions[1].name)
    result = compare(versions, chosen(works(photo, given.frames), given.only), given.rounds, cache / "runs")
    print(report(result, names), flush=True)
    found: dict[str, object] = {}
    if IMAGES in given.only and "create" in result.costs:
        try:
            found = dict(images(versions, cache / "runs", photo))
        except CommandFailed as e:
            result.failures[IMAGES] = str(e)
            sys.stderr.write(f"against: images failed: {e}\n")
    if given.json:
        from benchmarks.harness import machine

        told = {"machine": machine(), "rounds": given.rounds, "works": as_json(result, names)}
        told |= {"images": found, "failures": result.failures}
        given.json.write_text(json.dumps(told, indent=1) + "\n")
    return int(bool(result.failures))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the running command ends, too
    sys.exit(main())
