"""Animate a photo by a clip: faces are found and cropped, keypoints driven, frames generated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.crops.square import Box, Square
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.methods.facevid2vid.crop import clip_square, crop_face, to_pixels
from headcast.methods.facevid2vid.options import FaceVid2VidOptions
from headcast.methods.facevid2vid.pose import FaceMotion
from headcast.methods.facevid2vid.relative import DrivenHead, ViewAngles
from headcast.methods.facevid2vid.weights import FaceNetworks, read_face_networks
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.progress import Progress, ignore_progress
from headcast.video import Clip

__all__ = ["SourceImage", "animate_frames", "encode_source", "generate"]

SAMPLED_FRAMES = 12
"""Frames of a driver, evenly spaced, in which its face is looked for to place the square."""
SEARCH_FRACTION = 0.05
"""Part of the whole job's time, for progress, that this takes."""


class SourceImage(NamedTuple):
    """What the networks know of the photo: computed once for all frames."""

    volume: Float[Tensor, "1 c d h w"]
    canonical: Float[Tensor, "1 k 3"]
    motion: FaceMotion


def animate_frames(
    photo: UInt8[np.ndarray, "h w 3"],
    driver: Clip,
    options: FaceVid2VidOptions,
    progress: Progress | None = None,
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Yield one frame for every frame of the driver.

    Raises:
        HeadcastError: no weights; no face in the photo, or in the driver.
    """
    report = progress or ignore_progress
    report(0.0, "loading the networks")
    device = pick_device()
    networks = read_face_networks(options.weights, device)
    report(0.0, "looking for faces")
    squares = photo_square(photo), driver_square(driver)
    side, count = networks.config.side, len(driver.frames)
    source = encode_source(networks, crop_face(photo, squares[0], side).to(device))
    head: DrivenHead | None = None
    for k, frame in enumerate(driver.frames):
        report(SEARCH_FRACTION + (1 - SEARCH_FRACTION) * k / count, f"frame {k + 1} of {count}")
        motion = networks.pose.motion(crop_face(frame, squares[1], side).to(device))
        head = head or driven_head(networks, source, motion, options)
        yield to_pixels(generate(networks, source, head, motion))
    report(1.0, f"{count} frames")


@torch.no_grad()
def encode_source(networks: FaceNetworks, image: Float[Tensor, "1 3 h w"]) -> SourceImage:
    """Compute the appearance volume, canonical keypoints, pose and expression of a cropped photo, 0..1."""
    return SourceImage(
        networks.generator.appearance(image), networks.detector(image), networks.pose.motion(image)
    )


def driven_head(
    networks: FaceNetworks, source: SourceImage, initial: FaceMotion, options: FaceVid2VidOptions
) -> DrivenHead:
    """Prepare the keypoints' movements from the driver's first frame on."""
    return DrivenHead(
        source.canonical,
        source.motion,
        None if options.absolute else initial,
        adapt_scale=options.adapt_scale,
        view=ViewAngles(options.yaw, options.pitch, options.roll),
        legacy=networks.config.legacy_rotation,
    )


@torch.no_grad()
def generate(
    networks: FaceNetworks, source: SourceImage, head: DrivenHead, motion: FaceMotion
) -> Float[Tensor, "1 3 h w"]:
    """Generate the frame, 0..1, of a driver's motion."""
    return networks.generator.drive(source.volume, head.source, head.keypoints(motion)).image


def photo_square(photo: UInt8[np.ndarray, "h w 3"]) -> Square:
    """Place the square about the largest face of a photo."""
    with FaceDetector() as detector:
        found, _ = pick_face(detector.detect(photo, refine=False), None, "the photo")
    return clip_square([found.box])


def driver_square(driver: Clip) -> Square:
    """Place one square for the whole clip, so that the head's movements stay movements in it.

    Raises:
        HeadcastError: no face in any of the frames looked at.
    """
    count = len(driver.frames)
    looked_at = sorted({round(k) for k in np.linspace(0, count - 1, min(count, SAMPLED_FRAMES))})
    boxes: list[Box] = []
    with FaceDetector() as detector:
        previous = None
        for k in looked_at:
            frame = driver.frames[k]
            found = detector.follow(frame, previous) if previous is not None else None
            previous = found or next(iter(detector.detect(frame, refine=False, turned=False)), None)
            if previous is not None:
                boxes.append(previous.box)
    if not boxes:
        raise HeadcastError(
            f"{driver.name}: no face found in any of {len(looked_at)} frames; give a video of one face, "
            "sharp and upright"
        )
    return clip_square(boxes)
