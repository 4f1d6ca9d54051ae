"""face-vid2vid's loss terms, warps and driven keypoints against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from headcast.methods.facevid2vid.blocks import AntiAliasDownsample, volume_grid
from headcast.methods.facevid2vid.losses import (
    deformation_prior,
    equivariance,
    feature_matching,
    head_pose,
    keypoint_prior,
    perceptual,
)
from headcast.methods.facevid2vid.pose import FaceMotion, bins_to_degrees, place_keypoints, rotation_matrix
from headcast.methods.facevid2vid.relative import DrivenHead, ViewAngles, hull_volume, movement_scale
from headcast.methods.facevid2vid.vgg import VggDistance
from headcast.methods.facevid2vid.warps import Warp, random_warp
from headcast.metrics.lpips import Vgg16
from headcast.nets.patch_discriminator import PatchScores
from headcast.priors.encoder.infer import load_encoder
from headcast.training.adversarial import hinge_discriminator_loss, hinge_generator_loss


def motion(yaw: float = 0, pitch: float = 0, roll: float = 0, x: float = 0, mouth: float = 0) -> FaceMotion:
    """A motion of one head with five keypoints; ``mouth`` moves the last of them down."""
    expression = torch.zeros(1, 5, 3)
    expression[0, -1, 1] = mouth
    y, p, r = (torch.tensor([float(a)]) for a in (yaw, pitch, roll))
    return FaceMotion(y, p, r, torch.tensor([[float(x), 0, 0]]), expression)


@pytest.fixture
def canonical() -> Tensor:
    """Five keypoints of a head at rest."""
    return torch.rand(1, 5, 3, generator=torch.Generator().manual_seed(4)) - 0.5


def test_hinge_losses() -> None:
    real, fake = torch.tensor([2.0, 0.5]).view(2, 1, 1, 1), torch.tensor([-3.0, 0.0]).view(2, 1, 1, 1)
    assert float(hinge_discriminator_loss([real], [fake])) == pytest.approx(0.25 + 0.5)
    assert float(hinge_generator_loss([fake, fake + 1])) == pytest.approx((1.5 + 0.5) / 2)
    assert float(hinge_discriminator_loss([real + 9], [fake - 9])) == 0


def test_feature_matching_moves_generated_images_alone() -> None:
    score = torch.zeros(1, 1, 1, 1)
    real = torch.ones(1, 2, 2, 2, requires_grad=True)
    fake = torch.zeros(1, 2, 2, 2, requires_grad=True)
    loss = feature_matching([PatchScores(score, (real, 3 * real))], [PatchScores(score, (fake, fake))])
    assert float(loss.detach()) == 2
    loss.backward()
    assert real.grad is None and fake.grad is not None and (fake.grad < 0).all()


@torch.no_grad()
def test_perceptual_compares_every_size() -> None:
    made, truth = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    seen: list[int] = []

    def mean_difference(a: Tensor, b: Tensor) -> Tensor:
        seen.append(a.shape[-1])
        assert a.min() >= -1.01 and a.max() <= 1.01
        return (a - b).abs().mean((1, 2, 3))

    assert float(perceptual(truth, truth, mean_difference)) == 0
    assert seen == [64, 32, 16]
    assert float(perceptual(made, truth, mean_difference, levels=1)) == pytest.approx(
        float(2 * (made - truth).abs().mean()), rel=1e-5
    )
    encoder = load_encoder("losses", torch.device("cpu")).distance
    blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert 0 < float(perceptual(blurred, truth, encoder)) < float(perceptual(made, truth, encoder))


def test_the_users_vgg(tmp_path) -> None:
    torch.manual_seed(0)
    torch.save(Vgg16().state_dict(), tmp_path / "vgg16.pth")
    distance = VggDistance(tmp_path / "vgg16.pth")
    a, b = torch.rand(2, 3, 32, 32, requires_grad=True), torch.rand(2, 3, 32, 32)
    assert distance(b, b).abs().max() == 0
    found = distance(a, b)
    assert found.shape == (2,) and (found > 0).all()
    found.sum().backward()
    assert a.grad is not None and a.grad.abs().sum() > 0


def test_downsampling_keeps_flat_images_and_takes_the_first_pixel() -> None:
    down = AntiAliasDownsample(3, 4)
    assert down.weight.shape == (3, 1, 13, 13) and torch.allclose(down.weight.sum((2, 3)), torch.ones(3, 1))
    small = down(torch.full((1, 3, 64, 64), 0.7))
    assert small.shape == (1, 3, 16, 16)
    assert torch.allclose(small[..., 3:-3, 3:-3], torch.tensor(0.7), atol=1e-5)
    spike = torch.zeros(1, 3, 64, 64)
    spike[..., 32, 32] = 1
    assert down(spike)[0, 0].argmax() == 8 * 16 + 8


def test_equivariance_is_zero_for_keypoints_that_follow_the_image() -> None:
    torch.manual_seed(1)
    warp = random_warp(2, torch.zeros(1))
    of_warped = torch.rand(2, 5, 3) - 0.5
    follow = torch.cat([warp(of_warped[..., :2]), torch.rand(2, 5, 1)], -1)
    assert float(equivariance(follow, of_warped, warp)) == 0
    moved = follow + torch.tensor([0.1, 0.0, 7.0])  # depth does not count
    assert float(equivariance(moved, of_warped, warp)) == pytest.approx(0.05, rel=1e-4)


def test_a_warped_image_shows_what_was_at_the_mapped_point() -> None:
    # the brightest pixel stands for a keypoint
    torch.manual_seed(3)
    warp = random_warp(1, torch.zeros(1))
    at = torch.tensor([[[0.2, -0.3]]])
    y, x = torch.meshgrid(torch.linspace(-1, 1, 201), torch.linspace(-1, 1, 201), indexing="ij")
    source = torch.exp(-((torch.stack([x, y], -1) - warp(at)[0, 0]) ** 2).sum(-1) / 0.01)[None, None]
    warped = warp.image(source)
    k = int(warped.argmax())
    assert (x.flatten()[k], y.flatten()[k]) == pytest.approx(tuple(at[0, 0].tolist()), abs=0.011)
    assert (warp(at) - at).abs().max() > 0.02
    still = Warp(torch.eye(2, 3)[None], torch.zeros(1, 2), torch.zeros(1, 1, 2))
    assert torch.allclose(still.image(source), source, atol=1e-5)


def test_keypoint_prior() -> None:
    apart = torch.tensor([[[0.0, 0, 0.33], [0.5, 0, 0.33], [0, 0.5, 0.33]]])
    assert float(keypoint_prior(apart)) == pytest.approx(0, abs=1e-6)
    near = torch.tensor([[[0.0, 0, 0.33], [0.1, 0, 0.33]]])
    assert float(keypoint_prior(near)) == pytest.approx(2 * (0.1 - 0.01), rel=1e-4)
    shifted = apart + torch.tensor([0, 0, 0.2])
    assert float(keypoint_prior(shifted)) == pytest.approx(0.2, rel=1e-4)
    near.requires_grad_()
    keypoint_prior(near).backward()
    assert near.grad is not None and near.grad[0, 1, 0] < 0 < near.grad[0, 0, 0]  # descent moves them apart


def test_head_pose_and_deformation() -> None:
    truth = torch.tensor([[10.0, -4.0, 2.0]])
    assert float(head_pose(motion(10, -4, 2), truth)) == 0
    assert float(head_pose(motion(19, -4, -7), truth)) == pytest.approx(math.radians(18), rel=1e-5)
    assert float(deformation_prior(motion())) == 0
    assert float(deformation_prior(motion(mouth=0.3))) == pytest.approx(0.3 / 5)


def test_bins_and_rotations() -> None:
    logits = torch.full((1, 66), -99.0)
    logits[0, 40] = 0
    assert float(bins_to_degrees(logits)) == pytest.approx(21, abs=1e-3)
    yaw, zero = torch.tensor([30.0]), torch.zeros(1)
    nose = torch.tensor([0.0, 0.0, -1.0])  # towards the camera
    assert (rotation_matrix(yaw, zero, zero)[0] @ nose)[0] < -0.4  # to the left: shows the subject's left
    assert (rotation_matrix(zero, yaw, zero)[0] @ nose)[1] > 0.4  # down: seen from above
    down = torch.tensor([0.0, 1.0, 0.0])
    assert (rotation_matrix(zero, zero, yaw)[0] @ down)[0] < -0.4  # clockwise
    for legacy in (False, True):
        R = rotation_matrix(yaw, 2 * yaw, -yaw, legacy)[0]
        assert torch.allclose(R @ R.T, torch.eye(3), atol=1e-6)
    about_z = rotation_matrix(yaw, zero, zero, legacy=True)[0]
    assert torch.allclose(about_z[2], torch.tensor([0.0, 0.0, 1.0]))


def test_volume_coordinates() -> None:
    grid = volume_grid(2, 3, 5, torch.zeros(1))
    assert grid.shape == (2, 3, 5, 3)
    assert grid[1, 0, 4].tolist() == [1, -1, 1] and grid[0, 1, 2].tolist() == [0, 0, -1]


def test_a_still_driver_leaves_the_source_where_it_is(canonical: Tensor) -> None:
    source, first = motion(12, 3, -2, 0.1, 0.05), motion(-20, 8, 4, -0.2)
    head = DrivenHead(canonical, source, first)
    assert torch.allclose(head.keypoints(first), head.source, atol=1e-6)
    absolute = DrivenHead(canonical, source)
    assert torch.allclose(absolute.keypoints(first), place_keypoints(canonical, first))


def test_movements_are_scaled_by_the_heads_sizes(canonical: Tensor) -> None:
    first, later = motion(), motion(x=0.1, mouth=0.2)
    plain = DrivenHead(canonical, motion(), first, adapt_scale=False)
    step = plain.keypoints(later) - plain.source
    assert torch.allclose(step, place_keypoints(canonical, later) - canonical, atol=1e-6)
    double = DrivenHead(canonical, motion()._replace(expression=canonical), first)  # twice as large
    assert double.scale == pytest.approx(8**0.5, rel=1e-4)
    assert torch.allclose(double.keypoints(later) - double.source, 8**0.5 * step, atol=1e-5)


@pytest.mark.parametrize("relative", [False, True])
def test_a_free_view_replaces_the_drivers_angles(canonical: Tensor, relative: bool) -> None:
    source, first, later = motion(12, 3, -2), motion(-20, 8, 4), motion(-30, 8, 4, mouth=0.2)
    view = ViewAngles(yaw=25.0, pitch=0.0, roll=0.0)
    head = DrivenHead(canonical, source, first if relative else None, view=view, adapt_scale=False)
    assert torch.allclose(
        head.keypoints(later), place_keypoints(canonical, motion(25, 0, 0, mouth=0.2)), atol=1e-6
    )
    only_yaw = DrivenHead(canonical, source, first, view=ViewAngles(yaw=25.0), adapt_scale=False)
    moved = only_yaw.keypoints(later), only_yaw.keypoints(later._replace(yaw=torch.tensor([50.0])))
    assert torch.equal(*moved)
    nod = later._replace(pitch=torch.tensor([20.0]))
    assert not torch.allclose(only_yaw.keypoints(nod), moved[0])


def test_hull_volume() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    inside = torch.tensor([[0.1, 0.2, 0.3], [0.2, 0.1, 0.15]])
    assert hull_volume(torch.cat([corners, inside])) == pytest.approx(1 / 6)
    scipy = pytest.importorskip("scipy.spatial", reason="scipy comes with the extra metrics")
    points = torch.rand(15, 3, generator=torch.Generator().manual_seed(0))
    assert hull_volume(points) == pytest.approx(scipy.ConvexHull(points.numpy()).volume, rel=1e-5)
    assert movement_scale(2 * points[None], points[None]) == pytest.approx(8**0.5, rel=1e-5)
    flat = points * torch.tensor([1.0, 1.0, 0.0])
    assert movement_scale(flat[None], points[None]) == 1
