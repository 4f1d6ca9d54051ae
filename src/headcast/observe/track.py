"""Track one head through a clip: identity from keyframes, each frame in turn, smoothing without lag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import HeadParams
from headcast.observe.fit import Fitter, FrameFit, eye_openness, target_of
from headcast.observe.landmark_points import iris_distance
from headcast.observe.people import PeopleVisitor, choose_person
from headcast.observe.personal import PersonalLandmarks, personal_model
from headcast.observe.smooth import CALM, noise_of, reject_spikes, smooth_curves, whittaker
from headcast.observe.solver import Frame, rotation_of
from headcast.observe.types import Detection
from headcast.progress import Progress
from headcast.rotation import matrix_to_axis_angle
from headcast.video import Clip, read_video

__all__ = [
    "DetectedClip",
    "Track",
    "detect_frames",
    "good_keyframes",
    "keyframes",
    "read_and_detect",
    "read_and_track",
    "track_clip",
    "track_detections",
]

KEYFRAMES = 24
MANY_FRAMES = 300  # after which progress is shown as half, while a clip's length is not known
LEFT_GAZE, RIGHT_GAZE = slice(6, 8), slice(8, 10)  # columns of yaw and pitch among the curves of a track
FIRST_WEIGHT = 10  # column of the first expression weight among the curves of a track
BLINKS = [FIRST_WEIGHT + EXPRESSION_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
SAME_PERSON = 1.12
"""Same person: the avatar's identity and points fit at most this much worse than an identity of the clip's
own."""
OWN_WIDTH = 0.8
"""Of the prior of all weights while identities are compared, and with an identity of the clip's own: what the
identity basis lacks of the person must go somewhere."""


@dataclass(frozen=True)
class Track:
    """One head tracked through a clip.

    Attributes:
        params: batched over the frames; gaze as eyeLook* weights.
        camera: the same for all frames. size: width, height. fps: frames per second.
        detections: landmarks of every frame, None where no face was detected (the head is interpolated).
        errors: (T,) median distance of the inner landmarks, % of the iris distance; nan without a face.
        same_person: whether the avatar's own identity and points were used.
        notes: what the user should know.
    """

    params: HeadParams
    camera: Camera
    detections: tuple[Detection | None, ...]
    size: tuple[int, int]
    fps: float
    errors: Float[np.ndarray, " t"]
    same_person: bool
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.detections)


def track_clip(
    clip: Clip,
    head: HeadModel,
    identity: torch.Tensor | None = None,
    personal: PersonalLandmarks | None = None,
    smooth: bool = True,
    progress: Progress | None = None,
    fitter: Fitter | None = None,
) -> Track:
    """Track the head of a clip.

    Args:
        identity, personal: of the avatar to be driven. They are used when the clip shows the same person,
            which is decided by comparing how well they fit; otherwise the clip gets an identity of its own.

    Raises:
        HeadcastError: no face in the clip, or one in fewer than half of its frames.
    """
    say = progress or (lambda fraction, what: None)
    found = detect_frames(clip, lambda fraction: say(0.7 * fraction, "finding the face"))
    return _track_detected(found, head, identity, personal, smooth, say, fitter)


def read_and_track(
    path: str | Path,
    head: HeadModel,
    max_frames: int | None = None,
    *,
    identity: torch.Tensor | None = None,
    personal: PersonalLandmarks | None = None,
    progress: Progress | None = None,
    face: int | None = None,
) -> tuple[Clip, Track]:
    """Read a clip, or the first ``max_frames`` frames of it, and track its head, as ``track_clip`` does."""
    say = progress or (lambda fraction, what: None)
    found = read_and_detect(path, max_frames, lambda fraction: say(0.7 * fraction, "finding the face"), face)
    return found.clip, _track_detected(found, head, identity, personal, True, say, None)


def _track_detected(
    found: DetectedClip,
    head: HeadModel,
    identity: torch.Tensor | None,
    personal: PersonalLandmarks | None,
    smooth: bool,
    say: Progress,
    fitter: Fitter | None,
) -> Track:
    height, width = found.clip.frames.shape[1:3]
    track = track_detections(
        found.detections,
        (width, height),
        found.clip.fps,
        head,
        found.clip.name,
        identity,
        personal,
        smooth,
        lambda fraction: say(0.7 + 0.3 * fraction, "fitting the head"),
        fitter,
    )
    return replace(track, notes=found.notes + track.notes)


class DetectedClip(NamedTuple):
    """A clip with the face of one person in its frames.

    Attributes:
        detections: None where the person is out of sight.
        sharpness: mean square gradient inside the face's box, 0 without a face.
        notes: who else is there.
    """

    clip: Clip
    detections: list[Detection | None]
    sharpness: list[float]
    notes: tuple[str, ...] = ()


def read_and_detect(
    path: str | Path,
    max_frames: int | None = None,
    progress: Callable[[float], None] | None = None,
    face: int | None = None,
) -> DetectedClip:
    """Read a clip and detect one person's face in it; one too large for memory is decoded only once for both.

    Of a clip with cuts the longest shot with a face is kept.

    Args:
        face: which person, counted from 1 by size; None takes the largest (see ``choose_person``).

    Raises:
        HeadcastError: see ``read_video`` and ``choose_person``.
    """
    say = progress or (lambda fraction: None)
    with PeopleVisitor(lambda n: say(n / (n + MANY_FRAMES))) as visitor:
        clip = read_video(path, max_frames, visit=visitor, is_wanted=visitor.shows_face)
    if clip.visited is None:
        return detect_frames(clip, say, face)
    return DetectedClip(clip, *choose_person(visitor.merge(clip.visited), face, clip.name))


def detect_frames(clip: Clip, progress: Callable[[float], None], face: int | None = None) -> DetectedClip:
    """Detect one person's face in every frame of a clip, visited in order."""
    with PeopleVisitor(lambda n: progress(n / len(clip.frames))) as visitor:
        people = [visitor(frame) for frame in clip.frames]
    return DetectedClip(clip, *choose_person(visitor.merge(people), face, clip.name))


