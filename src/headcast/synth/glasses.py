"""Frames of glasses: two superellipse rims, a bridge and temples, as tubes that fit a head."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.synth.bust import ACROSS, RIM, TEMPLE

__all__ = ["make_glasses"]


def make_glasses(
    points: Float[Tensor, "b 68 3"],
    eyes: Float[Tensor, "b 2 3"],
    frame: Float[Tensor, "b 8"],
    worn: Bool[Tensor, " b"],
) -> Float[Tensor, "b g 3"]:
    """Make glasses: vertices in the head frame, metres; all in one point where none are worn.

    Args:
        points: landmarks and eyes: centres of eyeballs of the head at rest; the subject's left eye first.
        frame: see ``Looks.frame``, each 0..1.
    """
    width, tall, power, thick, drop, tilt, _, _ = frame.unbind(-1)
    wide = 0.0215 + 0.006 * width
    high = 0.0145 + 0.0095 * tall
    power = 2.1 + 2.6 * power
    radius = 0.0007 + 0.0014 * thick
    bridge = points[:, 27:31].mean(1)
    nose = points[:, 28]
    z = torch.maximum(nose[:, 2] + 0.001, eyes[..., 2].mean(1) + 0.0255)
    y = eyes[..., 1].mean(1) - 0.003 - 0.004 * drop
    a = torch.arange(RIM, device=points.device) * (2 * math.pi / RIM)
    c, s = a.cos(), a.sin()
    reach = (c.abs() ** power[:, None] + s.abs() ** power[:, None]) ** (-1 / power[:, None])
    tubes = []
    centres = []
    for side in (1.0, -1.0):
        x = side * torch.maximum(eyes[:, 0, 0] * 0.96, wide + 0.0085)
        across = reach * c * wide[:, None]
        up = reach * s * high[:, None] * (1 - 0.12 * (s < 0))
        back = -0.18 * (across * side).clamp(min=0) - up * (0.1 + 0.12 * tilt[:, None])
        path = torch.stack([x[:, None] + across, y[:, None] + up, z[:, None] + back], -1)
        outward = torch.stack([c.expand_as(up), s.expand_as(up), torch.zeros_like(up)], -1)
        tubes.append(tube(path, outward, radius))
        centres.append(x)
    t = torch.linspace(-1, 1, TEMPLE, device=points.device)
    inner = (centres[0] - wide)[:, None]
    arch = torch.stack(
        [
            inner * t,
            (y + 0.35 * high)[:, None] + 0.003 * (1 - t * t),
            (z + 0.001)[:, None].expand(-1, TEMPLE),
        ],
        -1,
    )
    tubes.append(tube(arch, torch.tensor([0.0, 1.0, 0.0], device=t.device).expand_as(arch), radius))
    ears = points[:, [16, 0]]  # the subject's left, right
    for i, side in enumerate((1.0, -1.0)):
        start = torch.stack([centres[i] + side * wide, y + 0.4 * high, z - 0.18 * wide], -1)
        ear = torch.stack([ears[:, i, 0] + side * 0.008, y + 0.004, ears[:, i, 2] - 0.02], -1)
        r = torch.linspace(0, 1, TEMPLE, device=t.device)[:, None]
        bow = torch.tensor([side * 0.004, 0.0, 0.0], device=t.device) * (4 * r * (1 - r))
        hook = torch.tensor([0.0, -0.012, -0.004], device=t.device) * (r - 0.8).clamp(min=0) * 5
        path = start[:, None] * (1 - r) + ear[:, None] * r + bow + hook
        tubes.append(
            tube(path, torch.tensor([side, 0.0, 0.0], device=t.device).expand_as(path), radius * 1.1)
        )
    v = torch.cat(tubes, 1)
    return torch.where(worn[:, None, None], v, bridge[:, None])


def tube(
    path: Float[Tensor, "b n 3"], side: Float[Tensor, "b n 3"], radius: Float[Tensor, " b"]
) -> Float[Tensor, "b m 3"]:
    """Sweep rings of ``ACROSS`` vertices along a path."""
    along = normalize(path.roll(-1, 1) - path.roll(1, 1), dim=-1)
    if path.shape[1] == TEMPLE:
        step = path[:, 1:] - path[:, :-1]
        along = normalize(torch.cat([step, step[:, -1:]], 1), dim=-1)
    u = normalize(side - (side * along).sum(-1, keepdim=True) * along, dim=-1)
    w = torch.linalg.cross(along, u)
    a = torch.arange(ACROSS, device=path.device) * (2 * math.pi / ACROSS)
    ring = u[:, :, None] * a.cos()[:, None] + w[:, :, None] * a.sin()[:, None]
    return (path[:, :, None] + ring * radius[:, None, None, None]).flatten(1, 2)
