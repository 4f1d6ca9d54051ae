"""Texels as points of the mesh and as parts of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from headcast.head.model import HeadModel
from headcast.texture.texels import texels_of


def test_work_on_a_part_is_that_on_the_whole() -> None:
    head = HeadModel.load()
    texels = texels_of(head, 256)
    rng = np.random.default_rng(0)
    values = rng.random((len(texels.index), 2)).astype(np.float32)
    which = np.flatnonzero(
        (texels.index // 256 > 90) & (texels.index // 256 < 110) & (texels.index % 256 < 140)
    )
    cut, back = texels.around(which, 20)
    assert (back(cut(values)) == values[which]).all()
    whole = texels.values(cv2.GaussianBlur(texels.picture(values), (0, 0), 4.0))[which]
    part = back(cv2.GaussianBlur(cut(values), (0, 0), 4.0))
    assert np.abs(whole - part).max() < 1e-5
    assert cut(values).shape[0] < 100
