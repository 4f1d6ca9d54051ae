"""The kernels of an avatar's frame: the same vertices and the same pictures as plain torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.posing import can_use_kernels
from headcast.avatar.rig import Gaussians, frames_of, to_world
from headcast.avatar.rig_numba import Packed
from headcast.avatar.shell import Shell
from headcast.avatar.source import SourceView
from headcast.avatar.surface import Posed
from headcast.camera import Camera
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient, directional
from headcast.splats.init import init_gaussians


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    head = HeadModel.load()
    g = torch.Generator().manual_seed(3)
    params = HeadParams.neutral(head.identities).replace(
        identity=0.5 * torch.randn(head.identities, generator=g), translation=torch.tensor([0.0, -0.02, -1.0])
    )
    weights = torch.zeros(4, len(JOINTS))
    weights[:2, 1], weights[2:, 2] = 0.5, 1.0
    weights[:2, 0] = 0.5
    corners = torch.tensor([[-0.1, -0.2, 0.1], [0.1, -0.2, 0.1], [0.1, 0.15, -0.1], [-0.1, 0.15, -0.1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    cloth = np.full((8, 8, 4), 255, np.uint8)
    shell = Shell(
        name="body",
        rest=corners,
        faces=faces,
        uv=torch.rand(4, 2, generator=g),
        faces_uv=faces,
        skin_weights=weights,
        texture=cloth,
    )
    even = np.linspace(60, 200, 64)  # no detail: as many Gaussians before as behind
    texture = np.stack(np.broadcast_arrays(even[:, None], even[None], 130.0), -1).astype(np.uint8)
    light = ambient(0.6) + directional(torch.tensor([0.6, 0.6, 0.53]), torch.tensor([0.5, 0.45, 0.4]))
    mesh = MeshAvatar(
        bound=bound(head, SourceView(Camera.make(420, 128, 128), params, light)),
        texture=texture,
        shells=(shell,),
    )
    with torch.no_grad():
        all_of_them = init_gaussians(mesh.surface, mesh.source)
    g = torch.Generator().manual_seed(4)
    few = torch.randperm(len(all_of_them), generator=g)[:20000]  # in no order of their triangles
    return GaussianAvatar(mesh, all_of_them[few])


def pose(avatar: GaussianAvatar, gaze: bool = False) -> HeadParams:
    p = avatar.source.params.with_expression({"jawOpen": 0.6, "eyeBlinkLeft": 0.9, "mouthSmileRight": 0.5})
    return p.replace(
        rotation=torch.tensor([0.1, -0.3, 0.05]),
        neck=torch.tensor([0.1, 0.25, -0.1]),
        jaw=torch.tensor([0.02, 0.0, 0.01]),
        gaze=torch.tensor([[0.2, 0.1], [0.15, 0.1]]) if gaze else None,
    )


@pytest.mark.parametrize("gaze", [False, True])
def test_vertices_are_the_head_models(avatar: GaussianAvatar, gaze: bool) -> None:
    surface = avatar.mesh.surface
    for p in (avatar.source.params, pose(avatar, gaze), pose(avatar).replace(identity=torch.ones(41))):
        with torch.no_grad():
            assert can_use_kernels(p, surface.head.neutral)
            by_kernels, plain = surface.vertices_by_kernels(p), surface.vertices(p)
        assert (by_kernels - plain).abs().max() < 2e-6


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (70, 20), (180, -10)])
def test_pictures_are_the_plain_ones(avatar: GaussianAvatar, yaw: float, pitch: float) -> None:
    p = pose(avatar)
    camera = avatar.source.camera.orbited(p.translation, yaw, pitch)
    close = replace(camera, K=camera.K * torch.tensor([[2.5], [2.5], [1.0]]))  # much lies outside
    for view in (camera, close):
        for light in (None, ambient(0.5)):
            with torch.no_grad():
                ours, plain = avatar.render_fast(p, view, light), avatar.render_reference(p, view, light)
            assert plain.alpha.mean() > 0.1
            wrong = (ours.rgb * ours.alpha[..., None] - plain.rgb * plain.alpha[..., None]).abs()
            assert wrong.mean() < 1e-5 and wrong.quantile(0.999) < 2e-3
            assert (ours.alpha - plain.alpha).abs().mean() < 1e-5
            assert (ours.depth - plain.depth).abs().mean() < 1e-4


def test_what_nobody_sees_is_not_placed(avatar: GaussianAvatar) -> None:
    p = avatar.source.params
    camera = avatar.source.camera
    away = camera.orbited(torch.tensor([0.0, 0.0, 1.0]), 180, 0)
    with torch.no_grad():
        posed = avatar.mesh.surface.posed(p)
        some = avatar.packed.shown(posed, camera, avatar.source.light)
        none = avatar.packed.shown(posed, away, avatar.source.light)
        assert 0 < len(some.means) < 0.9 * len(avatar.gaussians) and len(none.means) == 0
        assert float(avatar.render_fast(p, away).alpha.max()) == 0


def test_stretched_and_degenerate_triangles() -> None:
    g = torch.Generator().manual_seed(0)
    rest = torch.randn(30, 3, generator=g)
    moved = rest * torch.tensor([6.0, 0.3, 1.0]) + 0.2 * torch.randn(30, 3, generator=g)
    moved[3:6] = moved[3]  # no size at all
    moved[6:9] = torch.tensor([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])  # a line
    faces = torch.arange(30).view(10, 3)
    n = 200
    local = Gaussians(
        triangle=torch.randint(0, 10, (n,), generator=g),
        position=torch.randn(n, 3, generator=g) * 0.2,
        quaternion=torch.randn(n, 4, generator=g),
        log_scale=torch.randn(n, 3, generator=g) * 0.3 - 3,
        opacity=torch.randn(n, generator=g),
        albedo=torch.rand(n, 3, generator=g),
    )
    still, turned = frames_of(rest, faces), frames_of(moved, faces)
    pack = Packed.of(local, torch.full((n, 3), 1 / 3), faces, still)
    camera = Camera.make(
        20.0, 64, 64, torch.tensor([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 60], [0, 0, 0, 1]])
    )
    towards = torch.tensor([0.0, 0, 1]).expand(30, 3).contiguous()
    shown = pack.shown(Posed(moved, towards, torch.ones(30)), camera, ambient())
    world = to_world(local, turned, still)[torch.argsort(local.triangle, stable=True)]
    assert len(shown.means) == n
    assert torch.allclose(shown.means, world.position, atol=1e-4)
    assert torch.allclose(shown.log_scales, world.log_scale, atol=1e-4)
    unit = torch.nn.functional.normalize(world.quaternion, dim=-1)
    assert ((shown.quaternions * unit).sum(-1).abs() > 1 - 1e-5).all()
    assert torch.allclose(shown.logits, world.opacity) and torch.allclose(
        shown.colours, world.albedo, atol=1e-4
    )
