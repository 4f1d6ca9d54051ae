"""Rim colour: how much of a head's outline has the colour of the photo's background.

A matte that is too wide leaves background in the hair and on the ears: dark rims before dark cloth, pale
ones before a pale wall.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["RIM_WIDTH_CM", "Palettes", "background_fraction", "photo_palettes", "pixels_per_cm"]

RIM_WIDTH_CM = 2.0
IRIS_DISTANCE_CM = 6.3  # between the iris centres of an adult; the mean of people
COLOURS = 4  # of each palette: a background has gradients, a head has skin, hair and shadow
ATTEMPTS = 3  # at clustering; the tightest is taken
MIN_PIXELS = 50  # that a palette is made of
MAX_PIXELS = 20_000
BACKGROUND_BAND_CM = (1.0, 6.0)  # distance from the person within which the background is sampled
SURE_BACKGROUND, SURE_PERSON = 0.05, 0.95  # of the matte

Colours = Float[np.ndarray, "n 3"]
Palette = Float[np.ndarray, "k 3"]


class Palettes(NamedTuple):
    """Main colours (CIELAB) of a photo: of what lies around the head, and of the head's own hair and skin."""

    background: Palette
    person: Palette


def pixels_per_cm(points: Float[np.ndarray, "478 2"]) -> float:
    """Scale of a frontal face by its iris distance."""
    from headcast.metrics.face import iris_centre_distance

    return iris_centre_distance(points) / IRIS_DISTANCE_CM


def photo_palettes(
    rgb: UInt8[np.ndarray, "h w 3"], matte: Float[np.ndarray, "h w"], scale: float, chin: int
) -> Palettes | None:
    """Learn both palettes from the photo, away from the matte's edge and above the chin.

    Args:
        matte: coverage by the person, 0..1.
        scale: pixels per centimetre.
        chin: row of the chin's tip.

    Returns:
        None where the photo shows too little background or too little of the head.
    """
    import cv2

    lab = _lab(rgb)
    away = _distance(matte < 0.5) / scale
    near, far = BACKGROUND_BAND_CM
    behind = (matte < SURE_BACKGROUND) & (away > near) & (away < far)
    own = (matte > SURE_PERSON) & (_distance(matte > 0.5) > RIM_WIDTH_CM * scale)
    samples = [lab[:chin][mask[:chin]] for mask in (behind, own)]
    if min(len(s) for s in samples) < MIN_PIXELS:
        return None
    cv2.setRNGSeed(0)
    return Palettes(*(_main_colours(s) for s in samples))


def background_fraction(
    rgba: UInt8[np.ndarray, "h w 4"], palettes: Palettes, scale: float, chin: int
) -> float:
    """Return the fraction of a rendering's rim that is nearer in colour to the background than to the person.

    The rim is what is covered at least half, lies within 2 cm of the outline and above the chin. Colours
    are straight, nearness is distance in CIELAB to the nearest colour of a palette.

    Args:
        rgba: straight alpha; a photo with its matte as alpha gives the photo's own fraction.
        scale, chin: of this rendering.

    Returns:
        0..1; NaN where there is no rim.
    """
    covered = rgba[..., 3] > 127
    rim = covered & (_distance(covered) <= RIM_WIDTH_CM * scale)
    colours = _lab(rgba[..., :3])[:chin][rim[:chin]]
    if not len(colours):
        return float("nan")
    return float((_nearest(colours, palettes.background) < _nearest(colours, palettes.person)).mean())


def _lab(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    import cv2

    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Measure each pixel's distance to the nearest pixel outside a mask; the image's border is no outline."""
    import cv2

    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _main_colours(samples: Colours) -> Palette:
    import cv2

    thinned = np.ascontiguousarray(samples[:: -(-len(samples) // MAX_PIXELS)])
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.1)
    return cv2.kmeans(thinned, COLOURS, np.empty(0), stop, ATTEMPTS, cv2.KMEANS_PP_CENTERS)[2]


def _nearest(colours: Colours, palette: Palette) -> Float[np.ndarray, " n"]:
    return np.min([np.linalg.norm(colours - c, axis=1) for c in palette], 0)
