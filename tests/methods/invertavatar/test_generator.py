"""The animatable GAN: its sizes, its rays, and what pose, camera and latents change."""

from __future__ import annotations

import math

import pytest
import torch

from headcast.methods.invertavatar.paper.conditions import CROP
from headcast.methods.invertavatar.paper.config import PAPER, TINY
from headcast.methods.invertavatar.paper.generator import HeadGenerator, rays_of_labels


def label(yaw: float = 0.0) -> torch.Tensor:
    """A camera 2.7 from the origin, turned about the y axis."""
    c, s = math.cos(yaw), math.sin(yaw)
    pose = torch.tensor([[c, 0, -s, 2.7 * s], [0, -1, 0, 0], [-s, 0, -c, 2.7 * c], [0, 0, 0, 1.0]])
    K = torch.tensor([[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1.0]])
    return torch.cat([pose.flatten(), K.flatten()])[None]


@pytest.fixture(scope="module")
def tiny() -> HeadGenerator:
    """A tiny generator with random weights."""
    torch.manual_seed(0)
    return HeadGenerator(TINY).eval().requires_grad_(False)


def condition(left: float = -0.5) -> torch.Tensor:
    """A square of mesh with a mouth."""
    s = TINY.side
    at = torch.linspace(-1, 1, s)
    y, x = torch.meshgrid(at, at, indexing="ij")
    mask = ((x > left) & (x < 0.6) & (y.abs() < 0.7)).float()
    mask[s // 2 + 4 : s // 2 + 8, s // 2 : s // 2 + 12] = 0
    return torch.stack([x * mask, y * mask, mask], -1)[None]


def test_the_papers_size_has_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        generator = HeadGenerator(PAPER)
    count = sum(p.numel() for p in generator.parameters())
    assert count == 88_301_010 and round(count / 2**20, 2) == 84.21  # Table 1 counts in units of 2^20
    assert PAPER.latents == 14 and PAPER.image_side == 512


def test_rays_go_through_pixel_corners_between_near_and_far() -> None:
    rays = rays_of_labels(label(0.3), 8, PAPER)
    torch.testing.assert_close(rays.near, torch.tensor([[2.25]]))
    torch.testing.assert_close(rays.far, torch.tensor([[3.3]]))
    # pixel (4, 4) of 8 has its corner in the middle of the image: the optical axis
    axis = rays.direction[0].reshape(8, 8, 3)[4, 4]
    torch.testing.assert_close(axis, torch.tensor([-math.sin(0.3), 0.0, -math.cos(0.3)]))


def test_latents_pose_and_camera_change_the_image(tiny: HeadGenerator) -> None:
    torch.manual_seed(1)
    ws = tiny.map(torch.randn(2, TINY.code), label().expand(2, -1))
    assert ws.shape == (2, TINY.latents, TINY.style)
    heads = [tiny.canonical(w[None]) for w in ws]
    base = tiny(heads[0], condition(), label())
    assert base.image.shape == (1, 3, 128, 128) and base.image_raw.shape == (1, 3, 32, 32)
    assert base.depth.shape == (1, 1, 32, 32) and bool(base.image.isfinite().all())
    for other in (
        tiny(heads[1], condition(), label()),
        tiny(heads[0], condition(-0.2), label()),
        tiny(heads[0], condition(), label(0.4)),
    ):
        assert not torch.allclose(other.image, base.image, atol=1e-4)
    half = tiny(heads[0], condition(), label(), side=16)
    assert half.image.shape == base.image.shape and half.image_raw.shape[-1] == 16


def test_the_face_changes_the_frontal_plane_alone_and_only_within_its_crop(tiny: HeadGenerator) -> None:
    torch.manual_seed(2)
    head = tiny.canonical(tiny.map(torch.randn(1, TINY.code), label()))
    posed = tiny.planes(head, condition())
    static = head.static.image.unflatten(1, (3, TINY.plane_channels))
    assert torch.equal(posed[:, 1:], static[:, 1:])
    changed = (posed[0, 0] != static[0, 0]).any(0)
    (top, bottom), (left, right) = CROP
    s = TINY.side
    inside = torch.zeros_like(changed)
    inside[round(top * s) : round(bottom * s), round(left * s) : round(right * s)] = True
    assert bool(changed.any()) and not bool((changed & ~inside).any())
    empty = torch.zeros(1, s, s, 3)
    assert torch.equal(tiny.planes(head, empty), static)
