"""``facevid2vid`` as a registered image animator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from jaxtyping import UInt8

from headcast.limits import Limit
from headcast.methods.base import BaseMethod, MethodOptions
from headcast.progress import Progress

if TYPE_CHECKING:
    from headcast.video import Clip

__all__ = ["FaceVid2Vid", "FaceVid2VidOptions"]

TURN = Limit(-90, 90)
"""Degrees by which a head may be turned; beyond some 40 the network has little to show."""


@dataclass(frozen=True)
class FaceVid2VidOptions(MethodOptions):
    """Options of the image animator ``facevid2vid``."""

    absolute: bool = False
    """Take over the driver's own pose and expression, not its movements from its first frame on."""
    adapt_scale: bool = True
    """Scale movements by the size of the photo's head over the driver's."""
    yaw: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's yaw; positive shows more of the subject's left side."""
    pitch: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's pitch, as the weights count them; in those of headcast
    train, positive looks from above."""
    roll: Annotated[float | None, TURN] = None
    """Free view: degrees in place of the driver's roll; positive turns the image clockwise."""
    weights: Path | None = None
    """A weights file of headcast train facevid2vid, in place of the imported official weights."""


class FaceVid2Vid(BaseMethod):
    """Drive a photo's keypoints by a video's and generate 256² frames about the face."""

    name = "facevid2vid"
    description = "256² frames of the photo's face moved as in a video; needs imported weights (CC BY-NC)"
    Options = FaceVid2VidOptions

    def available(self) -> bool:
        """Return whether weights were imported."""
        from headcast.methods.facevid2vid.weights import weights_file

        return weights_file().is_file()

    def check(self, options: FaceVid2VidOptions) -> None:
        """Raise a ``HeadcastError`` if there are no weights."""
        from headcast.methods.facevid2vid.weights import check_weights

        check_weights(options.weights)

    def version(self) -> str:
        """Return the hash of the imported weights; empty: there are none."""
        from headcast.methods.facevid2vid.weights import weights_file
        from headcast.weights import load_tensors

        return load_tensors(weights_file())[2] if self.available() else ""

    def animate_image(
        self,
        photo: UInt8[np.ndarray, "h w 3"],
        driver: Clip,
        options: FaceVid2VidOptions,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[UInt8[np.ndarray, "h2 w2 3"]]:
        """Yield one square frame about the photo's face for every frame of the driving clip."""
        from headcast.methods.facevid2vid.infer import animate

        return animate(photo, driver, options, progress)