def track_detections(
    found: Sequence[Detection | None],
    size: tuple[int, int],
    fps: float,
    head: HeadModel,
    name: str = "clip",
    identity: torch.Tensor | None = None,
    personal: PersonalLandmarks | None = None,
    smooth: bool = True,
    progress: Callable[[float], None] | None = None,
    fitter: Fitter | None = None,
) -> Track:
    """Track from landmarks that are already detected."""
    faces = {i: d for i, d in enumerate(found) if d is not None}
    visible = list(faces)
    if not visible:
        raise HeadcastError(f"{name}: no face found; use a clip of one roughly frontal head")
    if len(visible) < 0.5 * len(found):
        raise HeadcastError(
            f"{name}: a face in only {len(visible)} of {len(found)} frames; cut the clip to the head"
        )
    notes = [] if len(visible) == len(found) else [_describe_loss(visible, len(found), fps)]
    fitter = Fitter(head) if fitter is None else fitter
    keys = [visible[i] for i in keyframes(list(faces.values()), KEYFRAMES)]
    scored = [d for d in faces.values() if d.blendshapes is not None]
    rest = fitter.reader.rest(scored)
    start = _start(fitter, [faces[i] for i in keys], size, identity, personal, rest)
    fitter, same, rest = start.fitter, start.same_person, start.rest
    by_time = dict(zip(keys, start.fits, strict=True))
    fits = _fit_frames(by_time, visible, fitter, faces, size, rest, start.width, progress)
    frames = _over_time(visible, [f.frame for f in fits], len(found), smooth)
    return _assemble(fitter, fits[0], frames, found, size, fps, same, notes)


