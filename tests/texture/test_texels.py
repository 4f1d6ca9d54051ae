"""Texels as points of the mesh and as parts of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from headcast.head.model import HeadModel
from headcast.texture.texels import interpolate_attributes, texels_of


def test_work_on_a_part_is_that_on_the_whole() -> None:
    head = HeadModel.load()
    texels = texels_of(head, 256)
    rng = np.random.default_rng(0)
    values = rng.random((len(texels.index), 2)).astype(np.float32)
    which = np.flatnonzero(
        (texels.index // 256 > 90) & (texels.index // 256 < 110) & (texels.index % 256 < 140)
    )
    cut, back = texels.crop(which, 20)
    assert (back(cut(values)) == values[which]).all()
    whole = texels.from_image(cv2.GaussianBlur(texels.to_image(values), (0, 0), 4.0))[which]
    part = back(cv2.GaussianBlur(cut(values), (0, 0), 4.0))
    assert np.abs(whole - part).max() < 1e-5
    assert cut(values).shape[0] < 100


def test_a_subset_has_the_values_of_the_whole() -> None:
    head = HeadModel.load()
    texels = texels_of(head, 128)
    which = np.arange(0, len(texels.index), 7)
    faces, rest = head.faces.numpy(), head.neutral.numpy()
    assert (
        interpolate_attributes(rest, faces, texels.subset(which))
        == interpolate_attributes(rest, faces, texels)[which]
    ).all()


def test_texels_lie_where_their_uv_says() -> None:
    head = HeadModel.load()
    texels = texels_of(head, 128)
    corners = head.uv[head.faces_uv].numpy()[texels.triangle]
    uv = (corners * texels.bary[..., None]).sum(1)
    y, x = np.divmod(texels.index, texels.size)
    assert np.abs(uv * texels.size - np.stack([x, y], 1) - 0.5).max() < 1e-3
