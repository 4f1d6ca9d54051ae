"""Self-reenactment: the first frame of a clip becomes an avatar, the rest drives it and is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from headcast.drive import drive_from
from headcast.errors import HeadcastError
from headcast.evaluate.catalogue import motion_figures, set_figures
from headcast.evaluate.clip_truth import ClipTruth, features_of, read_clip, windows_of
from headcast.evaluate.compare import Comparer
from headcast.evaluate.contestants import REAL, Contestant, contestants
from headcast.evaluate.data import clips_in, groups_of
from headcast.evaluate.movement import Performance, followed, movement_rows, steadiness
from headcast.evaluate.report import Report, Row
from headcast.evaluate.sets import add_sets
from headcast.evaluate.setting import Say, Setting
from headcast.evaluate.store import Measured, Store
from headcast.image import save_png
from headcast.metrics.foreground import cut_out
from headcast.metrics.image import over_grey
from headcast.view import to_rgba

__all__ = ["driven_frames", "measure", "source_pictures"]

SHOWN = 2
"""Frames of a clip on the sheet."""


def measure(setting: Setting) -> Report:
    """Every clip, every contestant."""
    clips = clips_in(setting.data)
    who = contestants(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "self-reenactment", **setting.facts()})
    regions = {"face": "", "foreground": "", "hair": ""}
    with Comparer(setting.networks, regions) as comparer:
        figures = [*comparer.figures, *motion_figures(), *set_figures(setting.networks, "the real frames")]
        report = Report("self-reenactment", {f.key: f for f in figures})
        features: dict[str, dict[str, list[np.ndarray]]] = {}
        names = setting.chosen(list(clips))
        for n, name in enumerate(names):
            say = _part(setting.say, n, len(names))
            try:
                found = _clip(clips[name], who, store, comparer, setting, say)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            for contestant, measured in found.items():
                report.add(contestant, name, measured.rows)
                for key, vectors in measured.features.items():
                    features.setdefault(contestant, {}).setdefault(key, []).append(vectors)
            report.sheet += sheet_lines(store, name, [REAL, *(c.name for c in who)])
    add_sets(report, features, REAL)
    report.groups = groups_of(setting.data, report.items())
    return report


def _clip(
    path: Path, who: list[Contestant], store: Store, comparer: Comparer, setting: Setting, say: Say
) -> dict[str, Measured]:
    """One clip: the real one's own figures, and every contestant's."""
    name = path.stem
    stamp = [path.stat().st_size, path.stat().st_mtime_ns]
    columns = [REAL, *(c.name for c in who)]
    facts = {REAL: stamp, **{c.name: [*stamp, c.facts] for c in who}}
    kept = {c: store.get(c, name, facts[c]) for c in columns}
    if all(kept.values()):
        return {c: m for c, m in kept.items() if m is not None}
    say(0.0, f"{name}: reading")
    truth = read_clip(path, comparer, setting.frames, setting.measured, setting.sources)
    if kept[REAL] is None:
        say(0.02, f"{name}: the real clip")
        kept[REAL] = store.once(REAL, name, lambda: real_rows(truth, setting), stamp)
        keep_pictures(store, REAL, truth, truth.frames)
    for k, c in enumerate(who):
        if kept[c.name] is None:
            part = _part(say, k + 1, len(who) + 1)
            frames = contestant_frames(c, truth, setting, part)
            measured = clip_rows(frames, truth, setting, still=c.make is None)
            store.put(c.name, name, measured, facts[c.name])
            keep_pictures(store, c.name, truth, frames)
            kept[c.name] = measured
    return {c: m for c, m in kept.items() if m is not None}


def contestant_frames(
    who: Contestant, truth: ClipTruth, setting: Setting, say: Say
) -> UInt8[np.ndarray, "t h w 4"]:
    """Pictures of every frame with straight alpha."""
    if who.make is None:
        first = truth.truths[truth.sources[0]]
        assert first.matte is not None
        alpha = np.round(first.matte * 255).astype(np.uint8)
        return np.broadcast_to(np.dstack([first.rgb, alpha]), (len(truth.frames), *alpha.shape, 4))
    say(0.0, f"{truth.name}: {who.name}: avatar")
    photos = source_pictures(truth, setting.out)
    avatar = who.make(photos, lambda share, what: say(0.3 * share, f"{truth.name}: {who.name}: {what}"))
    return driven_frames(
        avatar, truth, lambda share, what: say(0.3 + 0.5 * share, f"{truth.name}: {who.name}: {what}")
    )


def source_pictures(truth: ClipTruth, out: Path) -> list[Path]:
    """The source frames as files."""
    folder = out / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{truth.name}_{t:05d}.png" for t in truth.sources]
    for path, t in zip(paths, truth.sources, strict=True):
        save_png(path, truth.frames[t])
    return paths


@torch.no_grad()
def driven_frames(avatar: object, truth: ClipTruth, say: Say) -> UInt8[np.ndarray, "t h w 4"]:
    """An avatar driven by a clip and seen by the clip's camera; transparent around it."""
    height, width = truth.frames.shape[1:3]
    drive = drive_from(
        avatar, truth.path, camera="driver", frames=len(truth.frames), size=(width, height),  # type: ignore[arg-type]
        progress=lambda share, what: say(0.4 * share, what),
    )  # fmt: skip
    made = []
    for t, camera in enumerate(drive.cameras):
        light = None if drive.light is None else drive.light[t]
        made.append(to_rgba(avatar.render(drive.params[t], camera, light)))  # type: ignore[attr-defined]
        say(0.4 + 0.6 * (t + 1) / len(drive), "rendering")
    return np.stack(made)


