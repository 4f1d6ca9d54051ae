"""The paper's coarse video: an image animator moves the portrait, our tracker finds the head in its frames.

The default method's avatar, rendered along the script, drives the animator, or a video of the user's does.
Each frame is tracked with the portrait's identity and cut out; those that show no face, that the head does
not fit, or that show another person, are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.methods.base import ImageAnimator, animator_names, get_animator
from headcast.methods.ohpavatars.learner import TrainingFrame
from headcast.methods.ohpavatars.script import face_camera, make_script, shot_view
from headcast.methods.ohpavatars.update import GREY, landmarks_in, render_rgba
from headcast.progress import Progress, subrange
from headcast.video import Clip, read_video
from headcast.view import View, flatten

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Detection, Observation

__all__ = [
    "AnimatedFrames",
    "available_animator",
    "frames_from_tensors",
    "frames_tensors",
    "make_animated",
    "track_animated",
]

FPS = 25.0
MIN_IDENTITY = 0.5
"""Cosine of a frame's face to the avatar's in the same view, below which it shows another person. A guess: no
weights of an animator were available to set it by."""
MIN_FRAMES = 2
ANIMATE_END = 0.7  # fraction of the time that the animator takes, next to tracking
UNKNOWN = 128  # coverage at which a pixel counts for nothing (``learner.frame_target``)
NO_FACE, NO_FIT, OTHER = "without a face", "which the head does not fit", "of another person"


class AnimatedFrames(NamedTuple):
    """Tracked frames of the animator.

    Attributes:
        frames: that are kept. made: how many the animator made. dropped: number of others by reason.
    """

    frames: list[TrainingFrame]
    made: int
    dropped: Counter[str]

    def note(self) -> str:
        """Describe the frames in one sentence."""
        dropped = ", ".join(f"{n} {reason}" for reason, n in self.dropped.items() if n)
        return f"coarse video: {self.made} frames of the image animator" + (
            f"; {sum(self.dropped.values())} dropped: {dropped}" if dropped else ""
        )


def available_animator() -> ImageAnimator | None:
    """Return the first image animator whose weights are here; None: there is none."""
    return next((a for a in map(get_animator, animator_names()) if a.available()), None)


def make_animated(
    animator: ImageAnimator,
    avatar: Avatar,
    observation: Observation,
    head: HeadModel,
    *,
    count: int,
    side: int,
    driver: Path | None = None,
    with_body: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> AnimatedFrames:
    """Animate the portrait and track the frames.

    Args:
        avatar: the coarse avatar, which drives along the script where no driver is given.
        head: the head model that the portrait was fitted with.
        count: of frames, at most. side: of the driving frames, pixels.
        driver: a video of one head that drives instead; its first frame should have the portrait's pose.
        with_body: the representation has a body: clothes in the frames count for nothing, rather than as
            empty space.

    Raises:
        HeadcastError: the driver cannot be used; hardly any frame is left.
    """
    clip = script_clip(avatar, count, side) if driver is None else driver_clip(driver, count)
    say = subrange(progress, 0.0, ANIMATE_END)
    options = animator.Options()
    made = list(animator.animate_image(observation.image, clip, options, seed=seed, progress=say))
    say = subrange(progress, ANIMATE_END, 1.0)
    found = track_animated(made, avatar, observation, head, with_body=with_body, progress=say)
    if len(found.frames) < MIN_FRAMES:
        raise HeadcastError(
            f"{observation.name}: {found.note()}; render the coarse video with --frames-from avatar"
        )
    return found


@torch.no_grad()
def script_clip(avatar: Avatar, count: int, side: int) -> Clip:
    """Render the script as a clip over grey; its first frame has the portrait's own pose and expression."""
    camera = face_camera(avatar, side)
    views = [shot_view(avatar, camera, shot) for shot in make_script(count)]
    frames = np.stack([flatten(render_rgba(avatar, v), (GREY, GREY, GREY)) for v in views])
    return Clip(
        frames=frames,
        fps=FPS,
        times=np.arange(len(frames)) / FPS,
        audio=None,
        name="the rendered coarse video",
    )


def driver_clip(path: Path, count: int) -> Clip:
    """Read a driving video and take frames spread over it; the first is its first."""
    clip = read_video(path)
    chosen = np.unique(np.linspace(0, len(clip.frames) - 1, min(count, len(clip.frames))).round().astype(int))
    frames = np.stack([np.asarray(clip.frames[int(k)]) for k in chosen])
    return Clip(frames=frames, fps=clip.fps, times=clip.times[chosen], audio=None, name=clip.name)


