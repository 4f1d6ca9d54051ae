"""Labels of the face parser over a whole photo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import FaceFrame, face_frame
from headcast.observe.filters import resized
from headcast.observe.masks import PARTS, parse_image
from headcast.observe.types import Observation

__all__ = ["fuse_labels", "label_probability", "write_labels"]

EAR_LOW, EAR_HIGH, EAR_REACH = -0.33, 0.06, 0.17
"""Where ears are, of the face's height: from the irises up and down, and how far beyond its outline."""
FEATURES = ("nose", "brows", "lips", "mouth", "teeth", "eyes")
"""Labels that the parser alone gives."""
INNER = 0.05
"""Depth inside the face's outline, of its height, from where it alone decides."""
SURE_EAR = 0.7
EAR_BY_PARSER = 0.3
"""Probability of ears above which the parser is right there."""
EAR_SKIN, NO_CHEEK, NO_NECK = 0.4, 0.8, 0.2
"""Fraction of skin above which what lies there is an ear, unless the parser is surer of cheek or neck."""


def fuse_labels(
    probability: Mapping[str, Float[np.ndarray, "h w"]],
    masks: Masks,
    points: Float[np.ndarray, "478 2"],
) -> UInt8[np.ndarray, "h w"]:
    """Return a label for each pixel: the parser's within the part that the masks say, ears by place.

    The parser's own most probable label calls half of an ear skin or hair.

    Args:
        probability: of every label of ``synth.config.LABELS``. points: landmarks, pixels.
    """
    from headcast.synth.config import LABELS

    score = np.stack([probability[n] for n in LABELS]) + np.float32(1e-6)
    frame = face_frame(points, *masks.person.shape)
    part = np.stack([masks.skin, masks.hair, masks.clothes]).argmax(0)
    inner = frame.depth > INNER
    is_feature = _pieces_within(np.isin(score.argmax(0), [LABELS.index(n) for n in FEATURES]), inner)
    by_parser = inner | is_feature
    for k, names in enumerate(PARTS.values()):
        other = [i for i, n in enumerate(LABELS) if n not in names]
        score[other] *= (part != k) | by_parser
    ears = _ear_pixels(probability, masks, frame) & ~is_feature
    score[LABELS.index("ears")] = np.where(ears, 2, probability["ears"] * (probability["ears"] > SURE_EAR))
    label = score.argmax(0).astype(np.uint8)
    label[masks.person < 0.5] = LABELS.index("background")
    return label


def _pieces_within(mask: Bool[np.ndarray, "h w"], inner: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the connected pieces of a mask that reach into ``inner``: a nose in profile, not an ear."""
    import cv2

    _, piece = cv2.connectedComponents(mask.astype(np.uint8))
    return mask & np.isin(piece, np.unique(piece[mask & inner]))


def _ear_pixels(
    probability: Mapping[str, Float[np.ndarray, "h w"]],
    masks: Masks,
    frame: FaceFrame,
) -> Bool[np.ndarray, "h w"]:
    """Return skin just outside the face's outline, beside the eyes and the nose."""
    beside = (frame.y > EAR_LOW) & (frame.y < EAR_HIGH) & (frame.depth < 0) & (frame.depth > -EAR_REACH)
    bare = (masks.skin > EAR_SKIN * masks.person) & (probability["skin"] < NO_CHEEK)
    below = probability["neck"] + probability["clothes"] > NO_NECK
    return beside & (masks.person > 0.5) & ~below & (bare | (probability["ears"] > EAR_BY_PARSER))


def label_probability(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection
) -> dict[str, Float[np.ndarray, "h w"]]:
    """Return the probability of every label of ``synth.config.LABELS``, 0 far from the face.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    parsed = parse_image(rgb, detection)
    return {n: resized(p, *rgb.shape[:2]) for n, p in parsed.probability.items()}


def write_labels(o: Observation, folder: str | Path) -> None:
    """Write an observation's label images into a folder.

    ``labels.png`` holds numbers of ``synth.config.LABELS`` (see ``fuse_labels``);
    ``labels_colour.png`` shows them over the photo.

    Raises:
        HeadcastError: the parser's weights are missing, or the folder cannot be written.
    """
    import torch

    from headcast.image import save_png
    from headcast.priors.parser.palette import coloured

    assert o.masks is not None
    label = fuse_labels(label_probability(o.image, o.detection), o.masks, o.detection.points)
    shown = coloured(torch.from_numpy(label)).numpy()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_png(Path(folder) / "labels.png", label)
    save_png(Path(folder) / "labels_colour.png", (0.45 * o.image + 0.55 * shown).astype(np.uint8))
