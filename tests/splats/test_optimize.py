"""Gaussians moved towards target views, within bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.avatar.views import render_view
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.splats import optimize as module
from headcast.splats.init import init_gaussians
from headcast.splats.optimize import optimize_gaussians
from headcast.splats.targets import EAR_STEP, ViewTarget, pose_target


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    """A plain head."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    source = SourceView(Camera.make(400, 128, 128), params, ambient())
    mesh = MeshAvatar(bound=bound(head, source), texture=np.full((128, 128, 3), 140, np.uint8))
    with torch.no_grad():
        return GaussianAvatar(mesh, init_gaussians(mesh.surface, source))


def target_of(avatar: GaussianAvatar, colour: float | None = None) -> ViewTarget:
    """What the avatar looks like already, in one colour if that is given."""
    view = render_view(avatar, avatar.source.params, avatar.source.camera)
    alpha = view.rendering.alpha
    image = view.premultiplied if colour is None else colour * alpha[..., None].expand(-1, -1, 3)
    return ViewTarget(
        camera=view.camera, params=view.params, image=image, alpha=alpha, weight=torch.ones_like(alpha)
    )


def mean_offset(avatar: GaussianAvatar, other: GaussianAvatar, target: ViewTarget) -> torch.Tensor:
    """Mean camera z by which frontal Gaussians were moved."""
    with torch.no_grad():
        posed = pose_target(avatar, target)
    frontal = posed.step_scale[:, 0] > 0.9
    moved = (other.gaussians.position - avatar.gaussians.position)[posed.index[frontal]]
    world = (posed.matrix[frontal] @ moved[..., None])[..., 0]
    return (world @ target.camera.cam_from_world[2, :3]).mean()


def test_colours_go_to_the_target_and_unscheduled_ones_are_not_looked_at(avatar: GaussianAvatar) -> None:
    red, same = target_of(avatar, 0.9), target_of(avatar)
    told: list[float] = []
    done = optimize_gaussians(avatar, [red, same], [0] * 6, progress=lambda share, _: told.append(share))
    assert told == pytest.approx([k / 6 for k in range(1, 7)])
    with torch.no_grad():
        before, after = (render_view(a, red.params, red.camera).premultiplied for a in (avatar, done))
    assert (after - red.image).abs().mean() < 0.8 * (before - red.image).abs().mean()
    still = optimize_gaussians(avatar, [red, same], [1] * 6)
    assert (still.gaussians.albedo - avatar.gaussians.albedo).abs().mean() < 0.2 * (
        done.gaussians.albedo - avatar.gaussians.albedo
    ).abs().mean()


def test_a_depth_target_moves_gaussians_along_the_view(avatar: GaussianAvatar) -> None:
    plain = target_of(avatar)
    depth = render_view(avatar, plain.params, plain.camera).rendering.depth
    near, far = (replace(plain, depth=torch.where(depth > 0, depth + x, 0)) for x in (-0.005, 0.005))
    offsets = [mean_offset(avatar, optimize_gaussians(avatar, [t], [0] * 8), t) for t in (near, plain, far)]
    assert offsets[0] < offsets[1] - 1e-4 and offsets[2] > offsets[1] + 1e-4
    unknown = replace(plain, depth=torch.zeros_like(depth))
    a, b = (optimize_gaussians(avatar, [t], [0] * 3).gaussians.position for t in (plain, unknown))
    assert torch.equal(a, b)


def test_what_has_no_weight_is_not_looked_at(avatar: GaussianAvatar) -> None:
    red = target_of(avatar, 0.9)
    blind = optimize_gaussians(avatar, [replace(red, weight=torch.zeros_like(red.weight))], [0] * 3)
    assert torch.equal(blind.gaussians.albedo, avatar.gaussians.albedo)


def test_no_gaussian_leaves_its_bounds() -> None:
    first = {
        "albedo": torch.rand(50, 3),
        "opacity": torch.full((50,), 4.0),
        "log_scale": torch.randn(50, 3),
        "position": torch.randn(50, 3),
    }
    first["opacity"][:10] = -2.0
    now = {k: v + torch.randn_like(v) * 5 for k, v in first.items()}
    now["position"][:5] = first["position"][:5]
    module.keep_near_start(now, first)
    off = (now["position"] - first["position"]).norm(dim=-1)
    assert bool((off <= module.MAX_OFFSET * first["log_scale"][:, :2].mean(1).exp() * 1.001).all())
    assert float(off[:5].max()) < 1e-6
    grown = now["log_scale"] - first["log_scale"]
    assert float(grown.min()) >= -module.SHRINK - 1e-5 and float(grown.max()) <= module.GROW + 1e-5
    assert float(torch.sigmoid(now["opacity"][10:]).min()) >= module.SOLID - 1e-5
    assert float(now["albedo"].min()) >= 0 and float(now["albedo"].max()) <= module.BRIGHTEST


def test_skin_learns_no_colours_edge_on_and_ears_fewer(avatar: GaussianAvatar) -> None:
    target = target_of(avatar)
    with torch.no_grad():
        posed = pose_target(avatar, target)
        surface = avatar.mesh.surface.posed(target.params)
        normals, _ = avatar.surface_shading(surface, posed.index)
    towards = torch.nn.functional.normalize(target.camera.center - posed.origin, dim=-1)
    facing = (towards * normals).sum(-1)
    head = avatar.head
    region = torch.tensor([n == "ears" for n in head.region_names])[head.region]
    ears = region[torch.as_tensor(head.faces)].all(1)[avatar.gaussians.triangle[posed.index]]
    colour, other = posed.step_scale.unbind(-1)
    assert (facing < 0.1).sum() > 20 and (ears & (facing > 0.4)).sum() > 20
    assert colour[facing < 0.1].max() < 0.02 and other[facing < 0.1].min() > 0
    assert colour[ears].max() <= EAR_STEP + 1e-6 < 0.6
    assert colour[~ears & (facing > 0.7)].min() > 0.99
