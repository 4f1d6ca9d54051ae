"""Gaussians spread over a mesh avatar: what the viewer's splat view is tested and timed with."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.head.occlusion import mouth_occlusion
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.shading import shade
from headcast.render.texture import sample_texture
from headcast.rotation import matrix_to_quaternion

__all__ = ["Carried", "spread", "world"]


@dataclass(frozen=True)
class Carried:
    """Has the parts of a Gaussian avatar that exporters read."""

    mesh: MeshAvatar
    gaussians: SimpleNamespace

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mesh, name)


def spread(mesh: MeshAvatar, count: int, seed: int = 0) -> Carried:
    """One flat Gaussian in the middle of every triangle of the head, or of ``count`` of them by chance."""
    head = mesh.head
    g = torch.Generator().manual_seed(seed)
    faces = len(head.faces)
    triangle = torch.arange(faces) if count == faces else torch.randint(faces, (count,), generator=g)
    uv = head.uv[head.faces_uv[triangle]].mean(1)
    albedo = sample_texture(torch.from_numpy(mesh.texture).float() / 255, uv)
    n = len(triangle)
    quaternion = torch.tensor([1.0, 0, 0, 0]).expand(n, 4)
    log_scale = torch.tensor([0.45, 0.02, 0.45]).log().expand(n, 3)
    return Carried(
        mesh,
        SimpleNamespace(
            triangle=triangle,
            position=torch.zeros(n, 3),
            quaternion=quaternion,
            log_scale=log_scale,
            opacity=torch.full((n,), 4.0),
            albedo=albedo,
        ),
    )


def world(carried: Carried, params: HeadParams, camera: Camera) -> tuple[torch.Tensor, ...]:
    """Means, log-scales, quaternions, opacities and lit colours, by the definitions in plain words.

    For Gaussians in the middle of their triangles whose axes are the triangle's own.
    """
    head, g = carried.head, carried.gaussians
    rest = HeadParams.neutral(head.identities).replace(identity=params.identity)
    (v, now), (_, before) = ((x := head(p), frames(x, head.faces)) for p in (params, rest))
    t = g.triangle
    (x, y, z), length, along, height = now
    _, length0, along0, height0 = before
    size, size0 = (length + height) / 2, (length0 + height0) / 2
    xx, zz = length / length0, height / height0
    xz = (along - along0 * xx) / height0
    ratio = size0 / size
    reach = torch.stack([xx, torch.ones_like(xx), (xz**2 + zz**2).sqrt()], -1)
    reach[:, [0, 2]] *= ratio[:, None]
    log_scale = g.log_scale + (reach.clamp(1 / 8, 8) * size[:, None]).log()[t]
    quaternion = matrix_to_quaternion(torch.stack([x, y, z], -1))[t]
    means = v[head.faces[t]].mean(1)
    normals = torch.nn.functional.normalize(head.vertex_normals(v)[head.faces[t]].mean(1), dim=-1)
    open_ = mouth_occlusion(head, v)[head.faces[t]].mean(1)
    light = shade(normals, carried.source.light) * open_[:, None]
    colours = linear_to_srgb((srgb_to_linear(g.albedo) * light).clamp(0, 1))
    facing = (torch.nn.functional.normalize(camera.center - means, dim=-1) * normals).sum(-1)
    fade = ((facing + 0.35) / 0.25).clamp(0, 1)
    opacity = torch.logit((torch.sigmoid(g.opacity) * fade).clamp(1e-6, 1 - 1e-6))
    return means, log_scale, quaternion, opacity, colours


def frames(v: torch.Tensor, faces: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, ...]:
    """Axes (x along the first edge, y normal, z away from the third corner), length, along, height."""
    a, b, c = v[faces].unbind(1)
    length = (b - a).norm(dim=-1)
    x = (b - a) / length[:, None]
    along = ((c - a) * x).sum(-1)
    up = c - a - along[:, None] * x
    height = up.norm(dim=-1)
    z = -up / height[:, None].clamp(min=1e-12)
    return (x, torch.linalg.cross(z, x), z), length, along, height
