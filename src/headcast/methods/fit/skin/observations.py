"""What a photo says of every texel: albedo, how far to trust it, whether it is skin, hair or clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.observe.landmark_points import EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER, OVAL
from headcast.observe.types import Observation
from headcast.texture.texels import Texels, gather
from headcast.texture.unproject import Seen

__all__ = ["Evidence", "evidence_of", "feathered", "zone"]

NOSTRILS = (48, 64, 98, 97, 2, 326, 327, 294, 278, 4)
FEATHER = 4.0  # texels of a 1024 texture over which seen and completed skin are blended
NARROW = 1.0  # the same at the rims of eyes, nostrils and lips
CORE = 0.99  # of the face's outline; further out earrings, hair and background may slip in
FOLDED = (0.04, 0.2)  # cosines at which lips start to be seen
CREASED = (0.75, 0.9)  # shares of a shut lid that an open eye hides
MARGIN = 0.005  # of the face's height, that teeth are seen off the lips
DRAWN_IN = 0.008  # of the face's height
SIDEBURN = (-0.2, -0.12)  # heights of the face above the eyes at which hair before the ear ends
WIDE = (0.1, 0.14)  # of the face's height: gaps through which the tongue is seen
PARTED = (0.012, 0.024)  # of the face's height: gaps between closed lips, and between open ones
EACH = 4  # row of the texture that is measured


@dataclass(frozen=True)
class Evidence:
    """Of n texels.

    Attributes:
        albedo: (n, 3) linear.
        trust: 0..1, the share of ``albedo`` in the texture; the rest is completed.
        plain: 0..1, how far it may stand for its surroundings (not lashes, the dark between lips, glasses).
        label: (n, 3) skin, hair, clothes.
        square: 0..1, how squarely it is seen, off the person's outline: such colours are carried on.
        core: 0..1, within the outline of the face, where everything counts.
        told: how far to trust the label: a surface seen at a slant tells what it is, though not its colour.
        folded: 0..1, of lids: what an open eye folds away.
        pitch: texels along a pixel of the photo where the face is seen squarely.
    """

    albedo: Float[np.ndarray, "n 3"]
    trust: Float[np.ndarray, "n"]
    plain: Float[np.ndarray, "n"]
    label: Float[np.ndarray, "n 3"]
    square: Float[np.ndarray, "n"]
    core: Float[np.ndarray, "n"]
    told: Float[np.ndarray, "n"]
    folded: Float[np.ndarray, "n"]
    pitch: float = 2.0


def zone(head: HeadModel, texels: Texels, *names: str) -> Float[np.ndarray, "n"]:
    """0..1: how far a texel lies in the named regions."""
    wanted = [i for i, n in enumerate(head.region_names) if n in names]
    inside = torch.isin(head.region, torch.tensor(wanted, dtype=torch.long)).numpy()
    return gather(inside[:, None].astype(np.float32), head.faces.numpy(), texels)[:, 0]


def evidence_of(
    observation: Observation, seen: Seen, albedo: Float[np.ndarray, "n 3"], head: HeadModel, texels: Texels
) -> Evidence:  # fmt: skip
    """One photo's evidence. Inside the face's outline everything seen counts, fringes and glasses too."""
    points = observation.detection.points
    unit = float(np.linalg.norm(points[152] - points[10]))
    inside = sample_bilinear(soft_outline(observation, OVAL, CORE, 0.025 * unit), seen.pixel)
    skin_part = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    rims = outline_band(observation, (EYE_LEFT, EYE_RIGHT, LIPS_OUTER, NOSTRILS), 0.03 * unit)
    fine = np.maximum(sample_bilinear(rims, seen.pixel), inside * zone(head, texels, "nose"))
    slack = 0.28 - 0.17 * inside - 0.09 * inside * fine
    trust = seen.visible * smoothstep((seen.facing - slack * 0.4 * (1 - fine)) / slack, 0.0, 1.0)
    trust *= np.maximum(inside, smoothstep(well_within(observation, seen, unit), 0.6, 0.95))
    odd = unlikely(observation, seen, inside, head, texels)
    trust *= 1 - odd
    trust *= 1 - zone(head, texels, "lips") * (1 - smoothstep(seen.facing, *FOLDED))
    folded = zone(head, texels, "lids") * (1 - unfolded(observation, head, texels))
    trust *= 1 - smoothstep(folded, *CREASED)
    trust = np.where(mouth_part(head, texels), mouth_trust(observation, seen, head, texels, unit), trust)
    total = seen.skin + seen.hair + seen.clothes
    label = np.stack([seen.skin, seen.hair, seen.clothes], 1) / np.maximum(total, 1e-3)[:, None]
    label[total < 0.05] = [1, 0, 0]
    near = np.maximum(
        outline_band(observation, (EYE_LEFT, EYE_RIGHT), 0.022 * unit),
        outline_band(observation, (LIPS_INNER,), 0.012 * unit),
    )
    plain = (1 - sample_bilinear(near, seen.pixel)) * (1 - smoothstep(seen.glasses, 0.1, 0.5))
    told = seen.visible * smoothstep(seen.facing, 0.02, 0.15) * smoothstep(seen.person, 0.5, 0.9) * plain
    sideburn = (seen.hair > 0.5) * smoothstep(above_eyes(observation, seen), *SIDEBURN)
    told *= 1 - odd * (1 - sideburn)
    wide, narrow = feathered(trust, texels, FEATHER), feathered(trust, texels, NARROW)
    trust = np.where(skin_part, wide + fine * inside * (narrow - wide), trust)
    square = smoothstep(seen.facing, 0.3, 0.6) * smoothstep(seen.person, 0.8, 0.99) + 0.003
    return Evidence(
        *(x.astype(np.float32) for x in (albedo, trust, plain, label, square, inside, told, folded)),
        pitch=pitch(texels, seen, inside),
    )


def pitch(texels: Texels, seen: Seen, inside: Float[np.ndarray, "n"]) -> float:
    """Texels along a pixel of the photo, median over the face where it is seen squarely."""
    sure = (seen.visible * seen.facing * inside > 0.7).astype(np.float32)
    at = texels.picture(np.concatenate([seen.pixel, sure[:, None]], 1))[::EACH]
    step = np.linalg.norm(np.diff(at[..., :2], axis=1), axis=-1)
    step = step[np.minimum(at[:, 1:, 2], at[:, :-1, 2]) > 0]
    return float(1 / np.clip(np.median(step), 0.05, 2.0)) if len(step) else 2.0


def unfolded(observation: Observation, head: HeadModel, texels: Texels) -> Float[np.ndarray, "n"]:
    """The pixels that the photo has of a texel, as a share of those it would take with the lids shut.

    What an open eye folds away comes out as smears when it is unfolded.
    """
    params = observation.params
    with torch.no_grad():
        now = head(params)
        shut = head(params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}))
    camera, faces = observation.camera, head.faces
    a, b, c = camera.project(now)[faces].unbind(1)
    shown = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    a, b, c = shut[faces].unbind(1)
    depth = camera.to_camera(shut)[faces, 2].mean(1)
    whole = torch.linalg.cross(b - a, c - a).norm(dim=1) * (camera.K[0, 0] / depth) ** 2
    share = (shown.abs() / whole.clamp(min=1e-9)).clamp(max=1).numpy()
    count, corner = len(now), faces.reshape(-1).numpy()
    weight = np.repeat(whole.numpy(), 3)
    total = np.bincount(corner, weight, count)
    mean = np.bincount(corner, weight * np.repeat(share, 3), count) / np.maximum(total, 1e-9)
    return gather(mean[:, None], faces.numpy(), texels)[:, 0]


def unlikely(
    observation: Observation, seen: Seen, inside: Float[np.ndarray, "n"], head: HeadModel, texels: Texels
) -> Float[np.ndarray, "n"]:
    """0..1: hair before ears, neck and cheeks, clothes before a face or above the chin: not to be painted."""
    points = observation.detection.points
    up = points[10] - points[152]
    level = above_eyes(observation, seen)
    low = 1 - smoothstep(level, -0.05, 0.08)  # below the eyes
    slanted = 1 - smoothstep(seen.facing, 0.3, 0.6)
    outside = (1 - inside) * (1 - zone(head, texels, "scalp"))
    hair = smoothstep(seen.hair, 0.05, 0.35) * np.maximum(
        zone(head, texels, "ears", "neck"), outside * np.maximum(low, slanted)
    )
    chin = float((points[152] - points[[468, 473]].mean(0)) @ up / (up @ up))
    dressed = zone(head, texels, "neck", "shoulders") * (1 - smoothstep(level, chin - 0.08, chin + 0.04))
    clothes = smoothstep(seen.clothes, 0.3, 0.7) * (1 - dressed) * (1 - inside)
    return np.maximum(hair, clothes)


def above_eyes(observation: Observation, seen: Seen) -> Float[np.ndarray, "n"]:
    """How far above the irises texels lie in the photo, in heights of the face."""
    points = observation.detection.points
    up = points[10] - points[152]
    return ((seen.pixel - points[[468, 473]].mean(0)) @ (up / (up @ up))).astype(np.float32)


def well_within(observation: Observation, seen: Seen, unit: float) -> Float[np.ndarray, "n"]:
    """The person's matte, drawn in by a few pixels: what shows there is not mixed with the background."""
    import cv2

    if observation.masks is None:
        return seen.person
    k = 2 * max(1, round(DRAWN_IN * unit)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    return sample_bilinear(cv2.erode(observation.masks.person.astype(np.float32), kernel), seen.pixel)


def mouth_part(head: HeadModel, texels: Texels) -> Bool[np.ndarray, "n"]:
    """Which texels belong to teeth, gums, tongue and the mouth's inside."""
    inner = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
    names = [i for i, n in enumerate(head.part_names) if n in inner]
    return np.isin(head.part.numpy(), names)[texels.triangle]


def mouth_trust(
    observation: Observation, seen: Seen, head: HeadModel, texels: Texels, unit: float
) -> Float[np.ndarray, "n"]:
    """Trust in what shows between the lips: nothing while they are closed, else what lies well within.

    What lies behind the teeth counts only when the mouth is open wide: teeth would be painted on it.
    """
    p = observation.detection.points
    gap = np.linalg.norm(p[[81, 13, 311]] - p[[178, 14, 402]], axis=1).mean() / unit
    margin = max(1.0, MARGIN * unit)
    between = sample_bilinear(soft_outline(observation, LIPS_INNER, 1.0, margin), seen.pixel)
    teeth = zone(head, texels, "teeth")
    opened = teeth * smoothstep(np.array(gap), *PARTED) + (1 - teeth) * smoothstep(np.array(gap), *WIDE)
    return seen.visible * between * opened


def feathered(trust: Float[np.ndarray, "n"], texels: Texels, width: float) -> Float[np.ndarray, "n"]:
    """Trust that falls to 0 gently, and only inwards, at the borders of what is seen."""
    import cv2

    radius = width * texels.size / 1024
    picture = texels.picture(trust)
    k = 2 * round(radius) + 1
    inner = cv2.erode(picture, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    soft = cv2.GaussianBlur(inner, (0, 0), radius * 0.6)
    return np.minimum(trust, texels.values(soft))


def outline_mask(observation: Observation, outline: tuple[int, ...], grow: float) -> Float[np.ndarray, "h w"]:
    """1 inside a closed outline of landmarks, scaled about its middle."""
    import cv2

    p = observation.detection.points[list(outline)]
    p = (p - p.mean(0)) * grow + p.mean(0)
    mask = np.zeros(observation.image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((p - 0.5) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def soft_outline(
    observation: Observation, outline: tuple[int, ...], grow: float, width: float
) -> Float[np.ndarray, "h w"]:
    """0 at a closed outline of landmarks, scaled about its middle, to 1 at ``width`` pixels inside of it."""
    import cv2

    inside = (outline_mask(observation, outline, grow) > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    return smoothstep(distance, 0.0, width).astype(np.float32)


def outline_band(
    observation: Observation, outlines: tuple[tuple[int, ...], ...], width: float
) -> Float[np.ndarray, "h w"]:
    """1 within ``width`` pixels of closed outlines, and inside them."""
    import cv2

    mask = np.zeros(observation.image.shape[:2], np.uint8)
    for outline in outlines:
        p = np.round((observation.detection.points[list(outline)] - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [p], (255,), cv2.LINE_AA, 4)
        cv2.polylines(mask, [p], True, (255,), max(1, round(2 * width)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255
