"""Shade the folds of ears that no photo shows: how open each place of an ear is to the light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.render.geometry import visibility

__all__ = ["ear_openness", "shade_ears"]

DIRECTIONS = 36  # from which light comes, spread evenly over the half space beside the head
NEARBY_M = 0.03  # around an ear, what else throws shadows
DISTANCE_M, SIDE = 4.0, 96  # of the cameras at the lights' places; pixels of their images
CLEARANCE_M = 0.0015  # off the surface, of the places whose light is asked for
STRENGTH = (1.5, 2.2, 2.4)  # exponents of openness in red, green, blue: light in folds is reddened by skin
LEAST = 0.12  # of openness


def shade_ears(canvas: TextureCanvas) -> TextureCanvas:
    """Darken the fill in the ears' folds; what photos show of ears has its shadows already."""
    if "ears" not in canvas.head.region_names:
        return canvas
    openness = ear_openness(canvas.head, torch.from_numpy(np.ascontiguousarray(canvas.rest)).float())
    shade = canvas.gather(openness.numpy()[:, None]).clip(LEAST, 1) ** np.array(STRENGTH, np.float32)
    return replace(canvas, fill=(canvas.fill * shade).astype(np.float32))


def ear_openness(head: HeadModel, rest: Float[Tensor, "v 3"]) -> Float[Tensor, "v"]:
    """Return the share of light, weighted by its cosine, that reaches each vertex of the ears; 1 elsewhere.

    It is relative to the most open place of an ear, since the head beside it shades all of it.

    Args:
        rest: vertices at rest, metres, head frame.
    """
    openness = torch.ones(len(rest))
    ears, normals = head.region_mask("ears"), head.vertex_normals(rest)
    for side in (1.0, -1.0):
        ear = ears & (rest[:, 0] * side > 0)
        near = torch.cdist(rest, rest[ear]).amin(1) < NEARBY_M
        faces = head.faces[near[head.faces].any(1)]
        reached, total = torch.zeros(int(ear.sum())), torch.zeros(int(ear.sum()))
        points = rest[ear] + CLEARANCE_M * normals[ear]
        for direction in _directions(side):
            cosine = (normals[ear] @ direction).clamp(min=0)
            camera = _camera_at(rest[ear].mean(0), direction)
            seen = visibility(points, camera, rest, faces, tolerance=CLEARANCE_M)
            reached += cosine * seen
            total += cosine
        share = reached / total.clamp(min=1e-6)
        openness[ear] = (share / share.quantile(0.95).clamp(min=1e-6)).clamp(max=1)
        openness[ear] = torch.where(total > 0.05 * total.max(), openness[ear], 1.0)
    return openness


def _directions(side: float) -> Float[Tensor, "k 3"]:
    """Return unit directions towards lights beside the head, by a spiral of equal areas."""
    k = torch.arange(DIRECTIONS) + 0.5
    x, turn = 1 - k / DIRECTIONS, k * torch.pi * (3 - 5**0.5)
    across = (1 - x**2).sqrt()
    return torch.stack([side * x, across * turn.cos(), across * turn.sin()], 1)


def _camera_at(target: Float[Tensor, "3"], direction: Float[Tensor, "3"]) -> Camera:
    """Return a narrow camera far away in a direction from an ear's middle, which it looks at."""
    forward = -direction
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 1.0, 0.02])), dim=0)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    matrix = torch.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ (target + DISTANCE_M * direction)
    focal = SIDE * DISTANCE_M / (4 * NEARBY_M)
    K = torch.tensor([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1]])
    return Camera(K, matrix, SIDE, SIDE)
