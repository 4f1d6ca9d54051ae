"""Optimise a rigged avatar's Gaussians towards target views by row-wise Adam.

Colours, opacity, reach and, a little, position are moved; positions are pulled back to where they began. What
no target shows stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.progress import Progress
from headcast.render.gaussians import render_gaussians
from headcast.splats.adam import RowAdam
from headcast.splats.shade import shade_and_place
from headcast.splats.targets import PosedTarget, ViewTarget, pose_target

__all__ = ["keep_near_start", "optimize_gaussians"]

RATES = {"albedo": 0.03, "opacity": 0.08, "log_scale": 0.06, "position": 0.06}
HALVINGS = 3  # of the rates, over all steps
BETAS, EPS = (0.8, 0.99), 1e-9  # of Adam; smaller gradients than EPS are noise
PULL = 0.01  # fraction of their offset by which positions return to where they began at every step
MAX_OFFSET = 6.0  # of a Gaussian's reach, by which it may move
SHRINK, GROW = 0.15, 0.7  # of the logarithm of a Gaussian's reach
COVERED = 0.97  # coverage that what is solid in a target must have
GAP_COST = 1.0  # of a lack of it, next to the colour's error
SOLID = 0.97  # opacity that what was opaque keeps, so that no other view sees through it
BRIGHTEST = 1.4  # albedo in display values: some light is dimmer than what it lit
ROUND = 0.03  # of the colour range: errors below it count by their square, above by their size
DEPTH_COST = 10.0  # of a metre of depth, next to the whole range of a colour


def optimize_gaussians(
    avatar: GaussianAvatar,
    targets: Sequence[ViewTarget],
    schedule: Sequence[int],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> GaussianAvatar:
    """Make one step of Adam for every entry of the schedule.

    Args:
        schedule: which target each step uses.
        seed: of the backgrounds, which are random colours: what is see-through must be so before any.
        progress: called with the fraction done.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        posed = [pose_target(avatar, t) for t in targets]
    first = {k: getattr(avatar.gaussians, k).clone() for k in RATES}
    now = {k: v.clone() for k, v in first.items()}
    adam = {k: RowAdam(v, BETAS, EPS) for k, v in now.items()}
    for step, which in enumerate(schedule):
        view = posed[which]
        fade = 0.5 ** (HALVINGS * step / len(schedule))
        shown = {k: v[view.index].requires_grad_() for k, v in now.items()}
        _loss(view, shown, torch.rand(3, generator=rng)).backward()
        for k, v in shown.items():  # what isn't visible may not move, not even by momentum
            assert v.grad is not None
            adam[k].step(view.index, v.grad, RATES[k] * fade, view.step_scale[:, int(k != "albedo")])
        keep_near_start(now, first)
        if progress:
            progress((step + 1) / len(schedule), "polishing")
    return replace(avatar, gaussians=replace(avatar.gaussians, **now))


def keep_near_start(now: dict[str, Tensor], first: dict[str, Tensor]) -> None:
    """Move everything, in place, near enough to where it began that no other view tears open."""
    reach = first["log_scale"][:, :2].mean(1, keepdim=True).exp()
    now["position"].lerp_(first["position"], PULL)
    off = now["position"] - first["position"]
    now["position"].sub_(off * (1 - MAX_OFFSET * reach / off.norm(dim=-1, keepdim=True)).clamp(min=0))
    now["albedo"].clamp_(0, BRIGHTEST)
    now["log_scale"].clamp_(first["log_scale"] - SHRINK, first["log_scale"] + GROW)
    solid = math.log(SOLID / (1 - SOLID))
    now["opacity"].clamp_(min=torch.where(first["opacity"] > solid, solid, -torch.inf))


def _loss(view: PosedTarget, x: dict[str, Tensor], background: Float[Tensor, "3"]) -> Float[Tensor, ""]:
    """Return a view's error against its target over a background; ``x``: its visible Gaussians."""
    target = view.target
    world, colours = shade_and_place(x["position"], x["albedo"], view.origin, view.matrix, view.shading)
    out = render_gaussians(
        world,
        x["log_scale"] + view.log_scale_offset,
        view.quaternion,
        x["opacity"],
        colours,
        target.camera,
        background=background,
    )
    expected = target.image + (1 - target.alpha)[..., None] * background
    error = out.rgb - expected
    rounded = (error**2 + ROUND**2).sqrt() - ROUND + 0.5 * error**2
    gaps = (COVERED - out.alpha).clamp(min=0) * (target.alpha > COVERED) * (target.weight > 0)
    loss = (rounded * target.weight[..., None]).mean() + GAP_COST * gaps.mean()
    if target.depth is None:
        return loss
    compared = target.weight * (target.depth > 0) * (target.alpha > COVERED)
    return loss + DEPTH_COST * ((out.depth - target.depth).abs() * compared).mean()
