"""Single teeth: where a point lies on its tooth, the shape of the crowns and their colours."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep

__all__ = ["JAWS", "ToothPoints", "crown_light", "enlarge_crowns", "tooth_points"]

JAWS = ("teethUpper", "teethLower")
CROWN_GROWTH = {"teethUpper": (1.03, 1.25, 1.10), "teethLower": (1.03, 1.2, 1.0)}
"""Factors on the crowns' width at the biting edge and at the gum, and on their height."""
NECK_HEIGHT = (0.15, 0.65)  # of the tooth, between which the width grows from one factor to the other
EDGE_SHADE = (0.78, 1.02, 0.42)  # of the half width: where the shade towards the next tooth begins and ends
GUM_SHADE = (0.45, 0.85, 0.25)  # of the height, the same towards the gum
TIP_SHADE = (0.16, 0.02, 0.12)  # of the height, the same towards the biting edge, which light passes
INNER_LIGHT = 0.55  # of the side towards the tongue


class ToothPoints(NamedTuple):
    """Points on the teeth of one jaw, n of them.

    Attributes:
        number: 0 for the two teeth in the middle, growing outwards.
        across: -1 to 1 from one side of the tooth to the other, along the dental arch.
        height: 0 at the biting edge, 1 at the end below the gum.
        outward: component of the unit normal out of the dental arch.
    """

    number: Int[np.ndarray, "n"]
    across: Float[np.ndarray, "n"]
    height: Float[np.ndarray, "n"]
    outward: Float[np.ndarray, "n"]


class _Tooth(NamedTuple):
    """One tooth: its vertices, their middle, and unit axes along and out of the dental arch."""

    vertices: Int[np.ndarray, "t"]
    centre: Float[np.ndarray, "3"]
    along: Float[np.ndarray, "3"]
    out: Float[np.ndarray, "3"]
    number: int


def tooth_points(head: HeadModel, rest: Float[np.ndarray, "v 3"], jaw: str) -> ToothPoints:
    """Locate every vertex of the head on its tooth of one jaw; zeros off the teeth.

    Args:
        rest: vertices at rest, metres.
    """
    import torch

    count = len(rest)
    number, values = np.zeros(count, np.int64), np.zeros((3, count), np.float32)
    normal = head.vertex_normals(torch.from_numpy(np.ascontiguousarray(rest, np.float32))).numpy()
    for tooth in _teeth(head, rest, jaw):
        p = rest[tooth.vertices] - tooth.centre
        side = p @ tooth.along
        y = p[:, 1] if jaw == "teethUpper" else -p[:, 1]
        values[0, tooth.vertices] = 2 * (side - side.min()) / np.ptp(side) - 1
        values[1, tooth.vertices] = (y - y.min()) / np.ptp(y)
        values[2, tooth.vertices] = normal[tooth.vertices] @ tooth.out
        number[tooth.vertices] = tooth.number
    return ToothPoints(number, *values)


def crown_light(points: ToothPoints) -> Float[np.ndarray, "n"]:
    """Return the fraction of light that teeth leave each other: less in the gaps and towards the gum."""
    start, end, loss = EDGE_SHADE
    tall = 0.3 + 0.7 * smoothstep(points.height, 0.0, 0.35)  # the gaps close at the biting edge
    light = 1 - loss * tall * smoothstep(np.abs(points.across), start, end)
    for start, end, loss in (GUM_SHADE, TIP_SHADE):
        light = light * (1 - loss * smoothstep(points.height, start, end))
    return light * (INNER_LIGHT + (1 - INNER_LIGHT) * smoothstep(points.outward, -0.3, 0.2))


def enlarge_crowns(head: HeadModel, rest: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Displace the rest shape (head frame, metres) so that the crowns touch each other and cover the gap."""
    displacement = np.zeros(rest.shape)
    for jaw, (tip_width, neck_width, high) in CROWN_GROWTH.items():
        height = tooth_points(head, rest, jaw).height
        for tooth in _teeth(head, rest, jaw):
            p = rest[tooth.vertices] - tooth.centre
            y = p[:, 1]
            root = y.max() if jaw == "teethUpper" else y.min()
            wide = tip_width + (neck_width - tip_width) * smoothstep(height[tooth.vertices], *NECK_HEIGHT)
            displacement[tooth.vertices] = ((wide - 1) * (p @ tooth.along))[:, None] * tooth.along
            displacement[tooth.vertices, 1] += (high - 1) * (y - root)
    return displacement


def _teeth(head: HeadModel, rest: Float[np.ndarray, "v 3"], jaw: str) -> list[_Tooth]:
    """Find the teeth of a jaw, ordered along the dental arch."""
    groups = _components(head, jaw)
    if not groups:
        return []
    centres = np.stack([rest[g].mean(0) for g in groups])
    middle = np.array([0.0, 0.0, centres[:, 2].min()])
    order = np.argsort(np.arctan2(*(centres - middle)[:, [0, 2]].T))
    centres = centres[order]
    along = np.gradient(centres, axis=0) if len(order) > 1 else np.eye(3)[:1]
    along[:, 1] = 0
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = np.stack([-along[:, 2], 0 * along[:, 2], along[:, 0]], 1)
    half = (len(order) - 1) / 2
    return [
        _Tooth(groups[order[k]], centres[k], along[k], out[k], int(abs(k - half))) for k in range(len(order))
    ]


@lru_cache(maxsize=4)
def _components(head: HeadModel, jaw: str) -> tuple[Int[np.ndarray, "t"], ...]:
    """Return the vertices of each tooth: connected triangles of the jaw's part."""
    if jaw not in head.part_names:
        return ()
    faces = head.faces[head.part == head.part_names.index(jaw)].numpy()
    label = np.arange(len(head.neutral))
    while True:
        lowest = label[faces].min(1)
        before = label.copy()
        for k in range(3):
            np.minimum.at(label, faces[:, k], lowest)
        if (label == before).all():
            break
    own = np.unique(faces)
    return tuple(own[label[own] == k] for k in np.unique(label[own]))