def real_rows(truth: ClipTruth, setting: Setting) -> Measured:
    """The real clip's own movement and features."""
    rows = [steadiness(truth.frames, t, truth.truths[t].regions["foreground"]) for t in truth.measured]
    shown = [truth.truths[t] for t in truth.measured]
    features = features_of([s.cut for s in shown], [s.points for s in shown], setting.networks)
    if setting.networks.i3d is not None:
        features |= windows_of(cut_frames(truth), shown[0].points, setting.networks)
    return Measured(rows, features)


def cut_frames(truth: ClipTruth) -> UInt8[np.ndarray, "t h w 3"]:
    """The real clip over grey by the nearest measured frame's matte, where its figures look."""
    out = truth.frames.copy()
    known = np.array(sorted(truth.truths))
    for t in range(len(out)):
        matte = truth.truths[int(known[np.abs(known - t).argmin()])].matte
        assert matte is not None
        out[t] = cut_out(truth.frames[t], matte)
    return out


def clip_rows(
    frames: UInt8[np.ndarray, "t h w 4"], truth: ClipTruth, setting: Setting, still: bool
) -> Measured:
    """Rows of the measured frames, and features."""
    comparer = truth.comparer
    lost = {f.key: f.lost for f in motion_figures() if f.lost is not None}
    flat = np.stack([over_grey(f) for f in frames])
    if still:
        real, first = truth.performance, truth.sources[0]
        count = len(frames)
        seen: Performance | None = Performance(
            real.expression[[first] * count], real.rotation[[first] * count]
        )
    else:
        seen = followed(flat, truth.fps, truth.name)
    rows: list[Row] = []
    for t, moved in zip(
        truth.measured, movement_rows(truth.performance, seen, truth.measured, lost), strict=True
    ):
        row = comparer.compare(truth.truths[t], frames[t])
        rows.append(row | moved | steadiness(flat, t, truth.truths[t].regions["foreground"]))
    shown = [flat[t] for t in truth.measured]
    wanted = setting.networks.encoder is not None or setting.networks.inception is not None
    points = [comparer.judge.points(x) for x in shown] if wanted else [None] * len(shown)
    features = features_of(shown, points, setting.networks)
    return Measured(
        rows, {**features, **windows_of(flat, truth.truths[truth.measured[0]].points, setting.networks)}
    )


def keep_pictures(
    store: Store, contestant: str, truth: ClipTruth, frames: UInt8[np.ndarray, "t h w c"]
) -> None:
    """A few frames for the sheet."""
    for k in range(1, SHOWN + 1):
        t = truth.measured[k * len(truth.measured) // (SHOWN + 1)]
        picture = over_grey(frames[t]) if frames.shape[-1] == 4 else frames[t]
        store.keep(contestant, truth.name, f"{t:05d}", picture)


def sheet_lines(
    store: Store, item: str, columns: Sequence[str]
) -> list[list[tuple[str, UInt8[np.ndarray, "h w 3"]]]]:
    """A line for each picture kept of an item: every contestant's."""
    kept = {c: store.kept(c, item) for c in columns}
    names = sorted({n for found in kept.values() for n in found})
    return [[(f"{item} {n} {c}", kept[c][n]) for c in columns if n in kept[c]] for n in names]


def _part(say: Say, k: int, count: int) -> Say:
    """Progress of the ``k``-th of ``count`` equal steps."""
    return lambda share, what: say((k + share) / count, what)
