"""A small synthetic avatar with hair and body, and comparison of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.bound import bound
from torch import Tensor

from headcast.avatar.base import Avatar
from headcast.avatar.lids import Lids, Patch
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.shell import Shell
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.geometry import vertex_normals
from headcast.render.shading import ambient, directional
from headcast.render.texture import sample_texture
from headcast.view import front_view

INFO = {
    "method": "fit",
    "seed": 0,
    "weights": ({"name": "head", "licence": "Apache-2.0"},),
    "synthetic_media": "FaceImages of this avatar are synthetic.",
    "consent": "I agree. Åsa",
}


def shut_lids(head: HeadModel, side: int, colour: tuple[int, int, int], blink: Tensor) -> Lids:
    """Patches of one colour where the lids lie in a texture of this side."""
    patches = []
    for lid in head.lid_index:
        uv = head.uv[head.faces_uv[torch.isin(head.faces, lid).all(1)]].reshape(-1, 2) * side
        low, high = uv.amin(0).floor().long(), uv.amax(0).ceil().long()
        width, height = (high - low).tolist()
        patches.append(Patch(low, np.full((height, width, 3), colour, np.uint8)))
    return Lids((patches[0], patches[1]), blink)


def pattern(side: int, colour: tuple[float, float, float]) -> np.ndarray:
    """Smooth waves around a colour."""
    y, x = np.meshgrid(np.linspace(0, 40, side), np.linspace(0, 40, side), indexing="ij")
    waves = 0.1 * (np.sin(x) * np.sin(y))[..., None]
    return ((np.array(colour) + waves).clip(0, 1) * 255).round().astype(np.uint8)


def cap(head: HeadModel, rest: torch.Tensor) -> Shell:
    """Hair: the scalp, pushed outwards, with holes."""
    scalp = head.region_mask("scalp")
    chosen = scalp[head.faces].all(1)
    rows, index = torch.unique(head.faces[chosen], return_inverse=True)
    rest = (rest + 0.012 * vertex_normals(rest, head.faces))[rows]
    texture = np.concatenate([pattern(128, (0.3, 0.2, 0.1)), np.full((128, 128, 1), 255, np.uint8)], 2)
    return Shell(
        name="hair",
        rest=rest,
        faces=index,
        uv=head.uv,
        faces_uv=head.faces_uv[chosen],
        skin_weights=head.skin_weights[rows],
        texture=texture,
    )


def plate() -> Shell:
    """A body: one rectangle under the chin, before the neck."""
    rest = torch.tensor([[-0.12, -0.1, 0.09], [0.12, -0.1, 0.09], [0.12, -0.2, 0.09], [-0.12, -0.2, 0.09]])
    faces, uv = torch.tensor([[0, 3, 2], [0, 2, 1]]), torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    weights = torch.zeros(4, len(JOINTS))
    weights[:, 0] = 1
    texture = np.concatenate([pattern(64, (0.1, 0.3, 0.6)), np.full((64, 64, 1), 255, np.uint8)], 2)
    texture[:8, :, 3] = 0
    return Shell(
        name="body", rest=rest, faces=faces, uv=uv, faces_uv=faces, skin_weights=weights, texture=texture
    )


def synthetic_avatar(*, shells: bool = True) -> MeshAvatar:
    """Somebody with patterned skin under a lamp from the side."""
    head = HeadModel.load()
    g = torch.Generator().manual_seed(3)
    params = HeadParams.neutral(head.identities).replace(
        identity=torch.randn(head.identities, generator=g) * 0.5, translation=torch.tensor([0.0, 0.0, -1.0])
    )
    light = ambient(0.7) + directional(torch.tensor([0.6, 0.3, 0.74]), torch.tensor([0.4, 0.38, 0.3]))
    source = SourceView(Camera.make(500, 256, 256), params, light)
    worn = (cap(head, head.shape(params.identity)), plate()) if shells else ()
    return MeshAvatar(
        bound=bound(head, source, **INFO), texture=pattern(512, (0.72, 0.56, 0.48)), shells=worn
    )


def view_of(avatar: Avatar, size: int = 192) -> tuple[Camera, HeadParams]:
    """A camera before the head, which lies in the origin as in exported files."""
    seen = front_view(avatar, (size, size))
    move = torch.eye(4)
    move[:3, 3] = seen.params.translation
    camera = Camera(seen.camera.K, seen.camera.cam_from_world @ move, size, size)
    return camera, seen.params.replace(translation=torch.zeros(3))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Decibels between two (H, W, 4) pictures laid on grey."""
    flat = [x[..., :3] * x[..., 3:] + 0.5 * (1 - x[..., 3:]) for x in (a, b)]
    return float(-10 * torch.log10(((flat[0] - flat[1]) ** 2).mean().clamp(min=1e-12)))


def picture(avatar: Avatar, camera: Camera, params: HeadParams) -> torch.Tensor:
    """Our own rendering, (H, W, 4)."""
    with torch.no_grad():
        out = avatar.render(params, camera)
    return torch.cat([out.rgb, out.alpha[..., None]], -1)


def of_gaussians(mesh: MeshAvatar) -> Any:
    """The same person as Gaussians: flat ones, four on every triangle, with the texture's colours."""
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.avatar.rig import Gaussians, frames_of, to_local
    from headcast.rotation import matrix_to_quaternion

    surface = mesh.surface
    pyramid, uv, faces_uv = surface.skin
    rest = HeadParams.neutral(mesh.head.identities).replace(identity=mesh.identity)
    with torch.no_grad():
        vertices = surface.posed(rest).vertices
    frames = frames_of(vertices, surface.faces)
    spots = torch.tensor([[4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 2]]) / 6
    t = torch.arange(len(surface.faces)).repeat_interleave(len(spots))
    bary = spots.repeat(len(surface.faces), 1)
    rgba = sample_texture(pyramid.levels[0], (uv[faces_uv[t]] * bary[..., None]).sum(1))
    opacity = torch.full((len(t),), 4.0) if rgba.shape[1] == 3 else torch.logit(rgba[:, 3].clamp(0.01, 0.98))
    size = frames.size[t].clamp(min=1e-6).log()[:, None] + torch.tensor([-1.2, -4.0, -1.2])
    world = Gaussians(
        triangle=t,
        position=(vertices[surface.faces[t]] * bary[..., None]).sum(1),
        quaternion=matrix_to_quaternion(frames.rotation)[t],
        log_scale=size,
        opacity=opacity,
        albedo=rgba[:, :3],
    )
    return GaussianAvatar(mesh, to_local(world, frames))
