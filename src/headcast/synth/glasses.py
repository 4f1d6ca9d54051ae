"""Frames of glasses: two superellipse rims, a bridge and temples, as tubes that fit a head."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.synth.bust import ACROSS, RIM, TEMPLE

__all__ = ["make_glasses"]

SIDES = (1.0, -1.0)
"""Signs of x on the subject's left and right."""


class GlassesFit(NamedTuple):
    """Dimensions and place of B frames of glasses in the head frame, metres, (B,) each.

    Attributes:
        half_width, half_height: of a rim. exponent: of its superellipse. radius: of the tubes.
        tilt: how far the rims lean back, 0..1.
        x: of the left rim's centre; y, z: of both rims' centres.
    """

    half_width: Tensor
    half_height: Tensor
    exponent: Tensor
    radius: Tensor
    tilt: Tensor
    x: Tensor
    y: Tensor
    z: Tensor


def make_glasses(
    points: Float[Tensor, "b 68 3"],
    eyes: Float[Tensor, "b 2 3"],
    frame: Float[Tensor, "b 8"],
    worn: Bool[Tensor, " b"],
) -> Float[Tensor, "b g 3"]:
    """Make glasses: vertices in the head frame, metres; all in one point where none are worn.

    Args:
        points: landmarks and eyes: centres of eyeballs of the head at rest; the subject's left eye first.
        frame: see ``PersonAppearance.frame``, each 0..1.
    """
    fit = fit_frame(points, eyes, frame)
    ears = points[:, [16, 0]]  # the subject's left, right
    tubes = [make_rim(fit, side) for side in SIDES]
    tubes.append(make_bridge(fit))
    tubes += [make_temple(fit, ears[:, i], side) for i, side in enumerate(SIDES)]
    bridge = points[:, 27:31].mean(1)
    return torch.where(worn[:, None, None], torch.cat(tubes, 1), bridge[:, None])


def fit_frame(
    points: Float[Tensor, "b 68 3"], eyes: Float[Tensor, "b 2 3"], frame: Float[Tensor, "b 8"]
) -> GlassesFit:
    """Choose dimensions by ``frame`` and place the rims before the eyes, on the nose."""
    width, height, roundness, thickness, drop, tilt, _, _ = frame.unbind(-1)
    half_width = 0.0215 + 0.006 * width
    return GlassesFit(
        half_width=half_width,
        half_height=0.0145 + 0.0095 * height,
        exponent=2.1 + 2.6 * roundness,
        radius=0.0007 + 0.0014 * thickness,
        tilt=tilt,
        x=torch.maximum(eyes[:, 0, 0] * 0.96, half_width + 0.0085),
        y=eyes[..., 1].mean(1) - 0.003 - 0.004 * drop,
        z=torch.maximum(points[:, 28, 2] + 0.001, eyes[..., 2].mean(1) + 0.0255),
    )


def make_rim(fit: GlassesFit, side: float) -> Float[Tensor, "b m 3"]:
    """Make one rim: a superellipse that leans back at the top and towards the temple."""
    angle = torch.arange(RIM, device=fit.x.device) * (2 * math.pi / RIM)
    c, s = angle.cos(), angle.sin()
    exponent = fit.exponent[:, None]
    reach = (c.abs() ** exponent + s.abs() ** exponent) ** (-1 / exponent)
    x = side * fit.x
    across = reach * c * fit.half_width[:, None]
    up = reach * s * fit.half_height[:, None] * (1 - 0.12 * (s < 0))
    back = -0.18 * (across * side).clamp(min=0) - up * (0.1 + 0.12 * fit.tilt[:, None])
    path = torch.stack([x[:, None] + across, fit.y[:, None] + up, fit.z[:, None] + back], -1)
    outward = torch.stack([c.expand_as(up), s.expand_as(up), torch.zeros_like(up)], -1)
    return sweep_tube(path, outward, fit.radius)


def make_bridge(fit: GlassesFit) -> Float[Tensor, "b m 3"]:
    """Make the bridge: an arch from rim to rim."""
    t = torch.linspace(-1, 1, TEMPLE, device=fit.x.device)
    inner = (fit.x - fit.half_width)[:, None]
    y = (fit.y + 0.35 * fit.half_height)[:, None] + 0.003 * (1 - t * t)
    z = (fit.z + 0.001)[:, None].expand(-1, TEMPLE)
    path = torch.stack([inner * t, y, z], -1)
    return sweep_tube(path, torch.tensor([0.0, 1.0, 0.0], device=t.device).expand_as(path), fit.radius)


def make_temple(fit: GlassesFit, ear: Float[Tensor, "b 3"], side: float) -> Float[Tensor, "b m 3"]:
    """Make one temple: from the rim to above the ear, bowed outwards, hooked down behind it."""
    device = fit.x.device
    rim = [side * fit.x + side * fit.half_width, fit.y + 0.4 * fit.half_height, fit.z - 0.18 * fit.half_width]
    start = torch.stack(rim, -1)
    end = torch.stack([ear[:, 0] + side * 0.008, fit.y + 0.004, ear[:, 2] - 0.02], -1)
    t = torch.linspace(0, 1, TEMPLE, device=device)[:, None]
    bow = torch.tensor([side * 0.004, 0.0, 0.0], device=device) * (4 * t * (1 - t))
    hook = torch.tensor([0.0, -0.012, -0.004], device=device) * (t - 0.8).clamp(min=0) * 5
    path = start[:, None] * (1 - t) + end[:, None] * t + bow + hook
    outward = torch.tensor([side, 0.0, 0.0], device=device).expand_as(path)
    return sweep_tube(path, outward, fit.radius * 1.1)


def sweep_tube(
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
