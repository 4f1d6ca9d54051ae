"""Gaussians on a textured mesh: fine where the texture has detail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.avatar.surface import HeadSurface
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.splats.init import detailed, init_gaussians


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    """A plain head."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    source = SourceView(Camera.make(400, 128, 128), params, ambient())
    mesh = MeshAvatar(bound=bound(head, source), texture=np.full((128, 128, 3), 140, np.uint8))
    with torch.no_grad():
        return GaussianAvatar(mesh, init_gaussians(mesh.surface, source))


def test_only_detail_gets_fine_texels(avatar: GaussianAvatar) -> None:
    surface, source = avatar.mesh.surface, avatar.source
    head = surface.head
    plain = torch.from_numpy(surface.texture)
    noisy = plain.clone()
    middle = head.uv[head.faces_uv].mean(1)
    half = noisy.shape[1] // 2
    noisy[:, :half] += (torch.rand(noisy[:, :half].shape[:2]) > 0.5).byte()[..., None] * 40
    fine = detailed(head, noisy, (128, 64), 0.01)
    assert not bool(detailed(head, plain, (128, 64), 0.01).any())
    assert float(fine[middle[:, 0] < 0.4].float().mean()) > 0.95
    assert float(fine[middle[:, 0] > 0.6].float().mean()) == 0
    rich = HeadSurface(head, (), noisy.numpy())
    assert len(avatar.gaussians) < len(init_gaussians(rich, source))


def test_front_of_the_gums_is_finer_than_their_chart(avatar: GaussianAvatar) -> None:
    head = avatar.head
    t = avatar.gaussians.triangle
    size = avatar.rest.size[t].log()[:, None] + avatar.gaussians.log_scale
    on_gums = torch.isin(t, head.part_faces("gums"))
    outward = head.vertex_normals(head.neutral)[:, 2] > 0
    front = outward[head.faces].all(1)[t.clamp(max=len(head.faces) - 1)] & on_gums
    reach = size[:, :2].exp().mean(1)
    assert float(reach[front].median()) < 0.5 * float(reach[on_gums & ~front].median())


def test_teeth_behind_closed_lips_get_fine_texels(avatar: GaussianAvatar) -> None:
    head, source = avatar.head, avatar.source
    plain_texture = np.full((512, 512, 3), 120, np.uint8)
    squares = np.kron(np.indices((64, 64)).sum(0) % 2, np.ones((8, 8)))
    detailed_texture = plain_texture + (squares[..., None] * 60).astype(np.uint8)
    found, plain = (
        init_gaussians(HeadSurface(head, (), t), source) for t in (detailed_texture, plain_texture)
    )
    teeth = head.part_faces("teethUpper", "teethLower")
    count, coarse = (int(torch.isin(g.triangle, teeth).sum()) for g in (found, plain))
    assert count > 2 * coarse
