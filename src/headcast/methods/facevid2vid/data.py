"""Training pairs: two frames of one clip with the head's angles, of synthetic heads or of real clips.

The paper takes head pose from a pretrained estimator; here it is the renderer's truth, or our tracker's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.crops.grid import sample_squares
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.facevid2vid.crop import clip_square, crop_face
from headcast.rotation import axis_angle_to_matrix
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots
from headcast.training.clips import open_clips, understood_clip

__all__ = ["FramePairs", "angles_of", "read_pairs", "synthesize_pairs"]

CLIP_FPS = 1.5
"""Two frames of a synthetic clip are two thirds of a second apart."""
RENDERED_ROOM = 1.5
"""Side of synthetic images before they are cropped, in sides of the crop."""
CLIP_STRIDE = 15
"""Frames of a real clip from the source to the driver."""
FACING = (1.0, -1.0, -1.0)
"""Diagonal of cam_from_head of a head that looks straight into the camera."""


@dataclass(frozen=True)
class FramePairs:
    """Sources and drivers of b clips.

    Attributes:
        source, driving: images, 0..1.
        source_angles, driving_angles: yaw, pitch and roll of the heads, degrees (see ``FaceMotion``).
    """

    source: Float[Tensor, "b 3 h w"]
    driving: Float[Tensor, "b 3 h w"]
    source_angles: Float[Tensor, "b 3"]
    driving_angles: Float[Tensor, "b 3"]

    @classmethod
    def joined(cls, parts: list[FramePairs], device: torch.device) -> FramePairs:
        """Concatenate pairs on a device."""
        return cls(*(torch.cat([getattr(p, f.name) for p in parts]).to(device) for f in fields(cls)))


def angles_of(cam_from_world: Float[Tensor, "b 4 4"], params: HeadParams) -> Float[Tensor, "b 3"]:
    """Compute yaw, pitch and roll of heads as cameras see them, degrees.

    They are those of R = Rx(pitch) Ry(yaw) Rz(roll) in camera axes (x right, y down, z away), R being 1 for a
    head that looks into the camera. The neck's bend counts as the head's.
    """
    world_from_skull = axis_angle_to_matrix(params.rotation) @ axis_angle_to_matrix(params.neck)
    facing = torch.tensor(FACING, device=cam_from_world.device)
    R = cam_from_world[:, :3, :3] @ world_from_skull * facing
    yaw = torch.asin(R[:, 0, 2].clamp(-1, 1))
    pitch = torch.atan2(-R[:, 1, 2], R[:, 2, 2])
    roll = torch.atan2(-R[:, 0, 1], R[:, 0, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], -1))


def synthesize_pairs(count: int, side: int, index: int, seed: int, device: torch.device) -> FramePairs:
    """Synthesize two frames of the clips of ``count`` people, cropped as those of real clips.

    A clip has one camera and one light.
    """
    size = round(RENDERED_ROOM * side)
    config = SynthConfig(size=size, people=count, frames=2, clip=True, fps=CLIP_FPS)
    shots = Shots.make(config, index, seed, device)
    boxes = shots.box(shots.K, shots.cam_from_world).unflatten(0, (count, 2)).tolist()
    squares = [clip_square([tuple(b) for b in pair]) for pair in boxes]
    corners = [(q.x - q.side / 2, q.y - q.side / 2, q.x + q.side / 2, q.y + q.side / 2) for q in squares]
    about = torch.tensor(corners, device=device).repeat_interleave(2, 0)
    images = (sample_squares(shots.image, about, side, room=1.0) + 1) / 2
    angles = angles_of(shots.cam_from_world, shots.params)
    return FramePairs(images[0::2], images[1::2], angles[0::2], angles[1::2])


def read_pairs(folder: str, count: int, side: int, index: int, seed: int, device: torch.device) -> FramePairs:
    """Read two frames of ``count`` real clips of a folder; a pure function of seed and index.

    Raises:
        HeadcastError: no faces in several clips one after the other.
    """
    clips = open_clips(folder, 2, CLIP_STRIDE, seed)
    numbers = range(index * count, (index + 1) * count)
    parts = [understood_clip(clips, n, lambda frames: track_pair(frames, side)) for n in numbers]
    return FramePairs.joined(parts, device)


def track_pair(frames: UInt8[np.ndarray, "2 h w 3"], side: int) -> FramePairs:
    """Fit both frames with one identity, and crop them by one square."""
    from headcast.observe.fit import Fitter
    from headcast.observe.landmarks import FaceDetector, pick_face

    with FaceDetector() as detector:
        found = [pick_face(detector.detect(f, refine=False), None, "clip")[0] for f in frames]
    height, width = frames.shape[1:3]
    fits = Fitter(_head_model()).fit_photos(found, [(width, height)] * 2)
    angles = torch.cat([angles_of(x.camera.cam_from_world[None], x.params[(None,)]) for x in fits])
    square = clip_square([d.box for d in found])
    source, driving = (crop_face(f, square, side) for f in frames)
    return FramePairs(source, driving, angles[:1], angles[1:])


@cache
def _head_model() -> HeadModel:
    """Load the bundled head, once a process."""
    return HeadModel.load()
