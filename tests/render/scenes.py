"""Small meshes for the renderer's tests."""

from __future__ import annotations

import torch
from torch import Tensor

from headcast.camera import Camera


def sphere(rings: int = 24, sectors: int = 32, radius: float = 0.1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vertices, faces (counter-clockwise from outside), uv and its faces of a closed sphere with poles."""
    theta = torch.linspace(0, torch.pi, rings + 1)
    phi = torch.arange(sectors) * (2 * torch.pi / sectors)
    t, p = torch.meshgrid(theta[1:-1], phi, indexing="ij")
    body = torch.stack([t.sin() * p.sin(), t.cos(), t.sin() * p.cos()], -1).reshape(-1, 3)
    v = torch.cat([body, torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])]) * radius
    north, south, faces = len(body), len(body) + 1, []
    for j in range(sectors):
        k = (j + 1) % sectors
        faces.append((north, j, k))
        last = (rings - 2) * sectors
        faces.append((south, last + k, last + j))
        for i in range(rings - 2):
            a, b, c, d = i * sectors + j, i * sectors + k, (i + 1) * sectors + j, (i + 1) * sectors + k
            faces += [(a, c, b), (b, c, d)]
    # one texture coordinate per corner: no trouble at the date line
    f = torch.tensor(faces)
    corner = v[f] / radius
    u = torch.atan2(corner[..., 0], corner[..., 2]) / (2 * torch.pi) + 0.5
    u = torch.where((u.amax(1, keepdim=True) - u) > 0.5, u + 1, u)
    w = torch.acos(corner[..., 1].clamp(-1, 1)) / torch.pi
    return v, f, torch.stack([u * 0.5, w], -1).reshape(-1, 2), torch.arange(3 * len(f)).reshape(-1, 3)


def soup(seed: int, triangles: int = 40, size: float = 0.12) -> tuple[Tensor, Tensor]:
    """Random triangles, some of them degenerate."""
    g = torch.Generator().manual_seed(seed)
    v = torch.randn(triangles, 3, generator=g) * size
    return v, torch.randint(0, triangles, (triangles, 3), generator=g)


def camera(width: int = 64, height: int = 48, distance: float = 0.6, focal: float = 90.0) -> Camera:
    """Looks at the origin from a little aside."""
    return Camera.orbit(torch.zeros(3), distance, 12, 7, focal, width, height)
