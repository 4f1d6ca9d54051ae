"""Marching tetrahedra: closed, outward, in the right place."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.render.isosurface import isosurface, largest_part


def distance(side: int, middle: tuple[float, float, float]) -> np.ndarray:
    """To a point, on a grid."""
    at = np.stack(np.meshgrid(*[np.arange(side, dtype=float)] * 3, indexing="ij"), -1)
    return np.linalg.norm(at - np.array(middle), axis=-1)


@pytest.mark.parametrize("middle", [(9.0, 9.0, 9.0), (8.3, 9.7, 9.1)])
def test_a_ball_is_closed_and_faces_outwards(middle: tuple[float, float, float]) -> None:
    points, faces = isosurface(-distance(19, middle), -6.0)
    far = np.linalg.norm(points - np.array(middle), axis=1)
    assert np.abs(far - 6).max() < 0.12
    a, b, c = (points[f] - np.array(middle) for f in faces.T)
    assert abs((np.cross(a, b) * c).sum() / 6 / (4 / 3 * np.pi * 216) - 1) < 0.03
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(e) for e in edges.tolist()}
    assert len(there) == len(edges) and all((b, a) in there for a, b in there)  # each edge once a direction


def test_the_larger_of_two_balls_is_kept() -> None:
    field = np.maximum(5 - distance(24, (7, 7, 7)), 3 - distance(24, (18, 18, 18)))
    points, faces = isosurface(field, 0.0)
    kept = largest_part(len(points), faces)
    assert 0 < len(kept) < len(faces)
    assert np.linalg.norm(points[kept.ravel()] - 7, axis=1).max() < 5.2


def test_nothing_where_nothing_is() -> None:
    points, faces = isosurface(np.zeros((4, 4, 4)), 1.0)
    assert points.shape == (0, 3) and faces.shape == (0, 3)
