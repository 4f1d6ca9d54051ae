"""Find the left and right outline of the body below the head, clothes and bare skin, in rows of a photo."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.observe.outlines import CHIN, observed_face_height
from headcast.observe.types import Observation

__all__ = ["Edges", "body_mask", "edges_at", "first_crossing", "highest_collar"]

SEARCH_ABOVE_CHIN = 0.3  # face heights above the chin where the search for a collar starts
MIN_COLLAR = 0.03  # face heights of clothes in a row of pixels that make a collar
MAX_HAIR_OVERHANG = 0.03  # face heights of hair outside of the body, beyond which its outline is hidden
Edges = tuple[Float[np.ndarray, "2 n"], Bool[np.ndarray, "2 n"]]


def highest_collar(observation: Observation) -> float | None:
    """Return the row where clothes begin; None where none are visible."""
    assert observation.masks is not None
    chin, face_height = float(observation.detection.points[CHIN, 1]), observed_face_height(observation)
    first_row = max(0, round(chin - SEARCH_ABOVE_CHIN * face_height))
    enough = (observation.masks.clothes[first_row:] > 0.5).sum(1) > MIN_COLLAR * face_height
    rows = np.flatnonzero(np.convolve(enough, np.ones(5), "valid") == 5) if len(enough) >= 5 else []
    return float(first_row + rows[0]) if len(rows) else None


def body_mask(
    observation: Observation, head: HeadModel, posed: Float[torch.Tensor, "v 3"]
) -> Float[np.ndarray, "h w"]:
    """Return the coverage 0..1 of clothes and of bare skin outside of the rendered head."""
    import cv2

    masks = observation.masks
    assert masks is not None
    face_height = observed_face_height(observation)
    names = np.array(head.region_names)[head.region.numpy()]
    is_trunk = np.isin(names, ["neck", "shoulders"])
    faces = head.faces[head.part == head.part_names.index("skin")].numpy()
    corners = observation.camera.project(posed).numpy()[faces[~is_trunk[faces].any(1)]]
    head_mask = np.zeros(masks.person.shape, np.uint8)
    for triangle in np.round((corners - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(head_mask, triangle, (1,), cv2.LINE_8, 4)
    size = 2 * max(1, round(0.02 * face_height)) + 1
    head_mask = cv2.dilate(head_mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return masks.clothes + masks.skin * (head_mask == 0)


def edges_at(row: Float[np.ndarray, "n"], body: Float[np.ndarray, "h w"], observation: Observation) -> Edges:
    """Return the image columns of the body's left and right outline at rows, and whether each is visible.

    It is not where hair overhangs the body or where the body extends beyond the image.
    """
    assert observation.masks is not None
    max_overhang = MAX_HAIR_OVERHANG * observed_face_height(observation)
    person = observation.masks.person
    width = person.shape[1]
    line = np.clip(row - 0.5, 0, len(person) - 1)
    body_rows, person_rows = _interpolate_rows(body, line), _interpolate_rows(person, line)
    column, known = np.full((2, len(row)), np.nan), np.zeros((2, len(row)), bool)
    for side in (0, 1):
        flip = np.s_[:, ::-1] if side else np.s_[:]
        body_edge, person_edge = first_crossing(body_rows[flip]), first_crossing(person_rows[flip])
        known[side] = (body_edge >= 1.5) & (body_edge - person_edge < max_overhang)
        column[side] = width - body_edge if side else body_edge
    return column, known


def _interpolate_rows(
    image: Float[np.ndarray, "h w"], lines: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n w"]:
    """Interpolate rows linearly between pixel rows."""
    above = np.floor(lines).astype(int)
    fraction = (lines - above)[:, None]
    return image[above] * (1 - fraction) + image[np.minimum(above + 1, len(image) - 1)] * fraction


def first_crossing(lines: Float[np.ndarray, "n w"], run: int = 4) -> Float[np.ndarray, "n"]:
    """Return where each row first exceeds one half for ``run`` pixels, between pixels; else NaN."""
    is_inside = lines > 0.5
    is_run = is_inside[:, : is_inside.shape[1] - run + 1].copy()
    for k in range(1, run):
        is_run &= is_inside[:, k : is_inside.shape[1] - run + 1 + k]
    first = is_run.argmax(1)
    rows = np.arange(len(lines))
    value, previous = lines[rows, first], lines[rows, np.maximum(first - 1, 0)]
    position = np.where(first > 0, first + 0.5 - (value - 0.5) / np.maximum(value - previous, 1e-6), 0.0)
    return np.where(is_run.any(1), position, np.nan)
