"""Held-out synthetic heads, truth known: avatars of one or several photos, rendered from other sides.

An avatar's place and size are its own guess: cameras are brought into its world as in ``novel-view``, so that
shape and colour count, not the guess. Items are a head and an angle; a row is the mean over both sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.driven import sheet_lines, step_progress
from headcast.evaluate.novel_view import aligned_camera, render_from
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.evaluate.synthetic_heads import PHOTO_YAWS, SyntheticHead, has_hair, render_head
from headcast.image import save_png
from headcast.limits import ANGLE, POSITIVE, Limit
from headcast.metrics.figure import Figure
from headcast.metrics.image import over_grey
from headcast.progress import Progress

__all__ = ["Options", "measure"]

TRUE = "truth"
HEADS = 8
"""Default number of heads."""
SHOWN = 6
"""Heads on the sheet."""
BOTH = "both sides over mid grey"
MASKS = {
    "face": "",
    "foreground": f"the person (alpha over .5), {BOTH}",
    "hair": f"hair in the true labels, {BOTH}",
    "head": f"skin and hair in the true labels, not clothes, {BOTH}",
}
GAINS = ("head_psnr", "head_ssim", "iou")
"""Figures whose gain by more photos the table shows."""
MAIN = ("face_psnr", "face_ssim", "foreground_psnr", "hair_psnr", "head_psnr", "iou", "perceptual")


@dataclass(frozen=True)
class Options:
    """Options of the protocol ``synthetic``."""

    views: Annotated[tuple[float, ...], ANGLE] = (15.0, -15.0, 30.0, -30.0)
    """Yaws of the true views, degrees."""
    photos: Annotated[tuple[int, ...], POSITIVE] = (1,)
    """From how many photos avatars are made: of the yaws 0, 20, -20, 45, -45 the first so many."""
    size: Annotated[int, Limit(16, 4096)] = 256
    """Pixels a side of all images."""
    field: Annotated[float, Limit(1, 120)] = 18.0
    """Field of view, degrees."""
    hair: bool = False
    """Heads with hair alone."""
    shared_background: bool = False
    """One background before all photos of a head and none in the true views; else each has its own."""


@dataclass(frozen=True)
class Column:
    """One column of the table: a method and how many photos it gets."""

    name: str
    method: Subject
    photos: int


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run have in common."""

    setting: Setting
    options: Options
    store: Store
    comparer: Comparer


def measure(setting: Setting) -> Report:
    """Measure every method on every head.

    Raises:
        HeadcastError: no such method, or options out of range.
    """
    options: Options = setting.options or Options()
    if not options.photos or not all(1 <= n <= len(PHOTO_YAWS) for n in options.photos):
        raise HeadcastError(f"--photos {options.photos}: give numbers from 1 to {len(PHOTO_YAWS)}")
    who = name_columns(find_subjects(setting.subjects, setting.seed, baselines=False), options.photos)
    store = Store(setting.out, {"protocol": "synthetic", **setting.facts(), **option_facts(options)})
    numbers = heads_asked(setting, options)
    with Comparer(setting.networks, MASKS) as comparer:
        bench = Bench(setting, options, store, comparer)
        report = Report(
            protocol="synthetic",
            figures={f.key: f for f in with_gains_by_photos(comparer.figures)},
            main=MAIN,
        )
        for n, number in enumerate(numbers):
            found = head_rows(bench, number, who, step_progress(setting.say, n, len(numbers)))
            add_head_rows(report, number, found, who)
            if n < SHOWN:
                report.sheet += sheet_lines(store, str(number), [TRUE, *(c.name for c in who)])
    items = report.items()
    report.groups = {a: [i for i in items if i.endswith(f" {a}")] for a in map(angle_name, options.views)}
    return report


def heads_asked(setting: Setting, options: Options) -> list[int]:
    """Return the numbers of the heads: those of ``--only``, else the first ``--limit``."""
    if setting.only:
        wrong = [i for i in setting.only if not i.isdecimal()]
        if wrong:
            raise HeadcastError(f"--only {wrong[0]}: give numbers of synthetic heads, for example 5,9,10")
        return [int(i) for i in setting.only][: setting.limit]
    every = (n for n in itertools.count() if not options.hair or has_hair(n, setting.seed, options.size))
    return list(itertools.islice(every, setting.limit or HEADS))


def name_columns(methods: Sequence[Subject], photos: Sequence[int]) -> list[Column]:
    """Name the columns: a method, or where it gets several numbers of photos one for each."""

    def name(c: Subject, n: int) -> str:
        return c.name if len(photos) == 1 else f"{c.name}, {n} photo{'s' if n > 1 else ''}"

    return [Column(name(c, n), c, n) for c in methods for n in sorted(photos)]