@torch.no_grad()
def track_animated(
    frames: Sequence[UInt8[np.ndarray, "h w 3"]],
    avatar: Avatar,
    observation: Observation,
    head: HeadModel,
    *,
    with_body: bool = False,
    progress: Progress | None = None,
) -> AnimatedFrames:
    """Fit the head, with the portrait's identity, to every frame, and cut the person out."""
    from headcast.observe.fit import Fitter
    from headcast.observe.landmarks import FaceDetector
    from headcast.observe.plausible import check_fit

    with FaceDetector() as detector:
        found = [next(iter(detector.detect(f)), None) for f in frames]
    faces: dict[int, Detection] = {k: d for k, d in enumerate(found) if d is not None}
    dropped: Counter[str] = Counter({NO_FACE: len(frames) - len(faces)})
    if not faces:
        return AnimatedFrames([], len(frames), dropped)
    height, width = frames[0].shape[:2]
    identity = observation.params.identity.double().numpy()
    fitter, size = Fitter(head), (width, height)
    good: dict[int, Detection] = {}
    for k, detection in faces.items():  # alone first: one wrong face would spoil the lens that all share
        try:
            (alone,) = fitter.fit_photos([detection], [size], identity=identity)
            check_fit(alone, detection, f"frame {k}")
            good[k] = detection
        except HeadcastError:
            dropped[NO_FIT] += 1
    if not good:
        return AnimatedFrames([], len(frames), dropped)
    fits = fitter.fit_photos(list(good.values()), [size] * len(good), identity=identity)
    kept = []
    for n, ((k, detection), fit) in enumerate(zip(good.items(), fits, strict=True)):
        if progress:
            progress(n / len(good), f"tracking frame {n + 1} of {len(good)}")
        view = View(fit.camera, fit.params)
        if _likeness(frames[k], detection, avatar, view) < MIN_IDENTITY:
            dropped[OTHER] += 1
            continue
        kept.append(TrainingFrame(view, _cut_out(frames[k], detection, with_body)))
    return AnimatedFrames(kept, len(frames), dropped)


def _likeness(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, avatar: Avatar, view: View) -> float:
    """Return the cosine of a frame's face to the avatar's, rendered in the same view."""
    from headcast.priors.embedding.infer import embed_face

    rendered = flatten(render_rgba(avatar, view), (GREY, GREY, GREY))
    person = embed_face(rendered, landmarks_in(avatar, view))
    return float(person @ embed_face(rgb, detection.points[:, :2]))


def _cut_out(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, with_body: bool
) -> UInt8[np.ndarray, "h w 4"]:
    """Remove background and clothes of a frame, over mid grey."""
    from headcast.observe.masks import segment

    masks = segment(rgb, detection)
    alpha = masks.person * (1 - masks.clothes)
    over = rgb * alpha[..., None] + GREY * (1 - alpha[..., None])
    coverage = np.round(alpha * 255)
    if with_body:
        coverage = np.where(masks.clothes * masks.person > 0.05, UNKNOWN, coverage)
    return np.dstack([np.round(over), coverage]).astype(np.uint8)


def frames_tensors(found: AnimatedFrames) -> dict[str, Tensor]:
    """Return tensors that hold tracked frames, for the folder of steps."""
    params = HeadParams.stack([f.view.params for f in found.frames])
    dropped = [found.dropped[reason] for reason in (NO_FACE, NO_FIT, OTHER)]
    held: dict[str, Tensor] = {
        "rgba": torch.from_numpy(np.stack([f.rgba for f in found.frames])),
        "K": torch.stack([f.view.camera.K for f in found.frames]),
        "pose": torch.stack([f.view.camera.cam_from_world for f in found.frames]),
        "counts": torch.tensor([found.made, *dropped]),
    }
    for name, value in vars(params).items():
        if isinstance(value, Tensor):
            held[f"params.{name}"] = value
    return held


def frames_from_tensors(tensors: dict[str, Tensor]) -> AnimatedFrames:
    """Return the tracked frames that ``frames_tensors`` wrote."""
    named = {k.removeprefix("params."): v for k, v in tensors.items() if k.startswith("params.")}
    params, rgba = HeadParams(**named), tensors["rgba"].numpy()
    height, width = rgba.shape[1:3]
    views = _views(params, tensors["K"], tensors["pose"], width, height)
    frames = [TrainingFrame(view, image) for view, image in zip(views, rgba, strict=True)]
    made, *dropped = tensors["counts"].tolist()
    return AnimatedFrames(frames, made, Counter(dict(zip((NO_FACE, NO_FIT, OTHER), dropped, strict=True))))


def _views(
    params: HeadParams, K: Float[Tensor, "n 3 3"], poses: Float[Tensor, "n 4 4"], width: int, height: int
) -> Iterable[View]:
    """Yield the views of stacked parameters and cameras."""
    for n in range(len(K)):
        yield View(Camera(K[n], poses[n], width, height), params[n])