def _describe_loss(visible: list[int], count: int, fps: float) -> str:
    """Describe the frames without a face: how many, and what is done at the ends."""
    note = f"the face is lost in {count - len(visible)} of {count} frames"
    if visible[-1] < count - 1:
        note += f"; from {visible[-1] / fps:.2f} s to the end its last pose is held"
    if visible[0] > 0:
        note += f"; until {visible[0] / fps:.2f} s its first pose is held"
    return note


def _fit_frames(
    by_time: dict[int, FrameFit],
    visible: list[int],
    fitter: Fitter,
    faces: dict[int, Detection],
    size: tuple[int, int],
    rest: np.ndarray | None,
    width: float | None,
    progress: Callable[[float], None] | None,
) -> list[FrameFit]:
    """Fit the frames with a face in turn, each from the one before."""
    fits: list[FrameFit] = []
    last = by_time[min(by_time, key=lambda k: abs(k - visible[0]))]
    for n, i in enumerate(visible):
        last = fitter.fit_frame(faces[i], *size, last, rest, width)
        fits.append(last)
        if progress:
            progress((n + 1) / len(visible))
    return fits


class _ClipStart(NamedTuple):
    """Fitter, fitted keyframes, whether they have the avatar's identity, own offset, width of the prior."""

    fitter: Fitter
    fits: list[FrameFit]
    same_person: bool
    rest: np.ndarray | None
    width: float | None


def _start(
    fitter: Fitter,
    keys: list[Detection],
    size: tuple[int, int],
    identity: torch.Tensor | None,
    personal: PersonalLandmarks | None,
    rest: np.ndarray | None,
) -> _ClipStart:
    """Fit keyframes with the clip's own identity or the avatar's, whichever the landmarks fit.

    Args:
        rest: what the clip tells of the person's own offset; that of the avatar comes from its photo.
    """
    sizes = [size] * len(keys)
    own = fitter.fit_photos(keys, sizes, rest=rest, width=OWN_WIDTH)
    if identity is None:
        return _ClipStart(fitter, own, False, rest, OWN_WIDTH)
    model = fitter.model if personal is None else personal_model(fitter.head, fitter.model, personal)
    theirs = Fitter(fitter.head, model, fitter.prior, fitter.reader)
    known = None if personal is None else personal.rest
    given = identity.double().numpy()
    loaned = theirs.fit_photos(keys, sizes, identity=given, rest=known, width=OWN_WIDTH)
    ours, avatars = (float(np.median([f.error for f in fits])) for fits in (own, loaned))
    if avatars <= SAME_PERSON * ours:
        loaned = theirs.fit_photos(keys, sizes, identity=given, rest=known)
        return _ClipStart(theirs, loaned, True, known, None)
    return _ClipStart(fitter, own, False, rest, OWN_WIDTH)


def good_keyframes(
    clip: Clip, found: Sequence[Detection | None], sharpness: Sequence[float], count: int
) -> list[int]:
    """Choose frames to paint from: well spread, each the sharpest of its near equals; the best first.

    The first is the sharpest of the roughly frontal ones with open eyes.

    Raises:
        HeadcastError: the clip shows no face.
    """
    detections = {i: d for i, d in enumerate(found) if d is not None}
    visible = list(detections)
    if not visible:
        raise HeadcastError(f"{clip.name}: no face found; use a clip of one roughly frontal head")
    sharp = {i: sharpness[i] for i in visible}
    keys = set()
    for k in keyframes([detections[i] for i in visible], count):
        near = visible[max(0, k - 3) : k + 4]
        keys.add(max(near, key=lambda i: sharp[i]))

    def rank(i: int) -> float:
        d = detections[i]
        return sharp[i] / max(sharp.values()) - abs(d.yaw) / 20 + min(1.0, min(eye_openness(d.points)) / 0.25)

    return sorted(keys, key=rank, reverse=True)


