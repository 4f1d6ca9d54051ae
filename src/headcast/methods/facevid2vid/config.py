"""Sizes of face-vid2vid's networks: those of the published weights, and a tiny one for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["BETA", "CONFIGS", "OFFICIAL", "ORIGINAL", "TINY", "Decoder", "NetworkSizes"]

Decoder = Literal["spade", "original"]


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of all networks.

    Attributes:
        side: of images, pixels. keypoints: number of them.
        volume_channels, volume_depth: of the appearance volume, whose other sides are side / 4.
        image_widths: of the appearance extractor at side, side / 2 and side / 4.
        blocks: residual blocks, of the volume and of the decoder.
        reduction: of the image before the keypoint detector.
        keypoint_widths: of its levels below the reduced image.
        motion_widths: of the levels of the dense motion's U-Net. compressed: channels of the volume there.
        pose_widths: of the pose network's stem and four stages. pose_blocks: bottlenecks of the stages.
        bins: of each angle. decoder: which generator. spade_width, spade_hidden: of the SPADE decoder.
        legacy_rotation: multiply the elementary rotations as the beta weights were trained (see ``pose``).
    """

    side: int = 256
    keypoints: int = 15
    volume_channels: int = 32
    volume_depth: int = 16
    image_widths: tuple[int, int, int] = (64, 128, 256)
    blocks: int = 6
    reduction: int = 4
    keypoint_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    motion_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    compressed: int = 4
    pose_widths: tuple[int, int, int, int, int] = (64, 256, 512, 1024, 2048)
    pose_blocks: tuple[int, int, int, int] = (3, 3, 5, 2)
    bins: int = 66
    decoder: Decoder = "spade"
    spade_width: int = 512
    spade_hidden: int = 128
    legacy_rotation: bool = False


OFFICIAL = NetworkSizes()
"""Vox-256-New: the SPADE generator."""
ORIGINAL = replace(OFFICIAL, decoder="original")
"""The paper's generator, with the other networks of Vox-256-New."""
BETA = replace(ORIGINAL, reduction=1, legacy_rotation=True)
"""Vox-256-Beta: the paper's generator; keypoints are detected in the whole image."""
TINY = NetworkSizes(
    side=64,
    keypoints=5,
    volume_channels=8,
    volume_depth=4,
    image_widths=(8, 12, 16),
    blocks=1,
    keypoint_widths=(16, 24, 32),
    motion_widths=(12, 16, 24),
    compressed=2,
    pose_widths=(8, 16, 24, 32, 48),
    pose_blocks=(1, 1, 1, 1),
    spade_width=24,
    spade_hidden=8,
)
"""Only shows that everything runs."""
CONFIGS: tuple[NetworkSizes, ...] = (OFFICIAL, ORIGINAL, BETA, TINY, replace(TINY, decoder="original"))
"""Configurations that weights files may have; no two have the same names and shapes of tensors."""
