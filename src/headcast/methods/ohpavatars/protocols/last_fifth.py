"""Self-reenactment of a clip's last fifth from its first four fifths: the field against the default method.

Both are made from the same part of the clip: the field from a spread of its usable frames, the default
method from the keyframes that it takes of any video. The head is fitted to frames of the last fifth with the
identity and lens of the first part; both avatars are rendered with these same parameters, and compared
without body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.data import clips_in, stamp_of
from headcast.evaluate.driven import step_progress
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Measured, Store
from headcast.limits import Limit
from headcast.methods.base import get_method
from headcast.methods.ohpavatars.field.learner import without_body
from headcast.methods.ohpavatars.field.method import MESH_FRAMES, Insta, InstaOptions
from headcast.metrics.image import over_grey
from headcast.progress import Progress, subrange
from headcast.registry import DEFAULT_METHOD
from headcast.video import Clip, read_video
from headcast.view import to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["Options", "first_part", "measure"]

TRAIN_FRACTION = 0.8  # of the clip's frames, which are learned from
FIELD = "insta"
STILL = "nearest input"
DIAGONAL_35MM = 43.27  # millimetres of a 36 x 24 frame


@dataclass(frozen=True)
class Options:
    """Options of the protocol ``last-fifth``."""

    side: Annotated[int, Limit(128, 1024)] = 256
    """Longest side to which the clip's frames are reduced."""
    every: Annotated[int, Limit(1, 100)] = 1
    """Take every n-th frame of the clip alone."""
    video_frames: Annotated[int, Limit(2, 1000)] = 120
    """Frames that the field learns from, at most."""
    iterations: Annotated[int, Limit(1, 100_000)] = 2000
    """Steps of the field's optimisation."""
    rays: Annotated[int, Limit(64, 65536)] = 3072
    """Rays a step."""


def measure(setting: Setting) -> Report:
    """Measure both on every clip.

    Raises:
        HeadcastError: another method than the field's, or no clips.
    """
    options: Options = setting.options or Options()
    if setting.subjects != (FIELD,):
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol last-fifth: give {FIELD}")
    clips = clips_in(setting.data)
    store = Store(setting.out, {"protocol": "last-fifth", **setting.facts(), **option_facts(options)})
    with Comparer(setting.networks, {"face": "", "head": ""}) as comparer:
        report = Report(protocol="last-fifth", figures={f.key: f for f in comparer.figures})
        names = setting.chosen(list(clips))
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            try:
                found = _clip(clips[name], store, comparer, setting, options, say)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            for subject, measured in found.items():
                report.add(subject, name, measured.rows)
            kept = {c: store.kept(c, name) for c in ("real", *found)}
            shown = sorted({k for images in kept.values() for k in images})
            report.sheet += [
                [(f"{name} {k} {c}", images[k]) for c, images in kept.items() if k in images] for k in shown
            ]
    return report


def first_part(clip: Clip, every: int = 1) -> tuple[Clip, list[int]]:
    """Return the first four fifths of a clip, every n-th frame, and the frames of the last fifth."""
    count = len(clip.frames)
    end = math.floor(TRAIN_FRACTION * count)
    taken = list(range(0, end, every))
    frames = np.stack([np.asarray(clip.frames[i]) for i in taken])
    part = replace(clip, frames=frames, times=clip.times[taken], fps=clip.fps / every, audio=None)
    return replace(part, visited=None), list(range(end, count))


def _clip(
    path: Path, store: Store, comparer: Comparer, setting: Setting, options: Options, say: Progress
) -> dict[str, Measured]:
    """Measure one clip: both avatars, and the training frame of the nearest pose and expression."""
    from headcast.head.model import HeadModel
    from headcast.observe.observe import observe_video

    subjects, stamp = [STILL, DEFAULT_METHOD, FIELD], stamp_of(path)
    kept = {c: store.get(c, path.stem, stamp) for c in subjects}
    if all(kept.values()):
        return {c: m for c, m in kept.items() if m is not None}
    clip = read_video(path, setting.frames, max_side=options.side)
    train, rest = first_part(clip, options.every)
    with torch.no_grad():
        head = HeadModel.load()
        observed, _ = observe_video(train, head, options.video_frames, subrange(say, 0.0, 0.2))
        chosen = np.linspace(0, len(rest) - 1, min(setting.measured, len(rest))).round().astype(int)
        tests = observe_tests(clip, [rest[k] for k in chosen], observed, head)
    if not tests:
        raise HeadcastError(f"{path}: no face in the last fifth")
    truths = [_truth(seen, path, store, comparer) for seen in tests]
    say(0.3, f"{path.stem}: {DEFAULT_METHOD}")
    insta = InstaOptions(iterations=options.iterations, rays=options.rays)
    default = get_method()
    makers = {
        DEFAULT_METHOD: lambda p: default.reconstruct(
            observed[:MESH_FRAMES], head, default.Options(), seed=setting.seed, progress=p
        ),
        FIELD: lambda p: Insta().reconstruct(observed, head, insta, seed=setting.seed, progress=p),
    }
    found = {STILL: nearest_inputs(tests, observed)}
    for k, (name, make) in enumerate(makers.items()):
        avatar = make(subrange(say, 0.3 + 0.35 * k, 0.65 + 0.35 * k))
        with torch.no_grad():
            found[name] = render_tests(avatar, tests)
    return {
        name: compared(name, images, tests, truths, path, store, comparer) for name, images in found.items()
    }


