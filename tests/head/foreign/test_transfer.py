"""Textures between meshes and uv layouts."""

from __future__ import annotations

import numpy as np
from tests.head.synthetic_flame import ball

from headcast.head.foreign.transfer import MARGIN, Layout, dilate, layout_of, texel_places, transfer_texture
from headcast.head.model import HeadModel


def globe(rings: int, around: int, flipped: bool) -> Layout:
    """The front half of a ball of 10 cm, laid flat as seen along z, or along z and mirrored."""
    v, f = ball(rings, around)
    v = v * 0.1
    front = v[f][..., 2].min(1) > 0.01
    uv = 0.5 + v[:, :2] * [-4.0 if flipped else 4.0, 4.0]
    return Layout(v, f[front], uv, f[front])


def painted(layout: Layout, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture that says where on the ball each texel lies."""
    triangle, bary = texel_places(layout.uv * size, layout.faces_uv, size, size)
    corners = layout.vertices[layout.faces[triangle]]
    return dilate(np.einsum("hwk,hwkc->hwc", bary, corners), triangle >= 0), triangle >= 0


def test_every_place_keeps_its_colour() -> None:
    source, target = globe(21, 40, False), globe(14, 27, True)
    picture, _ = painted(source, 96)
    wanted, inside = painted(target, 128)
    got, known = transfer_texture(picture, source, target, (128, 128))
    assert (known == inside).all() and known.mean() > 0.4
    rim = np.linalg.norm(target.uv - 0.5, axis=1).max() * 128
    y, x = np.mgrid[:128, :128] + 0.5
    inner = known & (np.hypot(x - 64, y - 64) < rim - 6)
    off = np.linalg.norm(got - wanted, axis=-1)
    assert off[inner].max() < 0.002 and off[known].mean() < 0.001
    assert np.abs(got[..., 0].mean()) < 1e-3 and np.corrcoef(got[inner][:, 0], x[inner])[0, 1] < -0.99
    ring = ~known & (np.abs(got).sum(-1) > 0)
    there, beside = np.argwhere(known), np.argwhere(ring)
    steps = np.abs(beside[:, None] - there[None]).max(-1).min(1)
    assert len(beside) > 500 and steps.max() == MARGIN


def test_a_head_to_itself_changes_nothing_between_the_lips() -> None:
    """Upper and lower lip touch; the way they look keeps them apart."""
    layout, size = layout_of(HeadModel.load()), 96
    picture = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + 0.5) / size
    got, known = transfer_texture(picture, layout, layout, (size, size))
    off = np.abs(got - picture).max(-1)[known]
    assert np.median(off) < 1e-6 and (off < 0.01).mean() > 0.985
    assert known.mean() > 0.3