def keyframes(found: Sequence[Detection], count: int) -> list[int]:
    """Choose well-spread frames: the middle one, then always the least like those in pose, mouth, eyes."""
    rows = []
    for d in found:
        p, u = d.points, iris_distance(d.points)
        centre = p[[33, 263, 152, 10]].mean(0)
        turn = (p[1] - centre) / u
        mouth = np.linalg.norm(p[13] - p[14]) / u
        wide = np.linalg.norm(p[61] - p[291]) / u
        rows.append([*turn, mouth, 0.5 * wide, 0.5 * np.mean(eye_openness(p))])
    x = np.array(rows)
    chosen = [int(((x - np.median(x, 0)) ** 2).sum(1).argmin())]
    nearest = ((x - x[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(x)):
        nxt = int(nearest.argmax())
        if nearest[nxt] <= 1e-10:
            break
        chosen.append(nxt)
        nearest = np.minimum(nearest, ((x - x[nxt]) ** 2).sum(1))
    return chosen


def _over_time(visible: list[int], frames: list[Frame], count: int, smooth: bool) -> list[Frame]:
    """Interpolate frames without a face and smooth all as curves."""
    R0 = frames[len(frames) // 2].rotation
    turns = torch.from_numpy(np.stack([f.rotation @ R0.T for f in frames]))
    curves = np.concatenate(
        [
            matrix_to_axis_angle(turns).numpy(),
            np.stack([np.r_[f.offset, f.log_k] for f in frames]),
            np.stack([np.r_[f.gaze.reshape(-1), f.expression] for f in frames]),
        ],
        1,
    )
    at = np.arange(count)
    full = np.stack([np.interp(at, visible, c) for c in curves.T], 1)
    if smooth and len(full) >= 5:
        full = _smooth_track(full)
    out = []
    for row in full:
        out.append(
            Frame(
                rotation=rotation_of(row[:3]) @ R0,
                offset=row[3:5],
                log_k=float(row[5]),
                gaze=row[6:10].reshape(2, 2),
                expression=row[10:].clip(0, None),
            )
        )
    return out


def _smooth_track(curves: Float[np.ndarray, "t c"]) -> Float[np.ndarray, "t c"]:
    """Smooth the curves of a track. Eyes jump together: a jump of one eye against the other is noise."""
    full = curves.copy()
    left, right = curves[:, LEFT_GAZE], curves[:, RIGHT_GAZE]
    full[:, LEFT_GAZE] = (left + right) / 2
    noise = _curve_noise(full)
    calm = reject_spikes(full, noise)
    calm[:, BLINKS] = full[:, BLINKS]  # at a low frame rate a blink is as short
    full = smooth_curves(calm, noise=noise)
    half = whittaker((left - right) / 2, np.full((len(curves) - 2, 2), CALM))
    version = full[:, LEFT_GAZE].copy()
    full[:, LEFT_GAZE], full[:, RIGHT_GAZE] = version + half, version - half
    return full


def _curve_noise(curves: Float[np.ndarray, "t c"]) -> Float[np.ndarray, " c"]:
    """Estimate each curve's noise; a weight that rests at zero mostly has at least the usual weight's."""
    noise = noise_of(curves)
    weights = noise[FIRST_WEIGHT:]
    if (weights > 0).any():
        noise[FIRST_WEIGHT:] = np.maximum(weights, np.median(weights[weights > 0]))
    return noise


def _assemble(
    fitter: Fitter,
    first: FrameFit,
    frames: list[Frame],
    found: Sequence[Detection | None],
    size: tuple[int, int],
    fps: float,
    same: bool,
    notes: list[str],
) -> Track:
    params, errors = [], []
    stand_in = next(d for d in found if d is not None)
    for frame, d in zip(frames, found, strict=True):
        target = target_of(d or stand_in, *size, fitter.model)
        fit = fitter.result(first.shared, frame, target, d or stand_in, *size)
        params.append(fit.params)
        errors.append(fit.error if d is not None else np.nan)
    return Track(
        params=HeadParams.stack(params),
        camera=first.camera,
        detections=tuple(found),
        size=size,
        fps=fps,
        errors=np.array(errors),
        same_person=same,
        notes=tuple(notes),
    )
