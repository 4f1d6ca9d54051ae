"""Avatars of the methods under test driven by a clip: frames, source images, lines of the sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from headcast import api
from headcast.avatar.base import Avatar
from headcast.drive import drive_from
from headcast.evaluate.clip_truth import ClipTruth
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.evaluate.subjects import Subject
from headcast.image import save_png
from headcast.metrics.image import over_grey
from headcast.progress import Progress
from headcast.video import read_video
from headcast.view import to_rgba

__all__ = [
    "driven_frames",
    "keep_images",
    "sheet_lines",
    "step_progress",
    "subject_frames",
    "write_source_images",
]

SHOWN = 2
"""Frames of a clip on the sheet."""


def subject_frames(
    who: Subject,
    source: ClipTruth,
    driver: ClipTruth,
    setting: Setting,
    say: Progress,
    encoded: bool = False,
) -> UInt8[np.ndarray, "t h w c"]:
    """Render straight-alpha images of every frame of ``driver`` by an avatar of ``source``'s source frames.

    ``encoded``: over grey, as they are read from the video that ``animate`` writes.
    """
    if who.make is None:
        first = source.truths[source.sources[0]]
        assert first.matte is not None
        alpha = np.round(first.matte * 255).astype(np.uint8)
        return np.broadcast_to(np.dstack([first.rgb, alpha]), (len(driver.frames), *alpha.shape, 4))
    words = f"{driver.name}: {who.name}"
    say(0.0, f"{words}: avatar")
    photos = write_source_images(source, setting.out)
    avatar = who.make(photos, lambda fraction, what: say(0.3 * fraction, f"{words}: {what}"))
    driving: Progress = lambda fraction, what: say(0.3 + 0.5 * fraction, f"{words}: {what}")  # noqa: E731
    if encoded:
        return encoded_frames(avatar, driver, setting.out / "videos" / who.name, driving)
    return driven_frames(avatar, driver, driving)


def write_source_images(truth: ClipTruth, out: Path) -> list[Path]:
    """Write the source frames as files."""
    folder = out / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{truth.name}_{t:05d}.png" for t in truth.sources]
    for path, t in zip(paths, truth.sources, strict=True):
        save_png(path, truth.frames[t])
    return paths


@torch.no_grad()
def driven_frames(avatar: Avatar, truth: ClipTruth, say: Progress) -> UInt8[np.ndarray, "t h w 4"]:
    """Render an avatar driven by a clip, from the clip's camera; transparent around it."""
    height, width = truth.frames.shape[1:3]
    drive = drive_from(
        avatar,
        truth.path,
        camera="driver",
        frames=len(truth.frames),
        size=(width, height),
        progress=lambda fraction, what: say(0.4 * fraction, what),
    )
    made = []
    for t, camera in enumerate(drive.cameras):
        made.append(to_rgba(drive.render(avatar, t, camera)))
        say(0.4 + 0.6 * (t + 1) / len(drive), "rendering")
    return np.stack(made)


def encoded_frames(
    avatar: Avatar, truth: ClipTruth, folder: Path, say: Progress
) -> UInt8[np.ndarray, "t h w 3"]:
    """Decode the video that ``animate`` makes of an avatar driven by a clip, over grey; the file is kept."""
    folder = folder.with_name(folder.name.replace(":", "_"))
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / f"{truth.name}.mp4"
    count = len(truth.frames)
    api.animate(avatar, truth.path, video, camera="driver", frames=count, background="grey", progress=say)
    return np.asarray(read_video(video, one_shot=False).frames[:])


def keep_images(
    store: Store, subject: str, item: str, truth: ClipTruth, frames: UInt8[np.ndarray, "t h w c"]
) -> None:
    """Store a few frames for the sheet, in place of those of an earlier run."""
    store.forget_images(subject, item)
    for k in range(1, SHOWN + 1):
        t = truth.measured[k * len(truth.measured) // (SHOWN + 1)]
        image = over_grey(frames[t]) if frames.shape[-1] == 4 else frames[t]
        store.keep(subject, item, f"{t:05d}", image)


def sheet_lines(
    store: Store, item: str, columns: Sequence[str]
) -> list[list[tuple[str, UInt8[np.ndarray, "h w 3"]]]]:
    """Collect a line for each image stored of an item: every method's."""
    kept = {c: store.kept(c, item) for c in columns}
    names = sorted({n for found in kept.values() for n in found})
    return [[(f"{item} {n} {c}", kept[c][n]) for c in columns if n in kept[c]] for n in names]


def step_progress(say: Progress, k: int, count: int) -> Progress:
    """Report progress of the ``k``-th of ``count`` equal steps."""
    return lambda fraction, what: say((k + fraction) / count, what)
