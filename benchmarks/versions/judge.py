"""Images of both versions, judged by the present code's metrics against the photo and against each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.versions.environment import Version
from benchmarks.versions.measure import run
from benchmarks.versions.works import VIEWS, render_command

__all__ = ["Score", "Truth", "agreement", "read_rgba", "render_views", "score", "truth_of"]


class Score(NamedTuple):
    """A rendering of the photo's own view against the photo, over the person and over the face.

    PSNR in dB of the pixels of the region, both over mid grey; SSIM as mean over the region.
    """

    person_psnr: float
    person_ssim: float
    face_psnr: float
    face_ssim: float


class Truth(NamedTuple):
    """What the photo shows, as the present code observes it.

    Attributes:
        rgb: (h, w, 3) uint8, the person over mid grey.
        person, face: (h, w) bool.
    """

    rgb: np.ndarray
    person: np.ndarray
    face: np.ndarray


def render_views(version: Version, folder: Path) -> None:
    """Render all views of the avatar in a version's folder.

    Raises:
        CommandFailed: it cannot be rendered.
    """
    for view in VIEWS:
        run(render_command(version, folder, view), version.environ(), folder / f"view_{view}.log")


def read_rgba(path: Path) -> np.ndarray:
    """A PNG with straight alpha, (h, w, 4) uint8."""
    from PIL import Image

    return np.array(Image.open(path).convert("RGBA"))


def truth_of(photo: Path) -> Truth:
    """Observe the photo with the present code."""
    from headcast import api
    from headcast.metrics.face import face_mask
    from headcast.metrics.foreground import cut_out

    (seen,) = api.observe(photo)
    assert seen.masks is not None
    matte = seen.masks.person
    face = face_mask(seen.detection.points, *seen.image.shape[:2])
    return Truth(name=cut_out(seen.image, matte), rgb=matte > 0.5, cut=face)


def score(truth: Truth, rendering: np.ndarray) -> Score:
    """Judge a rendering (h, w, 4) of the photo's view.

    Raises:
        SystemExit: it has another size than the photo.
    """
    from headcast.metrics.image import over_grey, psnr, ssim

    if rendering.shape[:2] != truth.rgb.shape[:2]:
        sys.exit(f"against: a rendering has {rendering.shape[:2]} pixels, the photo {truth.rgb.shape[:2]}")
    fake = over_grey(rendering)
    return Score(*(f(truth.rgb, fake, region) for region in (truth.person, truth.face) for f in (psnr, ssim)))


def agreement(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """PSNR (dB; 120 where nothing differs) and SSIM of two renderings over mid grey, all pixels."""
    from headcast.metrics.image import over_grey, psnr, ssim

    everywhere = np.ones(a.shape[:2], bool)
    x, y = over_grey(a), over_grey(b)
    return psnr(x, y, everywhere), ssim(x, y, everywhere)
