"""Cross-reenactment: an avatar of one person driven by another; there is no true image to compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.catalogue import ROOM, cross_figures, motion_figures, set_figures
from headcast.evaluate.clip_truth import ClipTruth, features_of, read_clip, windows_of
from headcast.evaluate.compare import Comparer, Truth, face_square
from headcast.evaluate.data import clips_in
from headcast.evaluate.driven import keep_images, sheet_lines, step_progress, subject_frames
from headcast.evaluate.movement import Performance, movement_rows, steadiness, track_performance
from headcast.evaluate.report import Report, Row
from headcast.evaluate.set_distances import add_set_distances
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import REAL, Subject, find_subjects
from headcast.metrics.face import face_mask
from headcast.metrics.figure import Figure
from headcast.metrics.image import over_grey
from headcast.metrics.sharpness import relative_sharpness
from headcast.progress import Progress

__all__ = ["measure", "pairs_among"]


def measure(setting: Setting) -> Report:
    """Measure every method on every pair of clips."""
    clips = clips_in(setting.data)
    who = find_subjects(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "cross-reenactment", **setting.facts()})
    with Comparer(setting.networks, {}) as comparer:
        report = Report(protocol="cross-reenactment", figures={f.key: f for f in _figures(setting)})
        features: dict[str, dict[str, list[np.ndarray]]] = {}
        pairs = pairs_among(list(clips), setting)
        known: dict[str, ClipTruth] = {}

        def clip(name: str) -> ClipTruth:
            if name not in known:
                for old in list(known)[:-1]:  # two clips at most are held in memory
                    del known[old]
                known[name] = read_clip(
                    clips[name], comparer, setting.frames, setting.measured, setting.sources
                )
            return known[name]

        for n, (source, driver) in enumerate(pairs):
            item = f"{source} driven by {driver}"
            stamps = [[p.stat().st_size, p.stat().st_mtime_ns] for p in (clips[source], clips[driver])]
            facts = {REAL: stamps, **{c.name: [*stamps, c.facts] for c in who}}
            say = step_progress(setting.say, n, len(pairs))
            try:
                found = {c: store.get(c, item, f) for c, f in facts.items()}
                if not all(found.values()):
                    _pair(item, clip(source), clip(driver), who, store, setting, facts, say)
                    found = {c: store.get(c, item, f) for c, f in facts.items()}
            except HeadcastError as e:
                report.skipped[item] = str(e)
                continue
            _add_measured(report, features, item, found)
            report.sheet += sheet_lines(store, item, [REAL, *(c.name for c in who)])
    add_set_distances(report, features, REAL)
    report.notes.append(f"'{REAL}' is the driver; its flicker and warping error are the driver's")
    return report


def _figures(setting: Setting) -> list[Figure]:
    return [
        *cross_figures(setting.networks),
        *motion_figures("the driver"),
        *set_figures(setting.networks, "the source's real frames"),
    ]


def _add_measured(
    report: Report,
    features: dict[str, dict[str, list[np.ndarray]]],
    item: str,
    found: dict[str, Measured | None],
) -> None:
    """Add a pair's rows to the report and its vectors to ``features`` (method, set), in place."""
    for subject, measured in found.items():
        if measured is None:
            continue
        report.add(subject, item, measured.rows)
        for key, vectors in measured.features.items():
            features.setdefault(subject, {}).setdefault(key, []).append(vectors)


def pairs_among(names: list[str], setting: Setting) -> list[tuple[str, str]]:
    """Return the pairs asked for, or each clip driven by the next.

    Raises:
        HeadcastError: a name that is not there; a single clip.
    """
    for name in (n for pair in setting.pairs for n in pair):
        if name not in names:
            raise HeadcastError(f"--pairs: no clip '{name}' in {setting.data}; there are {', '.join(names)}")
    if setting.pairs:
        return list(setting.pairs)
    if len(names) < 2:
        raise HeadcastError(f"{setting.data}: cross-reenactment needs two clips; there is one")
    chosen = setting.chosen(names)
    return [(a, names[(names.index(a) + 1) % len(names)]) for a in chosen]


