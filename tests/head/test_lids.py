"""Lids and eyeballs: closed at a blink, never through each other, for every gaze, identity and expression."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from headcast.head.lids import eye_profile
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams, gaze_from_eye_look

HEAD = HeadModel.load()
BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
GRID = torch.tensor([[y, p] for y in (-0.5, -0.25, 0.0, 0.25, 0.5) for p in (-0.5, -0.25, 0.0, 0.2, 0.44)])


def clearance(p: HeadParams) -> float:
    """Least distance (mm) of lid vertices from the eyeball's surface; negative is inside."""
    center = HEAD.joints(p.identity)[..., 4:6, :]
    yaw, pitch = (p.gaze if p.gaze is not None else gaze_from_eye_look(p.expression)).unbind(-1)
    axis = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], -1)
    ray = HEAD(p)[..., HEAD.lid_index, :] - center[..., None, :]
    distance = ray.norm(dim=-1)
    cosine = (ray * axis[..., None, :]).sum(-1) / distance
    growth = (1 + p.identity @ HEAD.eye_growth)[..., None]
    return float((distance - eye_profile(cosine, HEAD.eye_profile, growth)).min()) * 1000


def gap(p: HeadParams) -> float:
    """Largest distance (mm) of the upper lid's edge from the lower one's, corners left out."""
    edge = HEAD(p)[..., HEAD.lid_index[:, HEAD.lid_rim], :]
    upper, lower = edge[..., HEAD.lid_share > 0.01, :], edge[..., HEAD.lid_share < -0.01, :]
    a, d = lower[..., None, :-1, :], (lower[..., 1:, :] - lower[..., :-1, :])[..., None, :, :]
    t = (((upper[..., None, :] - a) * d).sum(-1) / (d * d).sum(-1)).clamp(0, 1)
    return float((upper[..., None, :] - a - t[..., None] * d).norm(dim=-1).amin(-1)[..., 3:-3].max()) * 1000


def many(count: int, seed: int, blink: bool) -> HeadParams:
    g = torch.Generator().manual_seed(seed)
    p = HeadParams.neutral(HEAD.identities, (count,))
    weights = torch.rand(count, 52, generator=g) * (torch.rand(count, 52, generator=g) < 0.2)
    p = p.replace(identity=torch.randn(count, HEAD.identities, generator=g), expression=weights)
    p = p.replace(gaze=(torch.rand(count, 2, 2, generator=g) - 0.5))
    return p.with_expression(BLINK) if blink else p


def test_blink_closes_for_every_gaze() -> None:
    p = HeadParams.neutral(HEAD.identities, (len(GRID),)).with_expression(BLINK)
    p = p.replace(gaze=GRID[:, None].expand(-1, 2, 2))
    assert gap(p) < 0.5 and clearance(p) > 0


def test_open_lids_stay_outside_for_every_gaze() -> None:
    p = HeadParams.neutral(HEAD.identities, (len(GRID),)).replace(gaze=GRID[:, None].expand(-1, 2, 2))
    assert clearance(p) > 0


@pytest.mark.parametrize("blink", [False, True])
def test_any_person_any_expression(blink: bool) -> None:
    p = many(60, 3, blink)
    assert clearance(p) > 0
    if blink:
        assert gap(p) < 0.5


def opening(p: HeadParams) -> float:
    """Distance (mm) of the middle of the left lids' edges."""
    q = HEAD.landmarks(HEAD(p), 68)
    return float((q[43] - q[47]).norm()) * 1000


def test_half_a_blink_is_between_and_rest_can_be_set_per_person() -> None:
    rest = HeadParams.neutral(HEAD.identities)
    steps = [opening(rest.with_expression({"eyeBlinkLeft": w})) for w in (-0.3, 0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(a > b for a, b in pairwise(steps))
    assert opening(rest.with_expression({"eyeWideLeft": -0.4})) < steps[1]


def test_iris_of_the_mesh_shows_through_no_closed_lid() -> None:
    rest = (
        HeadParams.neutral(HEAD.identities)
        .with_expression(BLINK)
        .replace(gaze=torch.tensor([[0.2, -0.4]] * 2))
    )
    v = HEAD(rest)
    iris = v[HEAD.region_mask("iris")]
    skin = HEAD.faces[HEAD.part_faces("skin")]
    t = v[skin][(v[skin][..., 2] > 0.07).all(1)]
    a, b, c = t[:, 0, :2], t[:, 1, :2], t[:, 2, :2]
    det = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    p = iris[:, None, :2] - a
    s = (p[..., 0] * (c - a)[:, 1] - p[..., 1] * (c - a)[:, 0]) / det
    r = (p[..., 1] * (b - a)[:, 0] - p[..., 0] * (b - a)[:, 1]) / det
    depth = t[:, 0, 2] + s * (t[:, 1, 2] - t[:, 0, 2]) + r * (t[:, 2, 2] - t[:, 0, 2])
    covered = ((s >= 0) & (r >= 0) & (s + r <= 1) & (depth > iris[:, None, 2])).any(1)
    assert covered.all()