def head_rows(bench: Bench, number: int, who: list[Column], say: Progress) -> dict[str, list[Row]]:
    """Measure what is missing of one head: a row for every true view; none where no avatar was made."""
    item, options, store = str(number), bench.options, bench.store
    found = {c.name: store.get(c.name, item, c.method.facts) for c in who}
    if not all(found.values()):
        say(0.0, f"head {number}")
        head = render_head(
            number,
            bench.setting.seed,
            options.size,
            options.field,
            max(options.photos),
            options.views,
            options.shared_background,
        )
        truths = truths_of(head, number, options.views, bench.comparer)
        for yaw, truth in zip(options.views, truths, strict=True):
            store.keep(TRUE, item, f"{yaw:+.0f}", truth.cut)
        for k, c in enumerate(who):
            if found[c.name] is None:
                rows = column_rows(bench, c, item, head, truths, step_progress(say, k, len(who)))
                found[c.name] = Measured(rows)
                store.put(c.name, item, Measured(rows), c.method.facts)
    return {name: m.rows for name, m in found.items() if m is not None}


def truths_of(head: SyntheticHead, number: int, yaws: Sequence[float], comparer: Comparer) -> list[Truth]:
    """Prepare the true views for comparison."""
    return [
        comparer.truth(
            image,
            f"head {number} {yaw:+.0f}",
            alpha,
            {n: m[k] for n, m in head.regions.items()},
            need_face=False,
        )
        for k, (yaw, image, alpha) in enumerate(zip(yaws, head.images, head.alpha, strict=True))
    ]


def column_rows(
    bench: Bench, column: Column, item: str, head: SyntheticHead, truths: list[Truth], say: Progress
) -> list[Row]:
    """Measure one method on one head; no rows where it makes no avatar of the photos."""
    assert column.method.make is not None
    folder = bench.setting.out / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    photos = [folder / f"{item}_photo{i}.png" for i in range(column.photos)]
    for path, image in zip(photos, head.photos, strict=False):
        save_png(path, image)
    try:
        avatar = column.method.make(
            photos, lambda fraction, what: say(fraction, f"{item}: {column.name}: {what}")
        )
    except HeadcastError:
        return []
    bench.store.forget_images(column.name, item)
    rows: list[Row] = []
    for yaw, truth, camera in zip(bench.options.views, truths, head.cameras, strict=True):
        image = render_from(avatar, aligned_camera(avatar, head.points, camera))
        bench.store.keep(column.name, item, f"{yaw:+.0f}", over_grey(image))
        rows.append({"yaw": yaw, **bench.comparer.compare(truth, image)})
    return rows


def add_head_rows(report: Report, number: int, found: dict[str, list[Row]], who: list[Column]) -> None:
    """Add a head's rows, means of both sides; what fails with some of the photos is left out with all."""
    for method in dict.fromkeys(c.method.name for c in who):
        own = [c for c in who if c.method.name == method]
        missing = [c.name for c in own if not found[c.name]]
        if missing:
            report.skipped[f"head {number}, {method}"] = f"no avatar was made ({'; '.join(missing)})"
            continue
        fewest = average_by_angle(found[own[0].name])
        for c in own:
            for angle, row in average_by_angle(found[c.name]).items():
                gains = (
                    {f"{k}_gain": row[k] - fewest[angle][k] for k in GAINS if k in row} if c != own[0] else {}
                )
                report.add(c.name, f"head {number} {angle}", [row | gains])


def average_by_angle(rows: Sequence[Row]) -> dict[str, Row]:
    """Average rows over both sides of every angle; a figure over the views that have it."""
    found: dict[str, Row] = {}
    for angle in dict.fromkeys(angle_name(r["yaw"]) for r in rows):
        both = [r for r in rows if angle_name(r["yaw"]) == angle]
        keys = dict.fromkeys(k for r in both for k in r if k != "yaw")
        found[angle] = {k: float(np.mean([r[k] for r in both if k in r])) for k in keys}
    return found


def angle_name(yaw: float) -> str:
    """Name an angle without its side."""
    return f"{'' if abs(yaw) in (0, 180) else '±'}{abs(yaw):g}°"


def with_gains_by_photos(figures: Sequence[Figure]) -> list[Figure]:
    """Add what more photos bring over the fewest."""
    note = "more than by the fewest photos, paired by head"
    return [
        *figures,
        *(
            replace(f, key=f"{f.key}_gain", title=f"{f.title}, gain by photos", note=note, lost=None)
            for f in figures
            if f.key in GAINS
        ),
    ]
