"""Restoring images whose faces are known, and photographs whose faces are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.priors.faces import TEMPLATE
from headcast.priors.restorer import restore as module
from headcast.priors.restorer.restore import restore_image
from headcast.restore import restore

FIVE = (468, 473, 1, 61, 291)
"""Irises, tip of the nose and corners of the mouth among the 478 landmarks."""


def soft(h: int = 300, w: int = 320) -> np.ndarray:
    """An image of nothing."""
    y, x = np.mgrid[:h, :w]
    return np.stack([x * 200 // w, y * 200 // h, (x + y) * 100 // (h + w)], 2).astype(np.uint8)


def landmarks(scale: float, shift: float) -> np.ndarray:
    """478 points of which the five that align lie as in the template, scaled and shifted."""
    points = np.zeros((478, 3))
    points[list(FIVE), :2] = TEMPLATE * scale + shift
    return points


@pytest.fixture
def red_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of GFPGAN, which has no weights here: a network that makes faces red."""

    def step(device: object, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda face: np.broadcast_to(np.array([255, 0, 0], np.uint8), face.shape).copy()

    monkeypatch.setattr(module, "gfpgan_step", step)


def test_faces_are_restored_where_the_caller_says(red_faces: None) -> None:
    rgb = soft()
    asked: list[tuple[int, ...]] = []

    def find(image: np.ndarray) -> list[np.ndarray]:
        asked.append(image.shape)
        return [landmarks(0.25, 10.0), landmarks(0.25, 160.0)]

    out = restore_image(rgb, network="gfpgan", find_faces=find)
    plain = restore_image(rgb)
    assert asked == [rgb.shape] and out.shape == rgb.shape
    for corner in (10, 160):
        middle = corner + 64  # a square of 512 at a quarter
        assert out[middle, middle].tolist() == [255, 0, 0]
    assert np.array_equal(out[:, 290:], plain[:, 290:])
    half = restore_image(rgb, network="gfpgan", strength=0.5, find_faces=lambda _: [landmarks(0.25, 10.0)])
    assert abs(int(half[74, 74, 0]) - (255 + int(rgb[74, 74, 0])) / 2) < 12


@pytest.mark.parametrize("find", [None, lambda image: []])
def test_networks_of_faces_need_faces(red_faces: None, find: Callable[..., list[np.ndarray]] | None) -> None:
    with pytest.raises(HeadcastError, match="no face was found"):
        restore_image(soft(), network="gfpgan", find_faces=find)


def test_photographs_are_searched_for_faces(red_faces: None) -> None:
    with pytest.raises(HeadcastError, match="no face was found"):
        restore(soft(), network="gfpgan")
    assert np.array_equal(restore(soft(90, 120)), restore_image(soft(90, 120)))


def test_senseless_numbers_are_refused() -> None:
    for wrong in ({"strength": 1.5}, {"scale": 3}):
        with pytest.raises(HeadcastError, match="restore: "):
            restore_image(soft(), **wrong)
