"""Visible fraction of a vertex's surroundings, and the skin that lies below hair."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.render.batch import batch_pixels, rasterize_batch
from headcast.render.geometry import vertex_normals
from headcast.synth.atlas import Atlas
from headcast.synth.bust import Bust
from headcast.synth.fields import soften
from headcast.synth.hair_shells import HairShells, cut_height
from headcast.synth.lights import from_angles
from headcast.synth.views import looking

__all__ = ["lamp_views", "rest_bust", "skin_below", "vertex_openness"]

DIRECTIONS = 36
LAMP_DISTANCE, LAMP_REACH = 2.5, 0.34
LAMP_CENTRE = (0.0, -0.03, 0.0)


def rest_bust(head: HeadModel, bust: Bust) -> Float[Tensor, "v 3"]:
    """Return the neutral bust; glasses in one point."""
    return torch.cat(
        [head.neutral, bust.torso, torch.zeros(bust.glasses_count, 3, device=head.neutral.device)]
    )


def lamp_views(key: Float[Tensor, "s 3"], size: int) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "s 4 4"]]:
    """Make cameras that look from distant lamps at the head."""
    yaw, pitch = torch.atan2(key[:, 0], key[:, 2]), key[:, 1].clamp(-0.999, 0.999).asin()
    zero = torch.zeros_like(yaw)
    fov = zero + 2 * math.asin(LAMP_REACH / LAMP_DISTANCE)
    target = torch.tensor(LAMP_CENTRE, device=key.device)
    views = looking(target, yaw, pitch, zero, zero + LAMP_DISTANCE, fov, size)
    return views.K[0], views.cam_from_world


def skin_below(atlas: Atlas, shells: HairShells, coarse: int = 4) -> Float[Tensor, "h w"]:
    """Find skin close below a style; forehead below the hairline, ears and neck are excepted."""
    square = slice(0, atlas.size, coarse), slice(0, None, coarse)
    p = atlas.position[square]
    bare = atlas.region["ears"][square] + atlas.region["neck"][square] + 1 - atlas.region["skin"][square]
    wanted = (bare < 0.1) & (p[..., 1] > 0.02) & ((p[..., 2] < 0.045) | (p[..., 1] > 0.088))
    mask = torch.zeros_like(p[..., 0])
    mask[wanted] = close_below(p[wanted], shells).float()
    mask = torch.nn.functional.interpolate(mask[None, None], scale_factor=coarse, mode="bilinear")[0, 0]
    tall = torch.nn.functional.pad(mask, (0, 0, 0, atlas.position.shape[0] - atlas.size))
    return soften(tall, atlas.size // 128) * atlas.region["skin"]


def close_below(points: Float[Tensor, "n 3"], shells: HairShells) -> Bool[Tensor, " n"]:
    """Find points within 8 mm (at the crown 28 mm) of a style's inner layer."""
    corners = shells.rest[shells.faces[(shells.level[shells.faces] < 0.5).all(1)]]
    hair = torch.cat([corners.mean(1), corners.flatten(0, 1)])
    reach = 0.008 + 0.02 * ((points[:, 1] - 0.06) / 0.028).clamp(0, 1)
    return torch.cat([torch.cdist(r, hair).amin(1) for r in points.split(1024)]) < reach


def vertex_openness(
    bust: Bust, head: HeadModel, shells: HairShells | None, size: int = 192
) -> Float[Tensor, " v"]:
    """Compute ``Assets.openness`` from depth images taken from all around."""
    v = rest_bust(head, bust)
    normals = rest_normals(v, bust)
    mesh, faces = v, bust.faces
    if shells is not None:
        mesh, faces = torch.cat([v, shells.rest]), torch.cat([faces, usual_hair(shells) + len(v)])
    i = torch.arange(DIRECTIONS, device=v.device)
    around, height = i * (math.pi * (3 - math.sqrt(5))), (1 - (2 * i + 1) / DIRECTIONS).asin()
    visible, total = torch.zeros(len(v), device=v.device), torch.zeros(len(v), device=v.device)
    for d in from_angles(around, height):
        cosine = (normals @ d).clamp(min=0)
        visible += cosine * seen_from(d, v + normals * 0.003, mesh, faces, size)
        total += cosine
    open_ = visible / total.clamp(min=1e-6)
    return (0.06 + 0.94 * average_neighbours(open_, bust)).clamp(0, 1)


def rest_normals(vertices: Float[Tensor, "v 3"], bust: Bust) -> Float[Tensor, "v 3"]:
    """Return unit normals of the bust at rest; forwards where faces are degenerate."""
    normals = vertex_normals(vertices, bust.faces)
    forwards = torch.tensor([0, 0, 1.0], device=vertices.device)
    return torch.where(normals.norm(dim=-1, keepdim=True) > 0.5, normals, forwards)


def usual_hair(shells: HairShells) -> Int[Tensor, "f 3"]:
    """Return the faces of the inner layer that are left where hair is cut as mostly."""
    cut = torch.tensor([0.055, -0.2], device=shells.rest.device).expand(len(shells.rest), 2)
    inner = (shells.level < 0.5) & (shells.rest[:, 1] > cut_height(shells.rest, cut))
    return shells.faces[inner[shells.faces].all(1)]


def seen_from(
    direction: Float[Tensor, "3"],
    points: Float[Tensor, "n 3"],
    mesh: Float[Tensor, "m 3"],
    faces: Int[Tensor, "f 3"],
    size: int,
) -> Bool[Tensor, " n"]:
    """Find points that nothing of a mesh hides from a direction, in depth images of ``size``²."""
    K, pose = lamp_views(direction[None], size)
    depth = rasterize_batch(batch_pixels(mesh[None], K[None], pose), faces, size, size).depth[0]
    q = points @ pose[0, :3, :3].T + pose[0, :3, 3]
    uv = (q[:, :2] / q[:, 2:] * K[0, 0] + K[0, 2]).long().clamp(0, size - 1)
    nearest = depth[uv[:, 1], uv[:, 0]]
    return (nearest == 0) | (q[:, 2] < nearest + 0.003)


def average_neighbours(values: Float[Tensor, " v"], bust: Bust) -> Float[Tensor, " v"]:
    """Average vertex values over the faces around each vertex."""
    smooth = values[bust.faces].mean(1)
    smooth = torch.cat([smooth, smooth[:1]])
    count = (bust.incident < len(bust.faces)).sum(1).clamp(min=1)
    return (smooth[bust.incident] * (bust.incident < len(bust.faces))).sum(1) / count
