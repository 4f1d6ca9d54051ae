"""Tell skin, hair and clothes of a person apart by the parser, by place and by colour."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.interpolation import smoothstep
from headcast.observe.colour_model import Mixture, features, fit_mixture, monomials
from headcast.observe.face_frame import FaceFrame, face_frame, polygon
from headcast.observe.filters import blur, resized
from headcast.observe.landmark_points import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_OUTER,
)

__all__ = ["label_parts"]

ROUNDS = 3  # of fitting the colours to the regions and the regions to the colours
LABEL_FACE = 200.0  # pixels of the face's height on the grid where regions and colours are found
LEAST_AREA = 0.004  # of the face's height squared, for a part to be there at all
NOTHING = -13.0  # log density of a part that this person does not show
ALIKE = 1.7  # distance from the crown's colours within which nine tenths of the hair beside the face lie
SKIN, HAIR, CLOTHES = 0, 1, 2
TIED, TIED_ALIKE = (
    (0.75, 0.95),
    2.0,
)  # the parser's hair, and distance from the crown's colours, of a ponytail
TIED_OUT, TIED_DOWN = (
    0.2,
    0.55,
)  # of the face's height: how far beyond an ear, below the chin it is
TRUST = 1.0  # in the parser's log probabilities, as a factor
DOUBT = 0.02  # added to its probabilities


class _ColourCues(NamedTuple):
    """Colours of a grid over the face, and how far they are from those of skin and hair.

    ``colours`` and ``terms`` are the features of the mixtures, ``sure_skin`` the (n, 4) features of pixels
    that are skin for sure, ``from_skin`` and ``from_crown`` Mahalanobis distances (infinite for the bald).
    """

    frame: FaceFrame
    colours: Float[np.ndarray, "h w 4"]
    terms: Float[np.ndarray, "15 h w"]
    is_sure_skin: Bool[np.ndarray, "h w"]
    sure_skin: Float[np.ndarray, "n 4"]
    from_skin: Float[np.ndarray, "h w"]
    from_crown: Float[np.ndarray, "h w"]


class _SampleAreas(NamedTuple):
    """Where the colours of each part may be sampled; ``contested`` can be hair as well as clothes."""

    skin: Bool[np.ndarray, "h w"]
    hair: Bool[np.ndarray, "h w"]
    clothes: Bool[np.ndarray, "h w"]
    contested: Bool[np.ndarray, "h w"]


def label_parts(
    rgb: UInt8[np.ndarray, "h w 3"],
    matte: Float[np.ndarray, "a b"],
    points: Float[np.ndarray, "478 2"],
    glasses: Float[np.ndarray, "h w"],
    parsed: Float[np.ndarray, "p q 3"],
) -> Float[np.ndarray, "c d 3"]:
    """Return probabilities of skin, hair and clothes, on a grid where the face is some 200 pixels high.

    A prior by place and by the parser, times colour mixtures that are fitted alternately to the regions of
    this very image.

    Args:
        parsed: the parser's probabilities of the three.
    """
    scale = min(1.0, LABEL_FACE / face_frame(points, 1, 1).unit)
    h, w = (max(1, round(n * scale)) for n in rgb.shape[:2])
    points = points * scale
    frame = face_frame(points, h, w)
    matte = resized(matte, h, w)
    bare = skin_samples(points, frame) * (1 - resized(glasses, h, w)) > 0.5
    cues = _colour_cues(resized(rgb, h, w), matte, frame, bare)
    by_parser = np.moveaxis(resized(parsed, h, w), -1, 0)
    tied = tied_hair(frame, cues.from_crown, by_parser[HAIR])
    prior, areas = _prior_and_areas(cues, matte, tied)
    prior += TRUST * np.log(by_parser + DOUBT)
    probability = softmax(prior)
    for _ in range(ROUNDS):
        score = prior.copy()
        for k, model in _fit_part_colours(cues, areas, probability).items():
            score[k] += NOTHING if model is None else model.log_density(cues.terms)
        probability = softmax(score)
    islands = hair_islands(probability[HAIR], frame) * (1 - tied)
    probability[CLOTHES] += islands * probability[HAIR]
    probability[HAIR] *= 1 - islands
    return np.moveaxis(probability, 0, -1).astype(np.float32)


def _colour_cues(
    rgb: UInt8[np.ndarray, "h w 3"],
    matte: Float[np.ndarray, "h w"],
    frame: FaceFrame,
    bare: Bool[np.ndarray, "h w"],
) -> _ColourCues:
    """Compare every pixel's colour with the skin's (``bare``: where there is bare skin) and the crown's."""
    colours = features(rgb, frame.unit)
    terms = monomials(colours)
    is_sure_skin = bare & (matte > 0.5)
    if is_sure_skin.sum() < 30:  # a face covered by something, or one the matte misses
        is_sure_skin = np.abs(frame.depth) <= max(0.0, float(np.abs(frame.depth).min())) + 0.2
    sure_skin = trim_outliers(colours[is_sure_skin])
    from_skin = fit_mixture(add_highlights(sure_skin), 5).distance(terms)
    from_crown = crown_distance(frame, colours, terms, (matte > 0.7) & (from_skin > 2.5))
    return _ColourCues(frame, colours, terms, is_sure_skin, sure_skin, from_skin, from_crown)


