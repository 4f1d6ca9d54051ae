"""Both versions in turn, A B A B …, and what their ratios are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.versions.environment import Version
from benchmarks.versions.measure import CommandFailed, Cost
from benchmarks.versions.measure import run as run_process
from benchmarks.versions.works import Work

__all__ = ["Comparison", "Progress", "Ratio", "compare", "ratio"]

Run = Callable[[Sequence[str], Mapping[str, str], Path, bool], Cost]


class Ratio(NamedTuple):
    """The second version's cost over the first's, round by round.

    Attributes:
        middle: median over rounds.
        least, most: range over rounds.
        n: rounds.
    """

    middle: float
    least: float
    most: float
    n: int


def ratio(before: Sequence[float], after: Sequence[float]) -> Ratio:
    """Median and range of the rounds' ratios; each compares runs that followed one another."""
    each = [b / max(a, 1e-9) for a, b in zip(before, after, strict=True)]
    return Ratio(median(each), min(each), max(each), len(each))


@dataclass
class Comparison:
    """What was measured.

    Attributes:
        costs: by work, a list of rounds for each of the two versions.
        failures: by work, why it wasn't measured.
    """

    costs: dict[str, tuple[list[Cost], list[Cost]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Progress:
    """Lines on standard error: what has run, what it took, how long the rest will take."""

    def __init__(self, names: Sequence[str], out: Callable[[str], object] | None = None) -> None:
        self.left, self.out = list(names), out or sys.stderr.write
        self.total = len(names)
        self.took: dict[str, float] = {}

    def done(self, name: str, version: str, cost: Cost, wall: float, warming: bool = False) -> None:
        """Tell of a run; ``wall``: seconds that it took as a whole."""
        self.left.remove(name)
        self.took[name] = wall
        what = "warm-up" if warming else f"{cost.cpu:.2f} s CPU, {cost.peak_mb:.0f} MB"
        number = f"{self.total - len(self.left)}/{self.total}"
        self.out(f"against: {number} {name} of {version}: {what}; {self.rest()} left\n")

    def skipped(self, name: str) -> None:
        """Forget the remaining runs of a work that failed."""
        self.total -= self.left.count(name)
        self.left = [n for n in self.left if n != name]

    def rest(self) -> str:
        """Time that the remaining runs will take, by the last run of the same work or the mean of all."""
        usual = sum(self.took.values()) / max(len(self.took), 1)
        seconds = sum(self.took.get(n, usual) for n in self.left)
        return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def compare(
    versions: tuple[Version, Version],
    works: Sequence[Work],
    rounds: int,
    folder: Path,
    run: Run = run_process,
    progress: Progress | None = None,
) -> Comparison:
    """Measure all works: a warm-up of each version that doesn't count, then A B A B ….

    A work that fails is told and left out, with those that need its result; the others go on.

    Args:
        folder: gets a folder of files and logs for each version.
    """
    result = Comparison()
    progress = progress or Progress([w.name for w in works for _ in range(2 * (rounds + 1))])
    for version in versions:
        (folder / version.name).mkdir(parents=True, exist_ok=True)
    for work in works:
        if work.needs in result.failures:
            result.failures[work.name] = f"needs {work.needs}, which failed"
            progress.skipped(work.name)
            continue
        costs: tuple[list[Cost], list[Cost]] = ([], [])
        for number in range(rounds + 1):
            for version, kept in zip(versions, costs, strict=True):
                place, start = folder / version.name, time.perf_counter()
                command = work.command(version, place)
                try:
                    cost = run(command, version.environ(), place / f"{work.name}.log", work.timed_inside)
                except CommandFailed as e:
                    result.failures[work.name] = f"{work.name} of {version.name}: {e}"
                    break
                if number:
                    kept.append(cost)
                wall = time.perf_counter() - start
                progress.done(work.name, version.name, cost, wall, warming=not number)
            if work.name in result.failures:
                break
        if work.name in result.failures:
            progress.skipped(work.name)
            progress.out(f"against: failed: {result.failures[work.name]}\n")
        else:
            result.costs[work.name] = costs
    return result
