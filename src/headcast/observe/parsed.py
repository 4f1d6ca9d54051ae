"""Masks from the face parser inside its crop, from colours and geometry elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import FaceFrame, face_frame
from headcast.observe.filters import blur, guided, resized
from headcast.observe.matte import refine_matte
from headcast.observe.types import Observation

__all__ = ["PARTS", "correct_hair_masks", "parsed_masks", "with_parser"]

BARE = 0.65  # of the crown with hair, below which the parser is asked, too
SMALL = 200.0  # pixels of the face at which the crown is measured
APART = 0.25  # by which it must find more hair there to be believed
HAIRED = 0.7  # and so much in all: on bald heads it finds some, too

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
    "glasses": ("glasses",),
}
"""Labels of the parser that belong to each mask; glasses are worn over skin."""


def parsed_masks(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, masks: Masks, own: bool = False
) -> tuple[Masks, dict[str, Float[np.ndarray, "h w"]]]:
    """Return masks with the parser's output inside its square, and the probability of every label there.

    Args:
        own: takes the parser's coverage and glasses, too; as measured (docs/results/parser.md) both are worse
            than those of ``masks``, so that only skin, hair and clothes are taken by default.

    Raises:
        HeadcastError: the parser's weights are missing.
    """
    import torch

    from headcast.priors.parser import parse_face
    from headcast.synth.config import LABELS

    parsed = parse_face(torch.from_numpy(np.ascontiguousarray(rgb)), detection.box)
    probability = {n: p.numpy() for n, p in zip(LABELS, parsed.probability, strict=True)}
    weight = parsed.weight.numpy()
    size = max(detection.box[2] - detection.box[0], detection.box[3] - detection.box[1])
    person, glasses = masks.person, masks.glasses
    if own:
        alpha = parsed.alpha.numpy().astype(np.float32)
        person, glasses = _with_parser_coverage(rgb, alpha, size, person, weight, probability, glasses)
    soft = _soft_parts(probability, rgb, size)
    soft = soft / soft.sum(-1, keepdims=True) * person[..., None]
    old = np.stack([masks.skin, masks.hair, masks.clothes], -1)
    new = old + weight[..., None] * (soft - old)
    return Masks(
        person=person, skin=new[..., 0], hair=new[..., 1], clothes=new[..., 2], glasses=glasses
    ), probability


def _with_parser_coverage(
    rgb: UInt8[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    size: float,
    person: np.ndarray,
    weight: np.ndarray,
    probability: dict[str, np.ndarray],
    glasses: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage of person and glasses with the parser's own inside its square."""
    fine = refine_matte(rgb, alpha, size)
    person = (person + weight * (fine - person)).astype(np.float32)
    found = np.clip(2 * probability["glasses"] - 0.5, 0, 1)
    glasses = (glasses + weight * (found - glasses)).astype(np.float32)
    return person, glasses


def _soft_parts(
    probability: dict[str, np.ndarray], rgb: UInt8[np.ndarray, "h w 3"], size: float
) -> np.ndarray:
    """Return the coverage of skin, hair and clothes, not normalised, soft along the edges of the image."""
    parts = np.stack([sum(probability[n] for n in PARTS[k]) for k in ("skin", "hair", "clothes")], -1)
    parts = parts / np.maximum(parts.sum(-1, keepdims=True), 1e-3)
    soft = guided(rgb.astype(np.float32) / 255, parts.astype(np.float32), max(2, round(0.006 * size)), 1e-3)
    return np.clip(soft, 0, 1) + 1e-6


def correct_hair_masks(photos: Sequence[tuple[np.ndarray, Detection, Masks]]) -> list[Masks]:
    """Correct the masks of one person's photos; what the parser finds in one photo counts for all."""
    out = [correct_hair_mask(*photo) for photo in photos]
    if any(m is not photo[2] for m, photo in zip(out, photos, strict=True)):
        out = [correct_hair_mask(*photo[:2], m, least=0.0) for m, photo in zip(out, photos, strict=True)]
    return out


def correct_hair_mask(
    rgb: UInt8[np.ndarray, "h w 3"], detection: Detection, masks: Masks, least: float = HAIRED
) -> Masks:
    """Correct the masks by the parser, above the chin and in its hair, where hair was labelled skin.

    Grey and fair hair has the colours of lit skin. Where the colours leave the crown rather bare, the parser
    is run; where it finds much more hair there, and no less than ``least``, it is right
    (docs/results/gaussians.md).
    """
    from headcast.priors.parser import available

    h, w = rgb.shape[:2]
    face = float(np.linalg.norm(detection.points[10] - detection.points[152]))
    scale = min(1.0, SMALL / max(face, 1.0))
    small = max(1, round(h * scale)), max(1, round(w * scale))
    frame = face_frame(detection.points * scale, *small)
    crown = (frame.depth < -0.06) & (frame.y > frame.chin + 0.55)

    def hair_fraction(m: Masks) -> float:
        person, hair = (resized(x, *small)[crown] for x in (m.person, m.hair))
        return float(hair.sum() / max(float(person.sum()), 1.0))

    covered = hair_fraction(masks)
    if resized(masks.person, *small)[crown].sum() < 0.02 * frame.unit**2 or covered > BARE or not available():
        return masks
    parsed, probability = parsed_masks(rgb, detection, masks)
    if hair_fraction(parsed) < max(covered + APART, least):
        return masks
    return _blend_hair(frame, h, w, probability, face, masks, parsed)


def _blend_hair(
    frame: FaceFrame,
    h: int,
    w: int,
    probability: dict[str, np.ndarray],
    face: float,
    masks: Masks,
    parsed: Masks,
) -> Masks:
    """Take the parser's skin, hair and clothes above the chin and in its hair."""
    above = resized(np.clip((frame.y - frame.chin) / 0.1, 0, 1).astype(np.float32), h, w)
    soft = blur(probability["hair"].astype(np.float32), 0.01 * face)
    weight = np.maximum(above, np.clip(2 * soft - 0.5, 0, 1))
    skin, hair, clothes = (
        old + weight * (new - old)
        for old, new in ((getattr(masks, k), getattr(parsed, k)) for k in ("skin", "hair", "clothes"))
    )
    return Masks(person=masks.person, skin=skin, hair=hair, clothes=clothes, glasses=masks.glasses)


def with_parser(o: Observation, folder: str | Path) -> Observation:
    """Replace an observation's masks by the parser's; write its label images into the folder.

    ``labels.png`` holds numbers of ``synth.config.LABELS``, background where the matte says so;
    ``labels_colour.png`` shows them over the photo.

    Raises:
        HeadcastError: the parser's weights are missing, or the folder cannot be written.
    """
    import torch

    from headcast.image import save_png
    from headcast.priors.parser.palette import coloured
    from headcast.synth.config import LABELS

    assert o.masks is not None
    masks, probability = parsed_masks(o.image, o.detection, o.masks)
    label = np.stack([probability[n] for n in LABELS]).argmax(0).astype(np.uint8)
    label[masks.person < 0.5] = LABELS.index("background")
    shown = coloured(torch.from_numpy(label)).numpy()
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_png(Path(folder) / "labels.png", label)
    save_png(Path(folder) / "labels_colour.png", (0.45 * o.image + 0.55 * shown).astype(np.uint8))
    return replace(o, masks=masks)
