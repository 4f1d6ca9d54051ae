"""The mouth's inside: the tongue lies low, crowns touch, every tooth has its own shades."""

from __future__ import annotations

import numpy as np

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.mouth import shape_mouth
from headcast.methods.fit.skin.teeth import JAWS, crown_light, tooth_points


def part_vertices(head: HeadModel, *names: str) -> np.ndarray:
    """Return the vertices of the named parts."""
    return head.faces[head.part_faces(*names)].unique().numpy()


def test_only_tongue_and_teeth_are_moved() -> None:
    head = HeadModel.load()
    displacement = shape_mouth(head)
    moved = np.flatnonzero(displacement.any(1))
    assert set(moved) <= set(part_vertices(head, "tongue", *JAWS))
    tongue = displacement[part_vertices(head, "tongue")]
    assert (tongue[:, 1] < 0).all() and (tongue[:, 2] < 0).all()


def test_upper_crowns_grow_downwards_and_mirror_symmetric() -> None:
    head = HeadModel.load()
    displacement = shape_mouth(head)
    upper = part_vertices(head, "teethUpper")
    assert displacement[upper, 1].max() <= 0 and displacement[upper, 1].min() < -0.0008
    mirrored = displacement[head.mirror.numpy()][upper] * [-1, 1, 1]
    assert np.abs(mirrored - displacement[upper]).max() < 1e-5


def test_every_jaw_has_sixteen_teeth_numbered_from_the_middle() -> None:
    head = HeadModel.load()
    for jaw in JAWS:
        own = part_vertices(head, jaw)
        points = tooth_points(head, head.neutral.numpy(), jaw)
        assert set(points.number[own]) == set(range(8))
        x = np.abs(head.neutral.numpy()[own, 0])
        means = [x[points.number[own] == k].mean() for k in range(8)]
        assert np.all(np.diff(means) > 0)
        front = own[points.number[own] == 0]
        assert points.outward[front].max() > 0.8
        tips = front[points.height[front] < 0.05]
        roots = front[points.height[front] > 0.95]
        gap = (head.neutral[tips, 1].mean() - head.neutral[roots, 1].mean()).item()
        assert (gap < 0) == (jaw == "teethUpper")


def test_gaps_between_teeth_are_darker_than_their_middles() -> None:
    head = HeadModel.load()
    own = part_vertices(head, "teethUpper")
    points = tooth_points(head, head.neutral.numpy(), "teethUpper")
    light = crown_light(points)[own]
    faces_out = points.outward[own] > 0
    middle = faces_out & (np.abs(points.across[own]) < 0.5) & (np.abs(points.height[own] - 0.3) < 0.15)
    sides = faces_out & (np.abs(points.across[own]) > 0.95) & (points.height[own] > 0.35)
    assert light[middle].min() > 0.8 > 0.7 > light[sides].max()
