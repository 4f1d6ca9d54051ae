"""Drivers of an avatar: a preset, a recording or a video becomes parameters and a camera per frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.files import is_video
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.motion.clip import Motion
from headcast.progress import Progress
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from headcast.view import View, front_view, head_center

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar, Renderer
    from headcast.observe.personal import PersonalLandmarks
    from headcast.observe.track import Track
    from headcast.render.types import Rendering
    from headcast.video import AudioSource, Clip

__all__ = ["CameraChoice", "Drive", "LightChoice", "drive_from", "performance"]

CameraChoice = Literal["source", "driver"]
LightChoice = Literal["source", "driver"]
NECK_LIMIT = 0.7  # radians


@dataclass(frozen=True)
class Drive:
    """A clip to be rendered.

    Attributes:
        params: (T,) parameters in the world of the cameras.
        cameras: one camera per frame.
        fps: frames per second.
        audio: the soundtrack of the clip.
        clip: the driving video, when there is one.
        labels: a label per frame, or empty.
        notes: what the user should know.
        light: (T, 9, 3) irradiance of every frame; None: the avatar's own.
        signal: (T, m) driving signal that the avatar read from the frames (``Avatar.read_signal``); None:
            this kind of avatar reads none.
    """

    params: HeadParams
    cameras: tuple[Camera, ...]
    fps: float
    audio: AudioSource | None = None
    clip: Clip | None = None
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    light: Float[Tensor, "t 9 3"] | None = None
    signal: Float[Tensor, "t m"] | None = None

    def render(self, renderer: Renderer, t: int, camera: Camera | None = None) -> Rendering:
        """Render frame ``t``, by its own camera or another."""
        light = None if self.light is None else self.light[t]
        signal = None if self.signal is None else self.signal[t]
        return renderer.render(self.params[t], camera or self.cameras[t], light, signal)

    def __len__(self) -> int:
        return len(self.cameras)


def drive_from(
    avatar: Avatar,
    what: str | Path | Motion,
    *,
    camera: CameraChoice = "source",
    light: LightChoice = "source",
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    flame: Path | None = None,
    face: int | None = None,
    progress: Progress | None = None,
) -> Drive:
    """Return the drive of a preset's name, a recording (csv, json, npz), a video or a ``Motion``.

    Args:
        camera: ``source``: a portrait framing of the avatar; ``driver``: the driving video's own.
        light: ``source``: the avatar's own; ``driver``: its changes are read from the driver's skin colours.
        frames: maximum number of frames.
        size: (width, height); None: 512 square, or the driver's own.
        fps: frame rate; None: the driver's own, 30 for presets.
        flame: the user's FLAME file, where FLAME parameters drive.
        face: which face of a video, counted from 1 by size; None takes the largest.

    Raises:
        HeadcastError: unknown preset, unreadable file, ``driver`` or ``face`` without a video, the driver's
            light in another camera.
    """
    if frames is not None and frames < 1:
        raise HeadcastError(f"--frames {frames}: give at least 1")
    if light == "driver" and camera != "driver":
        raise HeadcastError("--light driver: it is seen in the driver's own camera; add --camera driver")
    if not isinstance(what, Motion) and is_video(what):
        return drive_from_video(avatar, Path(what), camera, light, frames, size, fps, face, progress)
    if face is not None:
        raise HeadcastError(f"--face {face}: '{what}' is not a video and shows no faces; leave --face away")
    if camera == "driver":
        raise HeadcastError(
            f"--camera driver: '{what}' is not a video and has no camera; use --camera source"
        )
    motion = what if isinstance(what, Motion) else motion_from(what, flame)
    motion = motion.resampled(fps) if fps else motion
    return drive_from_motion(avatar, motion.first(frames) if frames else motion, size or (512, 512))


def motion_from(what: str | Path, flame: Path | None = None) -> Motion:
    """Load a preset by its name, or a recording by its suffix.

    Raises:
        HeadcastError: unknown preset, unknown suffix, unreadable file.
    """
    path = Path(what)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        from headcast.motion.livelink import read_livelink

        return read_livelink(path)
    if suffix == ".json":
        from headcast.motion.arkit_json import read_arkit_json

        return read_arkit_json(path)
    if suffix == ".npz" or path.is_dir():
        from headcast.motion.flame_npz import read_flame_npz

        return read_flame_npz(path, flame)
    if suffix or "/" in str(what):
        raise HeadcastError(
            f"{what}: drive with a video, a Live Link Face .csv, ARKit weights in .json, FLAME parameters in "
            ".npz, or a preset"
        )
    from headcast.motion.presets import preset

    return preset(str(what))


def drive_from_motion(avatar: Avatar, motion: Motion, size: tuple[int, int]) -> Drive:
    """Show a motion in the front view of an avatar."""
    view = front_view(avatar, size)
    center = head_center(avatar, view.params)
    yaw = [0.0] * len(motion) if motion.camera_yaw is None else motion.camera_yaw.tolist()
    cameras = tuple(view.orbited(center, y, 0.0).camera for y in yaw)
    return Drive(
        params=motion.params(view.params),
        cameras=cameras,
        fps=motion.fps,
        labels=motion.labels,
        notes=motion.notes,
    )


def drive_from_video(
    avatar: Avatar,
    path: Path,
    camera: CameraChoice,
    light: LightChoice,
    frames: int | None,
    size: tuple[int, int] | None,
    fps: float | None,
    face: int | None,
    progress: Progress | None,
) -> Drive:
    """Track a video and retarget the performance to the avatar.

    Weights, pose and gaze alone come from the video, besides what the avatar's kind reads (``read_signal``)
    and the light, where it is asked for.
    """
    from headcast.observe.track import read_and_track

    identity = avatar.source.params.identity
    clip, track = read_and_track(
        path,
        avatar.head,
        frames,
        identity=identity,
        personal=personal_points(avatar),
        progress=progress,
        face=face,
    )
    params = track.params.replace(identity=identity.expand(*track.params.batch, *identity.shape))
    if camera == "driver":
        drive = _drive_in_place(avatar, size, track, params, clip)
    else:
        drive = _drive_in_front(avatar, size, params, track, clip)
    drive = replace(drive, signal=read_signals(avatar, clip, track))
    if light == "driver":
        drive = _in_driver_light(drive, avatar, track, params, clip)
    return drive if fps is None else resample_drive(drive, fps)


def _drive_in_place(
    avatar: Avatar, size: tuple[int, int] | None, track: Track, params: HeadParams, clip: Clip
) -> Drive:
    """Show a tracked performance from the video's own camera."""
    view = View(track.camera, params[0]).resized(size)
    posed = still_torso(params, avatar.head, avatar.source.params.rotation)
    return Drive(
        params=posed,
        cameras=(view.camera,) * len(track),
        fps=track.fps,
        audio=clip.audio,
        clip=clip,
        notes=clip.notes + track.notes,
    )


