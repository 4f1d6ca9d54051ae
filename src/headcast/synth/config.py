"""Settings of synthetic batches and the region labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headcast.errors import HeadcastError
from headcast.synth.framing import CameraFraming, find_framing

__all__ = ["LABELS", "Split", "SynthConfig"]

Split = Literal["train", "test"]

LABELS = (
    "background",
    "skin",
    "nose",
    "ears",
    "neck",
    "brows",
    "lips",
    "mouth",
    "teeth",
    "eyes",
    "hair",
    "facial_hair",
    "glasses",
    "clothes",
)
"""Region labels in the order of their numbers. ``mouth`` is its inside: gums, tongue, lining."""


@dataclass(frozen=True)
class SynthConfig:
    """How many heads of which kind a batch holds: ``people`` x ``frames`` x ``views`` images.

    Attributes:
        split: ``test`` holds out identities, skin parameters, hair templates and lights (docs/synth.md).
        size: side of the images, pixels.
        people, frames, views: persons in a batch, moments of each, cameras at each moment. Views of a moment
            share its light, so that they are views of one scene.
        clip: the frames of a person are consecutive, at ``fps``; else unrelated moments.
        still_neck: frames of a clip keep the first one's neck, so that the expression alone moves.
        texture: side of the skin textures; 0: twice the image's.
        antialias: RGB, alpha, albedo and the like are means over antialias² samples a pixel.
        framing: where cameras stand: a name of ``synth.framing.FRAMINGS``, the place of one
            (``package.module:NAME``), or a ``CameraFraming``.
        fitted: fraction of people whose face shape scatters as that of fitted people
            (``weights/identity``), the others as the head model's own prior.
        expression: scales expressions; 0 is always neutral.
        hair, glasses, clothes, background: may be left out (hair: a bald scalp, no beard, brows stay).
        layers: how many layers of translucent hair are rendered.
        micro: strength of pores and fine wrinkles in normals.
        pbr: pores by region, directed wrinkles, gloss broken by them, subsurface softening and an environment
            that reflects (``synth.pbr``); without it images are as they were.
        at_once: images rendered together; bounds memory. 0: 4 on a CPU, 64 on CUDA.
    """

    split: Split = "train"
    size: int = 256
    people: int = 4
    frames: int = 1
    views: int = 1
    clip: bool = False
    fps: float = 25.0
    still_neck: bool = False
    texture: int = 0
    antialias: int = 2
    framing: str | CameraFraming = "portrait"
    fitted: float = 0.5
    expression: float = 1.0
    hair: bool = True
    glasses: bool = True
    clothes: bool = True
    background: bool = True
    layers: int = 4
    micro: float = 1.0
    pbr: bool = False
    at_once: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "people", "frames", "views", "antialias", "layers"):
            if getattr(self, name) < 1:
                raise HeadcastError(f"synth: {name} must be at least 1")
        if not 0 <= self.fitted <= 1:
            raise HeadcastError("synth: fitted is a fraction, 0 to 1")
        if self.split not in ("train", "test"):
            raise HeadcastError(f"synth: split '{self.split}' is unknown; use train or test")
        find_framing(self.framing)
        if self.size > 4096 or self.texture > 8192:
            raise HeadcastError("synth: images may be 4096 and textures 8192 pixels wide at most")

    @property
    def count(self) -> int:
        """Return the number of images in a batch."""
        return self.people * self.frames * self.views

    @property
    def texture_size(self) -> int:
        """Return the side of the skin textures in texels, a multiple of 64."""
        return -(-(self.texture or min(2 * self.size, 8192)) // 64) * 64