def _truth(seen: Observation, path: Path, store: Store, comparer: Comparer) -> Truth:
    """Cut the head out of a real frame, for images to be compared with; it is stored."""
    assert seen.masks is not None
    matte = seen.masks.person * (1 - seen.masks.clothes)
    truth = comparer.truth(seen.image, seen.name, matte, {"head": matte > 0.5})
    keep_image(store, "real", path.stem, seen, truth.cut)
    return truth


def compared(
    name: str,
    images: Sequence[np.ndarray],
    tests: Sequence[Observation],
    truths: Sequence[Truth],
    path: Path,
    store: Store,
    comparer: Comparer,
) -> Measured:
    """Compare a subject's images with the real ones; rows and images are stored."""
    rows: list[Row] = []
    store.forget_images(name, path.stem)
    for seen, truth, image in zip(tests, truths, images, strict=True):
        rows.append(comparer.compare(truth, image))
        keep_image(store, name, path.stem, seen, over_grey(image))
    measured = Measured(rows, {})
    store.put(name, path.stem, measured, stamp_of(path))
    return measured


def keep_image(store: Store, subject: str, item: str, seen: Observation, rgb: np.ndarray) -> None:
    """Store an image for the sheet, named by its frame."""
    store.keep(subject, item, seen.name.split()[-1].zfill(5), rgb)


def observe_tests(
    clip: Clip, chosen: Sequence[int], observed: Sequence[Observation], head: HeadModel
) -> list[Observation]:
    """Fit the head to frames that nothing was learned from, with the identity and lens of those that were."""
    from headcast.observe.fit import Fitter
    from headcast.observe.landmarks import FaceDetector
    from headcast.observe.masks import segment

    images = {i: np.asarray(clip.frames[i]) for i in chosen}
    with FaceDetector() as detector:
        found = {i: next(iter(detector.detect(rgb)), None) for i, rgb in images.items()}
    faces = {i: d for i, d in found.items() if d is not None}
    if not faces:
        return []
    first = observed[0]
    size = first.camera.width, first.camera.height
    lens = float(first.camera.K[0, 0]) * DIAGONAL_35MM / math.hypot(*size)
    identity = first.params.identity.double().numpy()
    n = len(faces)
    fits = Fitter(head).fit_photos(list(faces.values()), [size] * n, [lens] * n, identity=identity)
    return [
        replace(
            first,
            image=images[i],
            detection=d,
            masks=segment(images[i], d),
            camera=fit.camera,
            params=fit.params,
            light=None,
            landmark_error=fit.error,
            name=f"{clip.name} frame {i}",
        )
        for (i, d), fit in zip(faces.items(), fits, strict=True)
    ]


def render_tests(avatar: Avatar, tests: Sequence[Observation]) -> list[np.ndarray]:
    """Render an avatar, without its body, as the head was fitted to the frames; straight alpha."""
    shown = without_body(avatar) if isinstance(avatar, GaussianAvatar) else avatar
    return [to_rgba(shown.render(seen.params, seen.camera)) for seen in tests]


def nearest_inputs(tests: Sequence[Observation], observed: Sequence[Observation]) -> list[np.ndarray]:
    """Return, of the frames learned from, the one most alike in landmarks: what copying would give."""
    height, width = tests[0].image.shape[:2]
    same = [o for o in observed if o.image.shape[:2] == (height, width) and o.masks is not None]
    out = []
    for seen in tests:
        best = min(same, key=lambda o: float(((o.detection.points - seen.detection.points) ** 2).sum()))
        assert best.masks is not None
        matte = best.masks.person * (1 - best.masks.clothes)
        out.append(np.dstack([best.image, np.round(matte * 255).astype(np.uint8)]))
    return out