def _in_driver_light(drive: Drive, avatar: Avatar, track: Track, params: HeadParams, clip: Clip) -> Drive:
    """Light the avatar as its own person is lit in the video; leave its light where that cannot be known."""
    from headcast.relight import clip_light

    if not track.same_person:
        note = "another person drives, whose skin is not known: the avatar's own light is kept"
        return replace(drive, notes=(*drive.notes, note))
    return replace(drive, light=clip_light(avatar, clip, track, params))


def _drive_in_front(
    avatar: Avatar, size: tuple[int, int] | None, params: HeadParams, track: Track, clip: Clip
) -> Drive:
    """Show a tracked performance in the front view: expression and relative turns of the neck."""
    view = front_view(avatar, size or (512, 512))
    t = params.batch[0]
    still = view.params
    retargeted = params.replace(
        rotation=still.rotation.expand(t, 3),
        translation=still.translation.expand(t, 3),
        neck=relative_rotation(track.params.rotation),
    )
    return Drive(
        params=retargeted,
        cameras=(view.camera,) * t,
        fps=track.fps,
        audio=clip.audio,
        clip=clip,
        notes=clip.notes + track.notes,
    )


def read_signals(avatar: Avatar, clip: Clip, track: Track) -> Float[Tensor, "t m"] | None:
    """Read the avatar's driving signal from every frame; where no face is detected, the last one is held.

    Before the first face the first signal holds. None: this kind of avatar follows ``HeadParams`` alone.
    """
    signals: list[Tensor | None] = []
    for t, detection in enumerate(track.detections):
        if detection is None:
            signals.append(None)
            continue
        signal = avatar.read_signal(clip.frames[t], track.camera, track.params[t])
        if signal is None:
            return None
        signals.append(signal)
    last = next(s for s in signals if s is not None)
    filled = []
    for signal in signals:
        last = last if signal is None else signal
        filled.append(last)
    return torch.stack(filled)


