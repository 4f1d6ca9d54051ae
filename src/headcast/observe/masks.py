"""Segment person, skin, hair, clothes and glasses of a portrait by the face parser, and colours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import FaceFrame, face_frame
from headcast.observe.filters import guided, resized
from headcast.observe.glasses import glasses_mask
from headcast.observe.matte import coarse_matte, keep_connected, refine_by_colour, refine_matte
from headcast.observe.parts import label_parts

if TYPE_CHECKING:
    from headcast.priors.parser import FaceParser

__all__ = [
    "PARTS",
    "WORK",
    "ParsedImage",
    "coarse_guide",
    "cutout_matte",
    "fine_matte",
    "parse_image",
    "parse_with_guide",
    "person_matte",
    "reduce_for_parser",
    "segment",
]

WORK = 1024
"""Pixels of the longer side that the matte's edges are found at."""

PARSED, PARSED_FACE = 512, 160.0
"""Pixels of the longer side that labels are made at, and of the face's larger side at least."""

BARE = 0.65
"""Fraction of the crown with hair by its colours, below which the parser may correct it."""
APART, HAIRED = 0.25, 0.85
"""By how much more hair it must find there, and how much in all: on bald heads it finds some, too."""

EDGES = 0.4
"""Of the face's larger side: the size that edges are moved by, see ``refine_matte``."""

CUTOUT_IOU = 0.75
"""Of alpha and the person found, for alpha to be the person's outline."""

PARTS = {
    "skin": (
        "skin",
        "nose",
        "ears",
        "neck",
        "brows",
        "lips",
        "mouth",
        "teeth",
        "eyes",
        "facial_hair",
        "glasses",
    ),
    "hair": ("hair",),
    "clothes": ("clothes",),
}
"""Labels of the parser that belong to each mask; glasses are worn over skin."""


class ParsedImage(NamedTuple):
    """What the parser finds in an image.

    Attributes:
        rgb: the image, reduced. detection: the face in it. alpha: coverage by the person.
        probability: of every label of ``synth.config.LABELS``, 0 where the parser did not look.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    detection: Detection
    alpha: Float[np.ndarray, "h w"]
    probability: dict[str, Float[np.ndarray, "h w"]]


def parse_image(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> ParsedImage:
    """Run the parser about a face.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    small, face = reduce_for_parser(rgb, detection)
    return parse_with_guide(small, face, coarse_guide(small, face))


def reduce_for_parser(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection
) -> tuple[UInt8[np.ndarray, "a b 3"], Detection]:
    """Reduce an image to the size that labels are made at, and the face in it."""
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = detection.box
    scale = min(1.0, max(PARSED / max(h, w), PARSED_FACE / max(x1 - x0, y1 - y0)))
    small = np.ascontiguousarray(resized(rgb, max(1, round(h * scale)), max(1, round(w * scale))))
    box = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
    return small, replace(detection, points=detection.points * scale, box=box)


