"""Photos or a video to observations: read, detect, pick the face, fit, segment, estimate the light."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.image import LoadedImage, load_image
from headcast.observe.ahead import take_results
from headcast.observe.clip_frames import NO_FIT, choose_frames, observe_frame, unusable_note
from headcast.observe.fit import Fitter, FrameFit
from headcast.observe.landmarks import FaceDetector, pick_face, quarter_turns, turn_detection
from headcast.observe.light import estimate_light
from headcast.observe.masks import segment
from headcast.observe.photo import PhotoFace, find_photo_face, segment_face, turn_upright
from headcast.observe.plausible import check_fit
from headcast.observe.same_person import check_one_person, measure_traits
from headcast.observe.track import DetectedClip, detect_frames, good_keyframes, read_and_detect
from headcast.observe.types import Detection, Masks, Observation
from headcast.progress import Progress, subrange
from headcast.video import Clip

__all__ = ["VIDEO_KEYS", "Progress", "observe_each", "observe_photo", "observe_photos", "observe_video"]


VIDEO_KEYS = 12  # frames that are fitted jointly
MIN_FRAMES = 8  # of a clip, usable, for methods that ask for more than the keyframes


def observe_photo(
    photo: str | Path | LoadedImage,
    head: HeadModel,
    face: int | None = None,
    progress: Progress | None = None,
) -> Observation:
    """Observe one photo: detect, fit, segment, estimate the light.

    Args:
        face: which face, counted from 1 by size; None takes the largest.

    Raises:
        HeadcastError: no face, a face too small, a profile view, an unreadable file.
    """
    return observe_photos([photo], head, [face], progress)[0]


def observe_photos(
    photos: Sequence[str | Path | LoadedImage],
    head: HeadModel,
    faces: Sequence[int | None] | None = None,
    progress: Progress | None = None,
    same_person: bool = False,
) -> list[Observation]:
    """Observe photos of one person jointly, with a common identity.

    Args:
        same_person: the user says that all show one person: photos that differ are not refused.

    Raises:
        HeadcastError: see ``observe_photo``; photos that seem to show two people.
    """
    say = progress or (lambda fraction, what: None)
    say(0.0, "reading")
    images = [p if isinstance(p, LoadedImage) else load_image(p) for p in photos]
    faces = list(faces or [None] * len(images))
    say(0.1, "finding the face")
    fitter = Fitter(head)
    helped = helper_results(photos, faces)
    picked = _pick_faces(helped, images, faces)
    upright = [turn_upright(im, p.turns) for im, p in zip(images, picked, strict=True)]
    say(0.3, "fitting the head")
    sizes = [(rgb.shape[1], rgb.shape[0]) for rgb in upright]
    focals = [im.exif_focal_35mm for im in images]
    detections = [p.detection for p in picked]
    fits = fitter.fit_photos(detections, sizes, focals)
    for im, p, fit in zip(images, picked, fits, strict=True):
        check_fit(fit, p.detection, im.name)
    doubts = _check_people(fitter, images, upright, picked, same_person) if len(images) > 1 else ()
    out = []
    for i, (im, p, fit) in enumerate(zip(images, picked, fits, strict=True)):
        say(0.4 + 0.6 * i / len(images), "separating person, skin and hair")
        notes = (*im.notes, *([p.note] if p.note else []), *(doubts if i == 0 else ()))
        rgb = np.ascontiguousarray(np.rot90(im.filled(), p.turns))
        out.append(assemble_observation(rgb, im.name, p.detection, fit, head, segment_face(im, p), notes))
    say(1.0, "observed")
    return out


def observe_each(
    photos: Sequence[str | Path | LoadedImage],
    head: HeadModel,
    face: int | None = None,
    progress: Progress | None = None,
) -> list[Observation]:
    """Observe photos, each by itself; those without a usable face are left out, and the first of the others
    notes why.

    Args:
        face: which face of each, counted from 1 by size; None takes the largest.

    Raises:
        HeadcastError: none can be used; the reason of the first.
    """
    out, errors = [], []
    for n, photo in enumerate(photos):
        say = subrange(progress, n / len(photos), (n + 1) / len(photos))
        try:
            out.append(observe_photo(photo, head, face, say))
        except HeadcastError as e:
            errors.append(e)
    if not out:
        raise errors[0]
    notes = tuple(f"left out, {e}" for e in errors)
    return [replace(out[0], notes=(*out[0].notes, *notes)), *out[1:]]


def _check_people(
    fitter: Fitter,
    images: list[LoadedImage],
    upright: list[np.ndarray],
    picked: list[PhotoFace],
    same_person: bool,
) -> tuple[str, ...]:
    """Refuse photos that seem to show several people; return what to warn of."""
    traits = [
        measure_traits(rgb, p.detection, fitter, im.exif_focal_35mm, im.name)
        for im, rgb, p in zip(images, upright, picked, strict=True)
    ]
    return check_one_person(traits, same_person)


def _pick_faces(
    helped: list[PhotoFace] | None, images: list[LoadedImage], faces: Sequence[int | None]
) -> list[PhotoFace]:
    """Return the face of each photo, from the helper process where there was one."""
    if helped is not None:
        return helped
    with FaceDetector() as detector:
        return [find_photo_face(detector, im, f) for im, f in zip(images, faces, strict=True)]


def helper_results(
    photos: Sequence[str | Path | LoadedImage], faces: Sequence[int | None]
) -> list[PhotoFace] | None:
    """Return what a helper process found in these photos, if one was started (see ``observe.ahead``)."""
    paths = [Path(p) for p in photos if not isinstance(p, LoadedImage)]
    if len(paths) < len(photos) or len(set(faces)) != 1:
        return None
    return take_results(paths, faces[0])


def observe_video(
    video: str | Path | Clip,
    head: HeadModel,
    count: int = VIDEO_KEYS,
    progress: Progress | None = None,
    face: int | None = None,
) -> tuple[list[Observation], float]:
    """Observe the clip's best and most different frames, the best first; also return its frame rate.

    Args:
        count: of frames at most. ``VIDEO_KEYS`` are fitted jointly; what is asked for beyond them is a spread
            of all usable frames in order, with the identity of the first ones, small, and without light.
        face: which person, counted from 1 by size; None takes the largest (see ``choose_person``).

    Raises:
        HeadcastError: no face, no such face, a face too small, an unreadable file; where more than the
            keyframes are asked for, fewer than ``MIN_FRAMES`` usable ones.
    """
    say = progress or (lambda fraction, what: None)
    say(0.0, "reading")
    found = (
        detect_frames(video, lambda fraction: say(0.05 + 0.55 * fraction, "finding the face"), face)
        if isinstance(video, Clip)
        else read_and_detect(
            video, progress=lambda fraction: say(0.6 * fraction, "finding the face"), face=face
        )
    )
    clip = found.clip
    keys = good_keyframes(clip, found.detections, found.sharpness, min(count, VIDEO_KEYS))
    images, detections = _upright_keyframes(found, keys)
    pick_face(detections[:1], None, clip.name)
    say(0.65, "fitting the head")
    height, width = images[keys[0]].shape[:2]
    fitter = Fitter(head)
    fits = fitter.fit_photos(detections, [(width, height)] * len(keys))
    check_fit(fits[0], detections[0], clip.name)
    out, end = [], 0.7 + 0.3 * min(1.0, VIDEO_KEYS / count)
    for n, (i, d, fit) in enumerate(zip(keys, detections, fits, strict=True)):
        say(0.7 + (end - 0.7) * n / len(keys), "separating person, skin and hair")
        notes, rgb = clip.notes + found.notes if n == 0 else (), images[i]
        name = f"{clip.name} frame {i}"
        out.append(assemble_observation(rgb, name, d, fit, head, segment(rgb, d), notes))
    if count > VIDEO_KEYS:
        rest: Progress = lambda fraction, what: say(end + (1 - end) * fraction, what)  # noqa: E731
        out = _with_more_frames(found, dict(zip(keys, fits, strict=True)), out, count, fitter, rest)
    say(1.0, "observed")
    return out, clip.fps


def _with_more_frames(
    found: DetectedClip,
    fits: dict[int, FrameFit],
    observed: list[Observation],
    count: int,
    fitter: Fitter,
    say: Progress,
) -> list[Observation]:
    """Add a spread of the clip's usable frames to its observed keyframes; the first tells what was left out.

    Raises:
        HeadcastError: fewer than ``MIN_FRAMES`` usable frames.
    """
    clip, known = found.clip, dict(fits)
    chosen = choose_frames(found.detections, found.sharpness, list(fits), count - len(fits))
    out, unusable = list(observed), chosen.unusable
    for n, i in enumerate(chosen.frames):
        say(n / len(chosen.frames), f"fitting and segmenting frame {n + 1} of {len(chosen.frames)}")
        images, (detection,) = _upright_keyframes(found, [i], refine=False)
        near = known[min(known, key=lambda k: abs(k - i))]
        seen, known[i] = observe_frame(images[i], f"{clip.name} frame {i}", detection, fitter, near)
        if seen is None:
            unusable[NO_FIT] += 1
        else:
            out.append(seen)
    total = len(found.detections)
    note = unusable_note(unusable, total)
    if len(out) < MIN_FRAMES:
        why = note or f"it has {total} frames"
        raise HeadcastError(
            f"{clip.name}: {len(out)} usable frames, at least {MIN_FRAMES} are needed ({why}); give a longer "
            "and sharper clip of one head"
        )
    if note:
        out[0] = replace(out[0], notes=(*out[0].notes, note))
    return out


def _upright_keyframes(
    found: DetectedClip, keys: list[int], refine: bool = True
) -> tuple[dict[int, np.ndarray], list[Detection]]:
    """Return the chosen frames, turned upright about the face, and their faces.

    Args:
        refine: measure the faces carefully; otherwise as they were detected when the clip was read.
    """
    images = {i: np.asarray(found.clip.frames[i]) for i in sorted(keys)}  # in order: a file is decoded once
    detections = [d for i in keys if (d := found.detections[i]) is not None]
    if refine:
        with FaceDetector() as detector:
            detections = [best_match(detector.detect(images[i]), found.detections[i]) for i in keys]
    height, width = found.clip.frames.shape[1:3]
    turns = Counter(quarter_turns(d.points) for d in detections).most_common(1)[0][0]
    upright = {i: np.ascontiguousarray(np.rot90(x, turns)) for i, x in images.items()}
    return upright, [turn_detection(d, (width, height), turns) for d in detections]


def best_match(found: list[Detection], tracked: Detection | None) -> Detection:
    """Return the detection nearest to the tracked one; the tracked one when there is none."""
    if tracked is None:
        return found[0]
    near = [
        d
        for d in found
        if np.abs(np.subtract(d.box, tracked.box)).max() < 0.2 * (tracked.box[2] - tracked.box[0])
    ]
    return near[0] if near else tracked


def assemble_observation(
    rgb: np.ndarray,
    name: str,
    detection: Detection,
    fit: FrameFit,
    head: HeadModel,
    masks: Masks,
    notes: tuple[str, ...],
) -> Observation:
    """Add masks and light to a fit."""
    light = estimate_light(rgb, masks, head, fit.params, fit.camera, detection.points)
    return Observation(
        image=rgb,
        detection=detection,
        masks=masks,
        camera=fit.camera,
        params=fit.params,
        light=light,
        landmark_error=fit.error,
        name=name,
        notes=notes,
    )
