"""Segmentation of people by the bundled network."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.face_networks.segmentation import segment_whole


def test_a_person_is_told_from_the_wall() -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    mask = segment_whole(np.ascontiguousarray(astronaut[:400]))
    assert mask.shape == (400, 512) and mask[110, 225] > 0.9 and mask[60, 20] < 0.2
