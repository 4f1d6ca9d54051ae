"""Real clips for stage 2: folders of frames as VFHQ keeps them, or video files, tracked as they are read."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.crop import crop_box, crop_camera, crop_image
from headcast.methods.portrait4d.data import NeckShots, head_model, neck_grids
from headcast.methods.portrait4d.neck_field import NeckField
from headcast.methods.portrait4d.network import Config
from headcast.training.clips import open_clips, understood_clip

__all__ = ["read_clip_pair"]

CLIP_STRIDE = 15
"""Frames from a clip's source to its driver."""


def read_clip_pair(
    folder: str, number: int, seed: int, side: int, config: Config
) -> tuple[NeckShots, NeckShots]:
    """Read two frames of one clip, each as one shot; a pure function of seed and number.

    Opacity is the person's matte; depth and background are not known and are zero: stage 2 doesn't use them.

    Raises:
        HeadcastError: no faces in several clips one after the other.
    """
    clips = open_clips(folder, 2, CLIP_STRIDE, seed)
    return understood_clip(clips, number, lambda frames: track_frames(frames, side, config))


def track_frames(
    frames: UInt8[np.ndarray, "2 h w 3"], side: int, config: Config
) -> tuple[NeckShots, NeckShots]:
    """Fit both frames with one identity and crop them as Ψ sees heads."""
    from headcast.observe.fit import Fitter
    from headcast.observe.landmarks import FaceDetector, pick_face
    from headcast.observe.masks import person_matte

    head = head_model("cpu")
    with FaceDetector() as detector:
        detections = [pick_face(detector.detect(f), None, "clip")[0] for f in frames]
    height, width = frames.shape[1:3]
    fits = Fitter(head).fit_photos(detections, [(width, height)] * 2)
    mattes = [person_matte(f, d) for f, d in zip(frames, detections, strict=True)]
    first, second = (
        make_shot(f, m, x.camera, x.params, side, config)
        for f, m, x in zip(frames, mattes, fits, strict=True)
    )
    return first, second


def make_shot(
    frame: UInt8[np.ndarray, "h w 3"],
    matte: Float[np.ndarray, "h w"],
    camera: Camera,
    params: HeadParams,
    side: int,
    config: Config,
) -> NeckShots:
    """Convert one tracked frame to a shot in the head's own frame."""
    head = head_model("cpu")
    square = crop_camera(camera, params, crop_box(camera, params, config.centre), side, config.origin)
    in_head_frame = params.replace(rotation=torch.zeros(3), translation=torch.zeros(3))
    in_head_frame = in_head_frame.replace(gaze=torch.zeros(2, 2) if params.gaze is None else params.gaze)
    with torch.no_grad():
        posed = head(in_head_frame[(None,)])
        landmarks68, landmarks478 = head.landmarks(posed, 68), head.landmarks(posed, 478)
    unknown = torch.zeros(1, 1, side, side)
    grey = np.repeat((matte * 255).round().astype(np.uint8)[..., None], 3, 2)
    alpha = (crop_image(grey, camera, params, side, config.centre)[:, :1] + 1) / 2
    batch = in_head_frame[(None,)]
    return NeckShots(
        image=crop_image(frame, camera, params, side, config.centre),
        head=unknown.expand(-1, 3, -1, -1),
        background=unknown.expand(-1, 3, -1, -1),
        alpha=alpha,
        depth=unknown,
        K=square.K[None],
        cam_from_world=square.cam_from_world[None],
        landmarks=landmarks68,
        face=landmarks478,
        params=batch,
        extra=neck_grids(NeckField(head, batch, config.cube_side, config.units_per_metre, config.origin)),
    )
