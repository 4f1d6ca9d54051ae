"""Find where the body ends on both sides in the rows of a photo: clothes and bare skin below the head."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.observe.types import Observation

__all__ = ["Edges", "body_mask", "edges_at", "first_crossing", "highest_collar", "observed_face_height"]

FOREHEAD, CHIN = 10, 152
ABOVE = 0.3  # face heights above the chin where the highest collar is looked for
COLLAR = 0.03  # face heights of clothes in a row that count as a collar
HIDDEN = 0.03  # face heights of hair outside of the clothes that hide their edge
Edges = tuple[Float[np.ndarray, "2 n"], Bool[np.ndarray, "2 n"]]


def observed_face_height(observation: Observation) -> float:
    """Return the pixels from the top of the forehead to the chin."""
    points = observation.detection.points
    return float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))


def highest_collar(observation: Observation) -> float | None:
    """Return the row where clothes begin; None where none are visible."""
    assert observation.masks is not None
    chin, unit = float(observation.detection.points[CHIN, 1]), observed_face_height(observation)
    first = max(0, round(chin - ABOVE * unit))
    enough = (observation.masks.clothes[first:] > 0.5).sum(1) > COLLAR * unit
    rows = np.flatnonzero(np.convolve(enough, np.ones(5), "valid") == 5) if len(enough) >= 5 else []
    return float(first + rows[0]) if len(rows) else None


def body_mask(
    observation: Observation, head: HeadModel, posed: Float[torch.Tensor, "v 3"]
) -> Float[np.ndarray, "h w"]:
    """Return the coverage of clothes and of bare skin that isn't the head's."""
    import cv2

    m = observation.masks
    assert m is not None
    unit = observed_face_height(observation)
    names = np.array(head.region_names)[head.region.numpy()]
    trunk = np.isin(names, ["neck", "shoulders"])
    faces = head.faces[head.part == head.part_names.index("skin")].numpy()
    corners = observation.camera.project(posed).numpy()[faces[~trunk[faces].any(1)]]
    head_mask = np.zeros(m.person.shape, np.uint8)
    for triangle in np.round((corners - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(head_mask, triangle, (1,), cv2.LINE_8, 4)
    around = 2 * max(1, round(0.02 * unit)) + 1
    head_mask = cv2.dilate(head_mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (around, around)))
    return m.clothes + m.skin * (head_mask == 0)


def edges_at(row: Float[np.ndarray, "n"], body: Float[np.ndarray, "h w"], observation: Observation) -> Edges:
    """Return columns of the left and right end at rows of the image, and whether each is known.

    Where hair lies outside of the body, or the body goes on beyond the image, its end isn't.
    """
    assert observation.masks is not None
    hidden = HIDDEN * observed_face_height(observation)
    person = observation.masks.person
    width = person.shape[1]
    lines = np.clip(row - 0.5, 0, len(person) - 1)
    own, all_of = _rows_of(body, lines), _rows_of(person, lines)
    at, known = np.full((2, len(row)), np.nan), np.zeros((2, len(row)), bool)
    for side in (0, 1):
        flip = np.s_[:, ::-1] if side else np.s_[:]
        mine, anyone = first_crossing(own[flip]), first_crossing(all_of[flip])
        known[side] = (mine >= 1.5) & (mine - anyone < hidden)
        at[side] = width - mine if side else mine
    return at, known


def _rows_of(image: Float[np.ndarray, "h w"], lines: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n w"]:
    """Interpolate rows linearly between pixel rows."""
    low = np.floor(lines).astype(int)
    fraction = (lines - low)[:, None]
    return image[low] * (1 - fraction) + image[np.minimum(low + 1, len(image) - 1)] * fraction


def first_crossing(lines: Float[np.ndarray, "n w"], run: int = 4) -> Float[np.ndarray, "n"]:
    """Return where each row first exceeds one half for ``run`` pixels, between pixels; else NaN."""
    over = lines > 0.5
    long = over[:, : over.shape[1] - run + 1].copy()
    for k in range(1, run):
        long &= over[:, k : over.shape[1] - run + 1 + k]
    first = long.argmax(1)
    rows = np.arange(len(lines))
    here, before = lines[rows, first], lines[rows, np.maximum(first - 1, 0)]
    place = np.where(first > 0, first + 0.5 - (here - 0.5) / np.maximum(here - before, 1e-6), 0.0)
    return np.where(long.any(1), place, np.nan)
