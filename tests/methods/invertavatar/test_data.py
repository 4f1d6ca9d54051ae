"""Training data: the mesh condition, the texels and the contours agree with the images."""

from __future__ import annotations

from functools import cache

import torch

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.invertavatar.paper.conditions import paste_into_plane
from headcast.methods.invertavatar.paper.config import TINY
from headcast.methods.invertavatar.paper.data import mesh_condition, view_frames
from headcast.methods.invertavatar.paper.generator import rays_of_labels
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames
from headcast.nets.triplane import XY_XZ_ZX, sample_planes


@cache
def frames() -> PosedFrames:
    """Two people from two sides."""
    return view_frames(2, 2, TINY, 0, 3, torch.device("cpu"))


def test_a_point_of_the_face_finds_its_own_texel_in_the_frontal_plane() -> None:
    head = HeadModel.load()
    vertices = head(HeadParams.neutral(head.identities))
    nose = head.landmarks(vertices, 68)[27:31]
    condition = mesh_condition(vertices, TINY)[None]
    plane = paste_into_plane(condition.permute(0, 3, 1, 2), TINY.side)
    planes = torch.stack([plane, plane * 0, plane * 0], 1)
    at = (nose - torch.tensor(TINY.origin)) * TINY.units_per_metre
    found = 3 * sample_planes(planes, at[None], TINY.cube_side, XY_XZ_ZX)[0]
    uv = torch.stack([(head.uv[head.faces_uv[f]] * b[:, None]).sum(0) for f, b in bridge(head)])
    assert bool((found[:, 2] > 0.99).all())
    torch.testing.assert_close(found[:, :2], uv * 2 - 1, atol=0.01, rtol=0)


def bridge(head: HeadModel) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Triangle and weights of the four landmarks of the nose's bridge."""
    return list(zip(head.landmark68_faces[27:31], head.landmark68_bary[27:31], strict=True))


def test_the_same_texel_has_the_same_colour_from_both_sides() -> None:
    seen = frames()
    flat = Inversion(TINY).unwrap(seen.image, seen)
    both = (seen.visible[:, 0] * seen.visible[:, 1]).expand(-1, 3, -1, -1) > 0
    assert float(both.float().mean()) > 0.02
    error = (flat[:, 0] - flat[:, 1]).abs()[both].mean()
    shuffled = (flat[:, 0] - flat[:, 1].flip(-1)).abs()[both].mean()
    assert float(error) < 0.1 and float(error) < 0.5 * float(shuffled)
    hidden = seen.visible.expand_as(flat) == 0
    assert bool((flat[hidden] == -1).all())


def test_texels_lie_on_the_labels_rays() -> None:
    # the label's camera is the image's: its rays through the nose pass the mesh's nose
    seen = frames()
    rays = rays_of_labels(seen.label[:, 0], 64, TINY)
    distance = rays.origin[:, 0].norm(dim=-1)
    assert bool(((distance > 2.0) & (distance < 2.7)).all())
    assert bool((rays.near < distance[:, None]).all() and (rays.far > distance[:, None]).all())


def test_contours_pass_through_the_landmarks() -> None:
    seen = frames()
    lines = seen.landmarks[:, 0]
    assert float(lines.max()) == 1 and 0.003 < float(lines.mean()) < 0.1
    x0, y0, x1, y1 = seen.box[0, 0].tolist()
    rows, columns = (lines[0, 0] > 0).nonzero().unbind(1)
    assert x0 - 3 <= int(columns.min()) and int(columns.max()) <= x1 + 3
    assert y0 - 3 <= int(rows.min()) and int(rows.max()) <= y1 + 3
