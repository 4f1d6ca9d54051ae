"""Training data: the mesh condition, the texels and the contours agree with the images."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.invertavatar.paper.conditions import paste_into_plane
from headcast.methods.invertavatar.paper.config import TINY
from headcast.methods.invertavatar.paper.data import mesh_condition, pose_frames, view_frames
from headcast.methods.invertavatar.paper.generator import HeadGenerator, rays_of_labels
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames
from headcast.nets.triplane import XY_XZ_ZX, sample_planes
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots


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


def test_the_labels_rays_pass_through_the_landmarks() -> None:
    shots = Shots.make(SynthConfig(size=128, people=2, framing="eg3d"), 0, 3, torch.device("cpu"))
    seen = pose_frames(shots, 1, TINY)
    rays = rays_of_labels(seen.label[:, 0], 128, TINY)
    points = (shots.landmarks - torch.tensor(TINY.origin)) * TINY.units_per_metre
    nose = points[:, 27:31]
    # rays go through pixels' corners: the corner nearest to a landmark lies within most of a pixel
    corner = shots.marks[:, 27:31].round().long()
    number = corner[..., 1] * 128 + corner[..., 0]
    for b in range(2):
        origin, direction = rays.origin[b, 0], rays.direction[b, number[b]]
        along = ((nose[b] - origin) * direction).sum(-1, keepdim=True)
        miss = (nose[b] - origin - along * direction).norm(dim=-1)
        pixel = along[:, 0] / (seen.label[b, 0, 16] * 128)
        assert bool((miss < 0.75 * pixel).all()), miss / pixel
        assert bool((along > rays.near[b]).all() and (along < rays.far[b]).all())


def test_contours_pass_through_the_landmarks() -> None:
    seen = frames()
    lines = seen.landmarks[:, 0]
    assert float(lines.max()) == 1 and 0.003 < float(lines.mean()) < 0.1
    x0, y0, x1, y1 = seen.box[0, 0].tolist()
    rows, columns = (lines[0, 0] > 0).nonzero().unbind(1)
    assert x0 - 3 <= int(columns.min()) and int(columns.max()) <= x1 + 3
    assert y0 - 3 <= int(rows.min()) and int(rows.max()) <= y1 + 3


@pytest.mark.slow
def test_a_generator_fitted_to_some_views_of_a_head_is_right_from_others() -> None:
    # cameras, mesh condition and planes are in one world, or turning the camera would not help
    torch.manual_seed(0)
    config = replace(
        TINY, channel_base=2048, channel_most=24, plane_channels=16, decoder_width=32, coarse=12, fine=12
    )
    seen = view_frames(1, 10, config, 0, 11, torch.device("cpu"))
    generator = HeadGenerator(config)
    w = torch.nn.Parameter(torch.randn(1, config.latents, config.style))
    optimizer = torch.optim.Adam([*generator.parameters(), w], 3e-3, betas=(0.9, 0.99))
    for step in range(80):
        k = step % 8
        out = generator(generator.canonical(w), seen.condition[:, k], seen.label[:, k], jitter=True)
        raw = torch.nn.functional.avg_pool2d(seen.image[:, k], 4)
        loss = (out.image - seen.image[:, k]).abs().mean() + (out.image_raw - raw).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        head = generator.canonical(w)
        for k in (8, 9):
            found = [generator(head, seen.condition[:, k], seen.label[:, j]).image for j in (k, (k + 4) % 8)]
            right, wrong = (float(-10 * ((x - seen.image[:, k]) / 2).square().mean().log10()) for x in found)
            assert right > wrong + 0.4, (k, right, wrong)
