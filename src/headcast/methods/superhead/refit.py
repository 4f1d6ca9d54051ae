"""The control without a prior: the input's own Gaussians refitted to the anchors, each for itself."""

from __future__ import annotations

import numpy as np

from headcast.avatar.gaussian import GaussianAvatar
from headcast.methods.superhead.anchors import GREY, Anchor, AnchorSet
from headcast.progress import Progress
from headcast.splats.optimize import optimize_gaussians
from headcast.splats.targets import ViewTarget

__all__ = ["refit"]


def refit(
    avatar: GaussianAvatar,
    anchors: AnchorSet,
    steps: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> GaussianAvatar:
    """Optimise all Gaussians towards anchors drawn in turns, as the default method does towards photos."""
    targets = [anchor_target(a) for a in anchors.anchors]
    schedule = np.random.default_rng(seed).integers(0, len(targets), steps).tolist()
    return optimize_gaussians(avatar, targets, schedule, seed=seed, progress=progress)


def anchor_target(anchor: Anchor) -> ViewTarget:
    """Return an anchor as a target: premultiplied colour where the rendering has coverage."""
    background = (1 - anchor.alpha)[..., None] * (GREY / 255)
    return ViewTarget(
        camera=anchor.camera,
        params=anchor.params,
        image=(anchor.image - background).clamp(min=0) * (anchor.alpha > 0)[..., None],
        alpha=anchor.alpha,
        weight=(anchor.alpha > 0.97).float() + (anchor.alpha < 0.03).float(),
    )
