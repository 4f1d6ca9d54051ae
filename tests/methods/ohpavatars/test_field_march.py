"""Mapping by triangles and marching: canonical points, skipped space, rays that go on."""

from __future__ import annotations

import pytest
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.head.warp import deformation_gradients
from headcast.methods.ohpavatars.field.march import (
    CUBE_LOW,
    CUBE_SIDE,
    PosedHeads,
    camera_rays,
    march,
    pose_heads,
)
from headcast.observe.types import Observation
from headcast.rotation import axis_angle_to_matrix


@pytest.fixture(scope="module")
def heads() -> tuple[HeadModel, HeadParams, HeadParams, PosedHeads]:
    head = HeadModel.load()
    rest = HeadParams.neutral(head.identities)
    opened = rest.with_expression({"jawOpen": 0.8}).replace(
        rotation=torch.tensor([0.1, 0.4, 0.0]), translation=torch.tensor([0.02, -0.01, -0.9])
    )
    return head, rest, opened, pose_heads(head, [rest, opened], head(rest))


def test_gradients_carry_triangles_and_heights() -> None:
    g = torch.Generator().manual_seed(0)
    posed, canonical = torch.rand(9, 3, generator=g), torch.rand(9, 3, generator=g)
    faces = torch.arange(9).reshape(3, 3)
    gradient, offset = deformation_gradients(posed, canonical, faces)
    for t in range(3):
        a, b = posed[faces[t]], canonical[faces[t]]
        torch.testing.assert_close(a @ gradient[t].T + offset[t], b, atol=1e-4, rtol=1e-4)
        up, to = (
            torch.nn.functional.normalize(torch.linalg.cross(x[1] - x[0], x[2] - x[0]), dim=0) for x in (a, b)
        )
        torch.testing.assert_close(
            (a.mean(0) + 0.3 * up) @ gradient[t].T + offset[t], b.mean(0) + 0.3 * to, atol=1e-4, rtol=1e-4
        )
    flat, at = deformation_gradients(torch.zeros(3, 3), canonical[:3], faces[:1])
    assert float(flat.abs().max()) == 0 and torch.equal(at[0], canonical[0])


def test_points_on_the_skin_come_to_the_canonical_skin(
    heads: tuple[HeadModel, HeadParams, HeadParams, PosedHeads],
    scene: tuple[GaussianAvatar, Observation],
) -> None:
    head, rest, opened, posed = heads
    camera = scene[1].camera
    vertices, canonical = head(opened), head(rest)
    front = head.region_mask("face", "nose", "lips") & (head.vertex_normals(vertices)[:, 2] > 0.7)
    index = torch.nonzero(front)[::40, 0]
    rays = camera_rays(camera, opened, camera.project(vertices[index]), 1)
    samples = march(posed, rays, None, most=200)
    away = (vertices[index] - camera.center).norm(dim=-1)
    low = torch.tensor(CUBE_LOW)
    off = []
    for n, ray in enumerate(range(len(index))):
        own = slice(int(samples.start[ray]), int(samples.start[ray] + samples.counts[ray]))
        nearest = (samples.depth[own] - away[n]).abs().argmin()
        found = samples.points[own][nearest] * CUBE_SIDE + low
        off.append(float((found - canonical[index[n]]).norm()))
    off_sorted = torch.tensor(off).sort().values
    assert float(off_sorted[len(off) // 2]) < 0.004  # a step's length
    assert float(off_sorted[int(len(off) * 0.95)]) < 0.012
    moved = (vertices - opened.translation) @ axis_angle_to_matrix(opened.rotation) - canonical
    assert float(moved[index].norm(dim=-1).max()) > 0.015  # the jaw did move


def test_empty_cells_are_skipped_and_rays_go_on(
    heads: tuple[HeadModel, HeadParams, HeadParams, PosedHeads], scene: tuple[GaussianAvatar, Observation]
) -> None:
    posed, photo = heads[3], scene[1]
    pixels = torch.tensor([[48.5, 48.5], [2.5, 2.5], [60.5, 40.5]])
    rays = camera_rays(photo.camera, photo.params, pixels, 0)
    every = march(posed, rays, None, most=200)
    assert int(every.counts[0]) > 20 and int(every.counts[1]) == 0
    assert torch.isinf(every.after).all()
    none = march(posed, rays, torch.zeros(64, 64, 64, dtype=torch.bool), most=200)
    assert int(none.counts.sum()) == 0
    first = march(posed, rays, None, most=7)
    second = march(posed, rays, None, most=200, after=first.after)
    joined = torch.cat([first.depth[first.ray == 0], second.depth[second.ray == 0]])
    torch.testing.assert_close(joined, every.depth[every.ray == 0])
    assert torch.equal(every.start, torch.cumsum(every.counts, 0) - every.counts)