def _prior_and_areas(
    cues: _ColourCues, matte: Float[np.ndarray, "h w"], tied: Float[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "3 h w"], _SampleAreas]:
    """Return log odds of the parts before any colour model, and where the models' samples may come from."""
    frame, from_skin, from_crown = cues.frame, cues.from_skin, cues.from_crown
    like_hair = (matte > 0.7) & (from_skin > 2.5) & (from_crown < 3.5)
    long = long_hair(frame, like_hair)
    prior = place_prior(frame, np.maximum(long, tied))
    alike = blur(np.minimum(from_crown, 6), 0.015 * frame.unit)
    prior[HAIR] -= unlikely_hair(frame, alike, like_hair)
    prior[SKIN] -= unlikely_skin(frame, (matte > 0.7), from_skin > 2.5)
    hangs = (alike < ALIKE + 0.3) | (frame.y > frame.chin)
    hair_place = (from_skin > 3) & ((from_crown < 5) | (frame.y > frame.chin + 0.3))
    locks = (long > 0) & (frame.y > frame.chin - 0.6)
    inside = matte > 0.9
    areas = _SampleAreas(
        skin=inside & (from_skin < 2.5),
        hair=inside & hair_place,
        clothes=inside & (from_skin > 2),
        contested=locks & hangs,
    )
    return prior, areas


def _fit_part_colours(
    cues: _ColourCues, areas: _SampleAreas, probability: Float[np.ndarray, "3 h w"]
) -> dict[int, Mixture | None]:
    """Fit a colour mixture to each part's present region; None for a part that is hardly there."""
    colours = cues.colours
    least = LEAST_AREA * cues.frame.unit**2
    own = areas.hair & (probability[HAIR] > 0.6)
    hair = fit_mixture(colours[own], 3) if own.sum() > least else None
    near = cues.from_crown < 4.5
    if hair is not None:
        near = near | (hair.distance(cues.terms) < 3)
    own = areas.clothes & ~(areas.contested & near) & (probability[CLOTHES] > 0.6)
    clothes = fit_mixture(colours[own], 3) if own.sum() > least else None
    own = areas.skin & (probability[SKIN] > 0.7)
    samples = np.concatenate([cues.sure_skin, colours[own & ~cues.is_sure_skin]])
    return {SKIN: fit_mixture(add_highlights(samples), 5), HAIR: hair, CLOTHES: clothes}


def softmax(x: Float[np.ndarray, "k h w"]) -> Float[np.ndarray, "k h w"]:
    """Convert log odds to probabilities that sum to 1."""
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