def _pair(
    item: str,
    source: ClipTruth,
    driver: ClipTruth,
    who: list[Subject],
    store: Store,
    setting: Setting,
    facts: Mapping[str, object],
    say: Progress,
) -> None:
    """Measure what is missing of one pair."""
    first = source.truths[source.sources[0]]

    def real() -> Measured:
        rows = [steadiness(driver.frames, t, driver.truths[t].regions["foreground"]) for t in driver.measured]
        shown = [source.truths[t] for t in source.measured]
        found = features_of([s.cut for s in shown], [s.points for s in shown], setting.networks)
        if setting.networks.i3d is not None:
            found |= windows_of(source.frames, first.points, setting.networks)
        return Measured(rows, found)

    say(0.0, f"{item}: real clips")
    keep_images(store, REAL, item, driver, driver.frames)
    store.once(REAL, item, real, facts[REAL])
    for k, c in enumerate(who):
        if store.get(c.name, item, facts[c.name]) is not None:
            continue
        frames = subject_frames(c, source, driver, setting, step_progress(say, k + 1, len(who) + 1))
        found = pair_rows(frames, source, driver, setting, still=c.make is None)
        keep_images(store, c.name, item, driver, frames)
        store.put(c.name, item, found, facts[c.name])


def pair_rows(
    frames: UInt8[np.ndarray, "t h w 4"], source: ClipTruth, driver: ClipTruth, setting: Setting, still: bool
) -> Measured:
    """Compute rows of the measured frames, and features."""
    comparer, first = source.comparer, source.truths[source.sources[0]]
    lost = {f.key: f.lost for f in motion_figures() if f.lost is not None}
    flat = np.stack([over_grey(f) for f in frames])
    tracked = _performance_of(flat, source, driver, still)
    moved = movement_rows(driver.performance, tracked, driver.measured, lost)
    rows: list[Row] = []
    points = [comparer.landmarks.points(flat[t]) for t in driver.measured]
    for t, found, row in zip(driver.measured, points, moved, strict=True):
        person = frames[t][..., 3] > 127
        rows.append(
            {
                **row,
                **comparer.identity(first.descriptors, flat[t], found),
                "lost": float(found is None),
                **({} if found is None else {"sharpness": same_size_sharpness(first, flat[t], found)}),
                **steadiness(flat, t, person),
            }
        )
    features = features_of([flat[t] for t in driver.measured], points, setting.networks)
    if setting.networks.i3d is not None:
        features |= windows_of(flat, driver.truths[driver.measured[0]].points, setting.networks)
    return Measured(rows, features)


def _performance_of(
    frames: UInt8[np.ndarray, "t h w 3"], source: ClipTruth, driver: ClipTruth, still: bool
) -> Performance | None:
    """Return the performance that the frames show: a still one, or tracked."""
    if still:
        at = [source.sources[0]] * len(frames)
        own = source.performance
        return Performance(own.expression[at], own.rotation[at])
    return track_performance(frames, driver.fps, driver.name)


def same_size_sharpness(
    first: Truth, fake: UInt8[np.ndarray, "h w 3"], found: Float[np.ndarray, "478 2"]
) -> float:
    """Compare sharpness of a face of another size and pose, both in squares of one size around landmarks."""
    assert first.points is not None
    squares = [face_square(x, p) for x, p in ((first.cut, first.points), (fake, found))]
    side = squares[0].shape[0]
    low, high = first.points.min(0), first.points.max(0)
    edge = float((high - low).max()) * ROOM
    inside = face_mask((first.points - (low + high) / 2) / edge * side + side / 2, side, side)
    return relative_sharpness(squares[0], squares[1], inside)