def performance(path: str | Path, flame: Path | None = None, progress: Progress | None = None) -> Motion:
    """Return the motion of a video (tracked) or of a recording, independent of any avatar.

    Raises:
        HeadcastError: unreadable, or no face in it.
    """
    if not is_video(path):
        return motion_from(path, flame)
    from headcast.observe.track import read_and_track

    _, track = read_and_track(path, HeadModel.load(), progress=progress)
    neck = relative_rotation(track.params.rotation)
    return Motion(
        fps=track.fps, expression=track.params.expression, neck=neck, gaze=track.params.gaze, name=str(path)
    )


def personal_points(avatar: Avatar) -> PersonalLandmarks | None:
    """Return the surface points under the landmarks of the source photo, if the avatar stores them."""
    from headcast.observe.personal import PersonalLandmarks, with_photo_rest

    found, source = avatar.source.landmarks, avatar.source
    if found is None:
        return None
    personal = PersonalLandmarks(found.triangle.numpy(), found.bary.double().numpy())
    return with_photo_rest(personal, avatar.head, source.params, source.camera)


def relative_rotation(rotation: Float[Tensor, "t 3"]) -> Float[Tensor, "t 3"]:
    """Return head rotations relative to the median pose of the clip, as neck rotations (axis-angle)."""
    R = axis_angle_to_matrix(rotation)
    most_typical = int((rotation - rotation.median(0).values).norm(dim=-1).argmin())
    relative = matrix_to_axis_angle(R[most_typical].T @ R)
    length = relative.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    return relative / length * NECK_LIMIT * torch.tanh(length / NECK_LIMIT)


def still_torso(params: HeadParams, head: HeadModel, rest: Float[Tensor, "3"]) -> HeadParams:
    """Return the same head poses, reached by bending the neck while the torso keeps the rotation ``rest``.

    Args:
        params: (T,) poses with a straight neck.
        rest: world_from_head axis-angle of the photo, which shows how the shoulders are turned.

    A bend beyond ``NECK_LIMIT`` takes the shoulders along.
    """
    R = axis_angle_to_matrix(params.rotation)
    bend = matrix_to_axis_angle(axis_angle_to_matrix(rest).T @ R)
    length = bend.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    neck = bend / length * length.clamp(max=NECK_LIMIT)
    bent = params.replace(neck=neck)
    joint_transforms = head.transforms(head.joints(bent.identity), bent, torch.zeros(*bent.batch, 2, 2))
    head_transform = joint_transforms[:, JOINTS.index("head")].unflatten(-1, (3, 4))
    root = R @ head_transform[..., :3].transpose(-1, -2)
    place = params.translation - (root @ head_transform[..., 3:])[..., 0]
    return bent.replace(rotation=matrix_to_axis_angle(root), translation=place)


def resample_drive(drive: Drive, fps: float) -> Drive:
    """Resample a drive to another frame rate by taking the nearest frames."""
    count = max(1, round(len(drive) * fps / drive.fps))
    index = (torch.arange(count) * (drive.fps / fps)).round().long().clamp(max=len(drive) - 1)
    cameras = tuple(drive.cameras[int(i)] for i in index)
    light, signal = (None if x is None else x[index] for x in (drive.light, drive.signal))
    return replace(drive, params=drive.params[index], cameras=cameras, fps=fps, light=light, signal=signal)  # type: ignore[index]
