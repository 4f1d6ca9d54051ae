"""Self-reenactment: the first frame of a clip becomes an avatar, the rest drives it and is the truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.catalogue import motion_figures, set_figures
from headcast.evaluate.clip_truth import ClipTruth, features_of, read_clip, windows_of
from headcast.evaluate.compare import Comparer
from headcast.evaluate.data import clips_in, groups_of
from headcast.evaluate.driven import keep_images, sheet_lines, step_progress, subject_frames
from headcast.evaluate.landmarks import LARGE_TURN, apparent_turn
from headcast.evaluate.movement import Performance, movement_rows, steadiness, track_performance
from headcast.evaluate.report import Report, Row
from headcast.evaluate.set_distances import add_set_distances
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import REAL, Subject, find_subjects
from headcast.metrics.figure import Figure
from headcast.metrics.foreground import cut_out
from headcast.metrics.image import over_grey, psnr
from headcast.progress import Progress

__all__ = ["Options", "measure"]

FAR = ("face_psnr", "gain", "akd", "identity")
"""Figures that are also given of the frames alone in which the face is turned far."""


@dataclass(frozen=True)
class Options:
    """Options of the protocol ``self-reenactment``."""

    fixed_step: bool = False
    """Compare every n-th frame (of --measured in all), instead of frames spread over the clip."""
    encoded: bool = False
    """Write the avatar's frames as animate does, and compare what is read from that video."""


def measure(setting: Setting) -> Report:
    """Measure every method on every clip."""
    options = setting.options or Options()
    clips = clips_in(setting.data)
    who = find_subjects(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "self-reenactment", **setting.facts(), **option_facts(options)})
    regions = {"face": "", "foreground": "", "hair": ""}
    with Comparer(setting.networks, regions) as comparer:
        figures = [*with_gains_over_source(comparer.figures), *motion_figures()]
        figures += set_figures(setting.networks, "the real frames")
        report = Report(protocol="self-reenactment", figures={f.key: f for f in figures})
        features: dict[str, dict[str, list[np.ndarray]]] = {}
        names = setting.chosen(list(clips))
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            try:
                found = _clip(clips[name], who, store, comparer, setting, options, say)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            for subject, measured in found.items():
                report.add(subject, name, measured.rows)
                for key, vectors in measured.features.items():
                    features.setdefault(subject, {}).setdefault(key, []).append(vectors)
            report.sheet += sheet_lines(store, name, [REAL, *(c.name for c in who)])
    add_set_distances(report, features, REAL)
    report.groups = groups_of(setting.data, report.items())
    return report


def _clip(
    path: Path,
    who: list[Subject],
    store: Store,
    comparer: Comparer,
    setting: Setting,
    options: Options,
    say: Progress,
) -> dict[str, Measured]:
    """Measure one clip: the real one's own figures, and every method's."""
    name = path.stem
    stamp = [path.stat().st_size, path.stat().st_mtime_ns]
    columns = [REAL, *(c.name for c in who)]
    facts = {REAL: stamp, **{c.name: [*stamp, c.facts] for c in who}}
    kept = {c: store.get(c, name, facts[c]) for c in columns}
    if all(kept.values()):
        return {c: m for c, m in kept.items() if m is not None}
    say(0.0, f"{name}: reading")
    truth = read_clip(path, comparer, setting.frames, setting.measured, setting.sources, options.fixed_step)
    if kept[REAL] is None:
        say(0.02, f"{name}: the real clip")
        keep_images(store, REAL, name, truth, truth.frames)
        kept[REAL] = store.once(REAL, name, lambda: real_rows(truth, setting), stamp)
    for k, c in enumerate(who):
        if kept[c.name] is None:
            step = step_progress(say, k + 1, len(who) + 1)
            frames = subject_frames(c, truth, truth, setting, step, options.encoded)
            measured = clip_rows(frames, truth, setting, still=c.make is None)
            keep_images(store, c.name, name, truth, frames)
            store.put(c.name, name, measured, facts[c.name])
            kept[c.name] = measured
    return {c: m for c, m in kept.items() if m is not None}