def coarse_guide(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> Float[np.ndarray, "h w"]:
    """Return the coarse matte of the person with the detected face, which guides the parser."""
    guide = refine_by_colour(rgb, coarse_matte(rgb, detection.box), detection.box)
    return keep_connected(guide, detection.box).astype(np.float32)


def parse_with_guide(
    rgb: UInt8[np.ndarray, "h w 3"],
    detection: Detection,
    guide: Float[np.ndarray, "h w"],
    parser: FaceParser | None = None,
) -> ParsedImage:
    """Run a parser, by default the bundled one, on an image reduced by ``reduce_for_parser``.

    Raises:
        HeadcastError: the bundled parser's weights are missing.
    """
    import torch

    from headcast.priors.parser import parse_face
    from headcast.synth.config import LABELS

    parsed = parse_face(torch.from_numpy(rgb), detection.box, parser, guide=torch.from_numpy(guide))
    alpha = (parsed.alpha * parsed.weight).numpy()
    probability = {n: p.numpy() for n, p in zip(LABELS, parsed.probability, strict=True)}
    return ParsedImage(rgb, detection, alpha, probability)


def person_matte(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> Float[np.ndarray, "h w"]:
    """Return coverage 0..1 of the person with the detected face, without other people who stand apart."""
    return fine_matte(rgb, detection, parse_image(rgb, detection).alpha)


def cutout_matte(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"], detection: Detection
) -> Float[np.ndarray, "h w"]:
    """Return coverage 0..1 of the person in an image with transparency, shown over a plain backdrop.

    The alpha of a cut-out person is the matte itself. Elsewhere (rounded corners, several people, parts of
    the background left in) it limits the matte.
    """
    own = person_matte(rgb, detection)
    a, b = alpha > 0.5, own > 0.5
    if float((a & b).sum()) > CUTOUT_IOU * float((a | b).sum()):
        return keep_connected(alpha, detection.box).astype(np.float32)
    return own * alpha


def fine_matte(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, alpha: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "h w"]:
    """Return the parser's coverage with the image's edges, at the image's size."""
    h, w = rgb.shape[:2]
    scale = min(1.0, WORK / max(h, w))
    work = resized(rgb, max(1, round(h * scale)), max(1, round(w * scale)))
    x0, y0, x1, y1 = detection.box
    coarse = np.clip(resized(alpha, *work.shape[:2]), 0, 1)
    fine = refine_matte(work, coarse, EDGES * max(x1 - x0, y1 - y0) * scale)
    box = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
    return np.clip(resized(keep_connected(fine, box), h, w), 0, 1)


def segment(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, person: Float[np.ndarray, "h w"] | None = None
) -> Masks:
    """Segment one person; ``person`` is the matte when there is one already.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    h, w = rgb.shape[:2]
    parsed = parse_image(rgb, detection)
    if person is None:
        person = fine_matte(rgb, detection, parsed.alpha)
    glasses = glasses_mask(parsed.rgb, parsed.detection.points)
    soft = resized(_soft_parts(parsed, person, glasses), h, w) * person[..., None]
    return Masks(
        person=person,
        skin=soft[..., 0],
        hair=soft[..., 1],
        clothes=soft[..., 2],
        glasses=resized(glasses, h, w),
    )


def _soft_parts(parsed: ParsedImage, person: np.ndarray, glasses: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Return fractions of skin, hair and clothes that sum to 1, along the edges of the image."""
    rgb, points = parsed.rgb, parsed.detection.points
    parts = np.stack([sum(parsed.probability[n] for n in PARTS[k]) for k in PARTS], -1) + 1e-6
    parts = (parts / parts.sum(-1, keepdims=True)).astype(np.float32)
    labelled = resized(label_parts(rgb, person, points, glasses, parts), *rgb.shape[:2])
    parts = _haired_crown(
        face_frame(points, *rgb.shape[:2]), resized(person, *rgb.shape[:2]), labelled, parts
    )
    soft = guided(
        rgb.astype(np.float32) / 255, parts, max(2, round(0.012 * face_frame(points, 1, 1).unit)), 1e-3
    )
    soft = np.clip(soft, 0, 1) + 1e-6
    return soft / soft.sum(-1, keepdims=True)


def _haired_crown(
    frame: FaceFrame, person: np.ndarray, labelled: np.ndarray, parsed: np.ndarray
) -> Float[np.ndarray, "h w 3"]:
    """Return the parser's parts above the chin where it finds a crown haired that looks bare.

    Within the face they stay. Grey and fair hair has the colours of lit skin.
    """
    crown = (frame.depth < -0.06) & (frame.y > frame.chin + 0.55)
    area = float(person[crown].sum())
    if area < 0.02 * frame.unit**2:
        return labelled
    by_colour, by_parser = (float((x[..., 1] * person)[crown].sum()) / area for x in (labelled, parsed))
    if by_colour > BARE or by_parser < max(by_colour + APART, HAIRED):
        return labelled
    above = np.clip((frame.y - frame.chin) / 0.1, 0, 1)
    weight = above * np.clip(1 - frame.depth / 0.06, 0, 1)
    return (labelled + weight[..., None] * (parsed - labelled)).astype(np.float32)
