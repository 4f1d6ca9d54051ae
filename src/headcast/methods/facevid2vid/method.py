"""``facevid2vid`` as a registered image animator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from headcast.methods.base import BaseMethod
from headcast.methods.facevid2vid.options import FaceVid2VidOptions
from headcast.progress import Progress

if TYPE_CHECKING:
    from headcast.video import Clip

__all__ = ["FaceVid2Vid"]


class FaceVid2Vid(BaseMethod):
    """Drive a photo's keypoints by a video's and generate 256² frames about the face."""

    name = "facevid2vid"
    description = "256² frames of the photo's face moved as in a video; needs imported weights (CC BY-NC)"
    Options = FaceVid2VidOptions

    def available(self) -> bool:
        """Return whether weights were imported."""
        from headcast.methods.facevid2vid.weights import networks_file

        return networks_file().is_file()

    def check(self, options: FaceVid2VidOptions) -> None:
        """Raise a ``HeadcastError`` if there are no weights."""
        from headcast.methods.facevid2vid.weights import require_weights

        require_weights(options.weights)

    def version(self) -> str:
        """Return the hash of the imported weights; empty: there are none."""
        return self.weights_in_use(FaceVid2VidOptions())[0]["hash"] if self.available() else ""

    def weights_in_use(self, options: FaceVid2VidOptions) -> tuple[Mapping[str, str], ...]:
        """Return the weights' file, hash and licence."""
        from headcast.methods.facevid2vid.weights import networks_file
        from headcast.weights import load_tensors

        file = networks_file(options.weights)
        _, about, digest = load_tensors(file)
        return ({"name": file.stem, "hash": digest, "licence": about.get("licence", "unknown")},)

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
        from headcast.methods.facevid2vid.infer import animate_frames

        return animate_frames(photo, driver, options, progress)