def with_gains_over_source(figures: Iterable[Figure]) -> list[Figure]:
    """Add the gains over the unchanged source frame, and some figures of frames turned far alone."""
    note = "less that of the unchanged source frame: 0 is as good as not moving"
    made: list[Figure] = []
    for f in figures:
        made.append(f)
        if f.key in ("face_psnr", "foreground_psnr"):
            key = f.key.replace("face_psnr", "gain").replace("foreground_psnr", "foreground_gain")
            made.append(replace(f, key=key, title=f"{f.title}, gain", note=note, lost=None))
    far = f"frames alone whose nose tip lies {LARGE_TURN} iris distances off the middle of the eyes, or more"
    return made + [
        replace(f, key=f"{f.key}_far", title=f"{f.title}, turned far", note=far) for f in made if f.key in FAR
    ]


def gain_row(row: Row, t: int, truth: ClipTruth) -> Row:
    """Subtract figures of the unchanged source frame from those of frame ``t``."""
    real, first = truth.truths[t], truth.truths[truth.sources[0]]
    face, person = real.regions["face"], real.regions["foreground"]
    assert real.points is not None
    found = row | {"gain": row["face_psnr"] - psnr(real.rgb, first.rgb, face)}
    if person.any():
        found["foreground_gain"] = row["foreground_psnr"] - psnr(real.cut, first.cut, person)
    if apparent_turn(real.points) > LARGE_TURN:
        found |= {f"{k}_far": found[k] for k in FAR if k in found}
    return found


def real_rows(truth: ClipTruth, setting: Setting) -> Measured:
    """Compute the real clip's own movement and features."""
    rows = [steadiness(truth.frames, t, truth.truths[t].regions["foreground"]) for t in truth.measured]
    shown = [truth.truths[t] for t in truth.measured]
    features = features_of([s.cut for s in shown], [s.points for s in shown], setting.networks)
    if setting.networks.i3d is not None:
        features |= windows_of(cut_frames(truth), shown[0].points, setting.networks)
    return Measured(rows, features)


def cut_frames(truth: ClipTruth) -> UInt8[np.ndarray, "t h w 3"]:
    """Composite the real clip over grey by the nearest measured frame's matte."""
    out = truth.frames.copy()
    known = np.array(sorted(truth.truths))
    for t in range(len(out)):
        matte = truth.truths[int(known[np.abs(known - t).argmin()])].matte
        assert matte is not None
        out[t] = cut_out(truth.frames[t], matte)
    return out


def clip_rows(
    frames: UInt8[np.ndarray, "t h w c"], truth: ClipTruth, setting: Setting, still: bool
) -> Measured:
    """Compute rows of the measured frames, and features."""
    comparer = truth.comparer
    lost = {f.key: f.lost for f in motion_figures() if f.lost is not None}
    flat = np.stack([over_grey(f) for f in frames]) if frames.shape[-1] == 4 else frames
    if still:
        real, first = truth.performance, truth.sources[0]
        count = len(frames)
        tracked: Performance | None = Performance(
            real.expression[[first] * count], real.rotation[[first] * count]
        )
    else:
        tracked = track_performance(flat, truth.fps, truth.name)
    rows: list[Row] = []
    for t, moved in zip(
        truth.measured, movement_rows(truth.performance, tracked, truth.measured, lost), strict=True
    ):
        row = gain_row(comparer.compare(truth.truths[t], frames[t]), t, truth)
        rows.append(row | moved | steadiness(flat, t, truth.truths[t].regions["foreground"]))
    shown = [flat[t] for t in truth.measured]
    wanted = setting.networks.encoder is not None or setting.networks.inception is not None
    points = [comparer.landmarks.points(x) for x in shown] if wanted else [None] * len(shown)
    features = features_of(shown, points, setting.networks)
    return Measured(
        rows, {**features, **windows_of(flat, truth.truths[truth.measured[0]].points, setting.networks)}
    )
