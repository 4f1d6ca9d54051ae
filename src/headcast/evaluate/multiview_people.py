"""Photos of one person from many sides, analysed once for all that is compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from headcast.evaluate.aligned import CHIN, read_rgb
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.side_views import SidePhoto, side_photo
from headcast.image import save_png
from headcast.metrics.face import face_mask
from headcast.metrics.rim import Palettes, photo_palettes, pixels_per_cm
from headcast.metrics.skin_tone import typology_angle

__all__ = [
    "COMPARED",
    "FRONT",
    "SHOWN",
    "FrontPhoto",
    "MultiviewPerson",
    "front_photo",
    "photo_of",
    "read_person",
]

FRONT = "33"
SOURCES = (FRONT, "22", "42")
"""Photos that an avatar is made from, in the order in which ``sources`` adds them."""
COMPARED = {"23": 1, "43": -1}
"""Photos at ±45° that show a face, and the side (sign of the yaw) that they are taken from."""
SHOWN = {"13": 90, "53": -90, "03": 135, "63": -135}
"""Photos that are shown on sheets, not measured: yaw in degrees."""
ENLARGED = 1.5  # photos at ±45°, so that their landmarks are found well
MARGIN = 60  # pixels of a photo's width that are left at each side of its middle square


@dataclass(frozen=True)
class FrontPhoto:
    """The photo that avatars are made from.

    Attributes:
        embedding: SFace's; None: not detected, or the network is not available.
        scale: pixels per centimetre. palettes: colours of background and person; None: too few pixels.
        typology: individual typology angle of the face, degrees.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    points: Float[np.ndarray, "478 2"]
    matte: Float[np.ndarray, "h w"]
    embedding: Float[np.ndarray, "128"] | None
    scale: float
    palettes: Palettes | None
    typology: float

    @property
    def chin(self) -> int:
        """Return the row of the chin's tip."""
        return int(self.points[CHIN, 1])

    @property
    def rgba(self) -> UInt8[np.ndarray, "h w 4"]:
        """Return the photo with its matte as straight alpha."""
        return np.dstack([self.rgb, np.round(self.matte * 255).astype(np.uint8)])


@dataclass(frozen=True)
class MultiviewPerson:
    """One person; ``sides``: photos at ±45° in which a face is found, by their names."""

    name: str
    sources: list[Path]
    front: FrontPhoto
    sides: dict[str, SidePhoto]


def read_person(
    folder: Path, sources: Path, count: int, detector: StaticLandmarks, networks: EvaluationNetworks
) -> MultiviewPerson:
    """Read the photos of a folder and detect what is compared.

    Args:
        sources: where the photos that avatars are made from are written. count: how many of them.

    Raises:
        HeadcastError: a photo is missing, or no face is found in the front photo.
    """
    sources.mkdir(parents=True, exist_ok=True)
    paths = []
    for view in SOURCES[:count]:
        paths.append(sources / f"{folder.name}_{view}.png")
        save_png(paths[-1], photo_of(folder, view))
    sides = {}
    for view in COMPARED:
        rgb = enlarge(photo_of(folder, view))
        points = detector.points(rgb)
        if points is not None:
            sides[view] = side_photo(rgb, points, selfie_matte(rgb), networks)
    front = front_photo(photo_of(folder, FRONT), f"{folder.name}: {FRONT}.jpg", detector, networks)
    return MultiviewPerson(folder.name, paths, front, sides)


def front_photo(
    rgb: UInt8[np.ndarray, "h w 3"], name: str, detector: StaticLandmarks, networks: EvaluationNetworks
) -> FrontPhoto:
    """Detect the face of a front photo, its palettes and skin tone.

    Raises:
        HeadcastError: no face in it.
    """
    points = detector.real_points(rgb, name)
    matte, scale = selfie_matte(rgb), pixels_per_cm(points)
    return FrontPhoto(
        rgb=rgb,
        points=points,
        matte=matte,
        scale=scale,
        embedding=networks.sface.embedding(rgb) if networks.sface else None,
        palettes=photo_palettes(rgb, matte, scale, int(points[CHIN, 1])),
        typology=typology_angle(rgb, face_mask(points, *rgb.shape[:2])),
    )


def photo_of(folder: Path, view: str) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photo and crop what lies far at both sides of the person.

    Raises:
        HeadcastError: it is missing or unreadable.
    """
    rgb = read_rgb(folder / f"{view}.jpg")
    height, width = rgb.shape[:2]
    if width <= height + 2 * MARGIN:
        return rgb
    return np.ascontiguousarray(rgb[:, (width - height) // 2 - MARGIN : (width + height) // 2 + MARGIN])


def enlarge(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Enlarge a photo for the landmark network."""
    import cv2

    return cv2.resize(rgb, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)


def selfie_matte(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Estimate coverage 0..1 by the segmentation network alone, slightly blurred; uncertain in dark hair."""
    import cv2

    from headcast.face_networks.segmentation import segment_whole

    return cv2.GaussianBlur(segment_whole(rgb), (0, 0), 1)
