"""Gaussians laid on a textured mesh: one in the middle of every texel of a coarse texture.

What a face shows in the photo gets fine texels, the rest coarse ones. A Gaussian is as wide and as long as
its texel on the surface and thin across it, so that together they are the textured surface.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.rig import Frames, Gaussians, frames_of, to_local
from headcast.avatar.surface import Surface
from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import matrix_to_quaternion

__all__ = ["FINE", "seed"]

FINE = {"face": 528, "head": 192, "eyes": 320, "inside": 240}
"""Side of the head's texture whose texels become Gaussians, by what they show."""
SHELL = {"hair": 144, "body": 120}  # sides of the shells'
SPREAD = 0.62  # standard deviation, in texels: neighbours blend into one surface
THIN = 0.12  # thickness, of the narrower side
OPAQUE = 0.96
FACE = ("face", "lips", "lids", "nose", "brows")
INSIDE = ("teethUpper", "teethLower", "gums", "tongue", "mouth")


def seed(surface: Surface, params: HeadParams) -> Gaussians:
    """Gaussians in the frames of the surface's triangles.

    Args:
        params: whose identity gives the shape at rest.
    """
    at_rest = HeadParams.neutral(surface.head.identities).replace(identity=params.identity)
    vertices = surface.posed(at_rest).vertices
    frames = frames_of(vertices, surface.faces)
    head = surface.head
    regions = np.array(head.region_names)[head.region.numpy()]
    inside_face = torch.from_numpy(np.isin(regions, FACE))[head.faces].any(1)
    eyes = part_of(surface, "eyeLeft", "eyeRight")
    mouth = part_of(surface, *INSIDE)
    classes = {"eyes": eyes, "inside": mouth, "face": inside_face & ~eyes & ~mouth}
    classes["head"] = ~(classes["face"] | eyes | mouth)
    texture = torch.from_numpy(np.ascontiguousarray(surface.texture))
    made = [
        laid(vertices, head.faces, head.uv, head.faces_uv, texture, FINE[k], which, 0, frames)
        for k, which in classes.items()
    ]
    start, first = len(head.faces), len(head.neutral)
    for s in surface.shells:
        side = SHELL.get(s.name, 128)
        every = torch.ones(len(s.faces), dtype=torch.bool)
        colours = torch.from_numpy(np.ascontiguousarray(s.texture))
        own = vertices[first : first + len(s.rest)]
        made.append(laid(own, s.faces, s.uv, s.faces_uv, colours, side, every, start, frames))
        start, first = start + len(s.faces), first + len(s.rest)
    return Gaussians.join(made)


def part_of(surface: Surface, *names: str) -> Bool[Tensor, "f"]:
    """Which triangles of the head belong to the named parts."""
    head = surface.head
    wanted = torch.tensor([head.part_names.index(n) for n in names if n in head.part_names])
    return torch.isin(head.part, wanted)


def laid(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"], texture: Tensor, side: int, which: Bool[Tensor, "f"], start: int,
    frames: Frames,
) -> Gaussians:  # fmt: skip
    """One Gaussian for every texel of ``side``² that lies on a triangle of ``which``."""
    flat = torch.cat([uv * side, torch.ones(len(uv), 1)], 1)
    drawn = rasterize_mesh(flat, faces_uv, Camera(torch.eye(3), torch.eye(4), side, side))
    triangle = drawn.triangle.reshape(-1).long()
    at = torch.nonzero(which[triangle.clamp(min=0)] & (triangle >= 0))[:, 0]
    t, bary = triangle[at], drawn.barycentric.reshape(-1, 3)[at]
    corner = vertices[faces[t]]
    across, reach = footprint(corner, uv[faces_uv[t]] * side)
    log_scale = torch.cat([reach * SPREAD, reach.amin(1, keepdim=True) * THIN], 1).clamp(min=1e-6).log()
    rgba = colour_at(texture, at, side)
    opacity = (rgba[:, 3] * OPAQUE).clamp(0.004, OPAQUE)
    keep = rgba[:, 3] > 0.04
    world = Gaussians(
        t + start, (corner * bary[..., None]).sum(1), matrix_to_quaternion(across), log_scale,
        torch.logit(opacity), rgba[:, :3],
    )  # fmt: skip
    return to_local(world[keep], frames)


def footprint(
    corner: Float[Tensor, "n 3 3"], uv: Float[Tensor, "n 3 2"]
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, "n 2"]]:
    """A texel on the surface: axes in columns (long, short, normal), and its extent along the first two."""
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    x = torch.nn.functional.normalize(e1, dim=-1)
    n = torch.nn.functional.normalize(torch.linalg.cross(e1, e2), dim=-1)
    y = torch.linalg.cross(n, x)
    zero = torch.zeros(len(corner))
    E = torch.stack(
        [torch.stack([(e1 * x).sum(-1), (e2 * x).sum(-1)], -1), torch.stack([zero, (e2 * y).sum(-1)], -1)], 1
    )
    U = torch.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], -1)
    det = torch.linalg.det(U)
    U = torch.where((det.abs() < 1e-9)[:, None, None], torch.eye(2), U)
    J = E @ torch.linalg.inv(U)  # metres per texel, in the plane
    left, s, _ = torch.linalg.svd(J)
    axes = torch.stack([x, y], -1) @ left
    normal = torch.linalg.cross(axes[..., 0], axes[..., 1])
    return torch.cat([axes, normal[..., None]], -1), s


def colour_at(texture: Tensor, at: Int[Tensor, "n"], side: int) -> Float[Tensor, "n 4"]:
    """The texture's mean over a coarse texel, 0..1."""
    import cv2

    small = cv2.resize(texture.numpy(), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    x = torch.from_numpy(small.reshape(side * side, -1))[at]
    return x if x.shape[1] == 4 else torch.cat([x, torch.ones(len(x), 1)], 1)