def crown_distance(
    frame: FaceFrame,
    f: Float[np.ndarray, "h w 4"],
    terms: Float[np.ndarray, "15 h w"],
    candidates: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w"]:
    """Return colour distances to the candidates above the face; infinite for the bald."""
    crown = candidates & (frame.y > frame.chin + 0.4) & (frame.depth < -0.01)
    if crown.sum() < LEAST_AREA * frame.unit**2:
        return np.full(frame.x.shape, np.inf, np.float32)
    return fit_mixture(f[crown], 3).distance(terms)


def unlikely_hair(
    frame: FaceFrame, alike: Float[np.ndarray, "h w"], like_hair: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return log odds against hair below the chin: clothes often have nearly the colour of the hair.

    Hair there looks like that of the crown (``alike``: how far from it) and hangs not much further out than
    it does beside the jaw.
    """
    drop = frame.chin - frame.y
    out = 8 * smoothstep(drop, 0.0, 0.15) * np.clip(alike - ALIKE, 0, 1)
    level = (drop < -0.08) & (drop > -0.35) & like_hair
    for side in (frame.x <= 0, frame.x > 0):
        there = level & side
        wide = float(np.quantile(np.abs(frame.x[there]), 0.98)) if there.any() else 0.4
        too_far = np.abs(frame.x) - wide - 0.25 * np.maximum(drop, 0)
        out += side * 8 * smoothstep(too_far, 0.0, 0.12) * smoothstep(drop, -0.05, 0.05)
    return np.where(np.isfinite(alike), out, 0).astype(np.float32)


def unlikely_skin(
    frame: FaceFrame, person: Bool[np.ndarray, "h w"], unlike: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return log odds against skin around a face with hair all around: there it is a highlight.

    ``unlike``: what does not look like skin. Far beyond the ears there is none either way.
    """
    around = person & (frame.depth < -0.06) & (frame.y > frame.chin + 0.4)
    fraction = float(unlike[around].mean()) if around.any() else 0.0
    above = smoothstep(frame.y - frame.chin, 0.05, 0.2)
    clear_of_ears = np.where(np.abs(frame.y + 0.08) < 0.2, 0.5, 1.0)
    is_hairy = float(np.clip((fraction - 0.6) / 0.2, 0, 1))
    highlight = is_hairy * clear_of_ears * smoothstep(-frame.depth, 0.06, 0.14)
    out_of_ears = np.maximum(frame.x - frame.ear_left, frame.ear_right - frame.x)
    beyond = smoothstep(out_of_ears, 0.2, 0.3) * smoothstep(0.3 - frame.y, 0.0, 0.1)
    return (4 * np.maximum(highlight, beyond) * above).astype(np.float32)


def tied_hair(
    frame: FaceFrame, from_crown: Float[np.ndarray, "h w"], hair: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return 1 on ponytails beside the neck: hair by the parser (``hair``) that has the crown's colours.

    Where it hangs behind a jaw beside which there is no hair, place alone takes it for clothes.
    """
    sure = smoothstep(hair, *TIED) * smoothstep(TIED_ALIKE - np.minimum(from_crown, 9), 0.0, 1.0)
    beyond = np.maximum(frame.x - frame.ear_left, frame.ear_right - frame.x)
    down = frame.chin - frame.y
    beside = smoothstep(TIED_OUT - beyond, 0.0, 0.1) * smoothstep(TIED_DOWN - down, 0.0, 0.1) * (down > -0.4)
    return blur((sure * beside).astype(np.float32), 0.01 * frame.unit)


def hair_islands(hair: Float[np.ndarray, "h w"], frame: FaceFrame) -> Float[np.ndarray, "h w"]:
    """Return 1 on what is labelled hair below the chin without a connection to the hair above."""
    import cv2

    _, pieces = cv2.connectedComponents((hair > 0.4).astype(np.uint8))
    above = np.unique(pieces[frame.y > frame.chin])
    return ((frame.y < frame.chin) & ~np.isin(pieces, above)).astype(np.float32)


def trim_outliers(f: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "m 4"]:
    """Drop the extremes of lightness and colour from samples: nostrils, stray hair and highlights."""
    middle = np.median(f, 0)
    far = np.abs(f[:, :3] - middle[:3]) / (np.median(np.abs(f[:, :3] - middle[:3]), 0) * 1.5 + 1.0)
    keep = far.max(1) < 2.5
    return f[keep] if keep.sum() > 20 else f


def add_highlights(f: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "m 4"]:
    """Add to samples of skin some of the same skin under a highlight (nearer to white) and in shade."""
    out = [f]
    for white, stride in ((0.25, 6), (0.5, 12)):
        shine = f[::stride].copy()
        shine[:, 0] += white * (97 - shine[:, 0])
        shine[:, 1:3] *= 1 - 0.8 * white
        out.append(shine)
    shade = f[::12].copy()
    shade[:, 0] *= 0.72
    shade[:, 1:3] *= 0.88
    return np.concatenate([*out, shade])


def long_hair(frame: FaceFrame, like_hair: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Estimate whether hair hangs beside the jaw, 0..1, for the subject's right and left half of the image.

    Measured by the median width of what looks like hair in the rows beside the jaw."""
    level = (frame.y > frame.chin + 0.08) & (frame.y < frame.chin + 0.35)
    strip = level & (frame.depth < -0.01) & (frame.depth > -0.3)
    out = np.zeros_like(frame.x)
    for side in (frame.x <= 0, frame.x > 0):
        rows = (strip & side).any(1)
        if rows.any():
            width = float(np.median((strip & side & like_hair)[rows].sum(1))) / frame.unit
            out[side] = np.clip((width - 0.05) / 0.05, 0, 1)
    return out


def skin_samples(points: Float[np.ndarray, "478 2"], frame: FaceFrame) -> Float[np.ndarray, "h w"]:
    """Return where there is skin for sure: inside the face, away from its rim, eyes, brows and mouth."""
    h, w = frame.x.shape
    out = ((frame.depth > 0.06) & (frame.y < 0.1)).astype(np.float32)
    for outline in (BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, LIPS_OUTER):
        p = points[list(outline)]
        out *= 1 - polygon((p - p.mean(0)) * 1.25 + p.mean(0), h, w)
    return out


def place_prior(frame: FaceFrame, long: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "3 h w"]:
    """Return log odds of skin, hair and clothes by place on the head; ``long`` from ``long_hair``."""
    x, y, depth = frame.x, frame.y, frame.depth
    out = np.zeros((3, *x.shape), np.float32)
    forehead = smoothstep(y, 0.1, 0.28)  # where fringes fall
    out[SKIN] += np.clip(depth, 0, 0.3) * (60 - 48 * forehead) + 1.5 * (depth > 0)
    drop = frame.chin - y
    below = smoothstep(drop, -0.06, 0.06)
    neck = _neck_weight(frame, drop, x)
    out[SKIN] += below * (4.0 * neck - 2.5)
    out[CLOTHES] += -9 * (1 - smoothstep(drop, -0.4, -0.05)) + below * (1 - 2.0 * neck)
    out[CLOTHES] += 5 * smoothstep(drop, 0.1, 0.5) * (1 - 0.9 * long * (drop < 0.8))
    jaw = smoothstep(drop, -0.35, -0.1)  # short hair ends above
    out[HAIR] -= 9 * jaw * (1 - long) + below * long * (2 * neck + 3 * smoothstep(drop, 0.6, 1.2))
    beside = (1 - jaw * (1 - long)) * (depth < 0)
    out[HAIR] += (1 - below) * beside * (1.2 + smoothstep(y - frame.top, -0.02, 0.15))
    ears = _ear_weight(y, depth)
    out[SKIN] += 2.0 * ears
    return out


def _ear_weight(y: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return 1 on the ears, just outside the outline of the face, fading around them."""
    return (
        np.exp(-(((y + 0.08) / 0.16) ** 2))
        * smoothstep(-depth, 0.0, 0.02)
        * smoothstep(0.1 + depth, -0.02, 0.04)
    )


def _neck_weight(frame: FaceFrame, drop: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return 1 on the neck, fading around it and wider with the ``drop`` below the chin."""
    half = max(0.3, 0.5 * abs(frame.ear_left - frame.ear_right))
    middle = 0.25 * (frame.ear_left + frame.ear_right)
    neck = smoothstep(half * 0.9 + 0.3 * np.maximum(drop, 0) - np.abs(x - middle), -0.12, 0.08)
    return neck * smoothstep(-drop, -0.75, -0.3)
