"""Inversion of a prior by anchors: the losses of Eq. 4 to 6 and 9 to 12, and the two stages (Sec. 3.1, 4.3).

The paper does not print λ_p, λ_d, the weight of the locality loss, or how many anchors a step takes; ours are
below. Each step draws one anchor for each of Eq. 6 and 11: the sums' unbiased estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.methods.superhead.prior import HeadPrior
from headcast.methods.superhead.resume import RunFile
from headcast.methods.superhead.rigged_render import PosedAnchor, render_anchor
from headcast.priors.encoder.infer import face_crops, load_encoder
from headcast.priors.encoder.network import unit_features
from headcast.progress import Progress
from headcast.render.gaussians import GaussianRendering

__all__ = ["LossWeights", "PerceptualTarget", "anchor_loss", "invert"]

W_RATE, G_RATE = 0.04, 0.002
"""Learning rates of Adam for w and g (paper, Sec. 5.1)."""
TUNING_FRACTION = 1 / 3
"""Of the iterations, the last: g with w fixed (the paper: 50 of 150)."""
FADE = 0.3  # of a stage, the last part, over which its rate falls to a tenth
CROP = 256  # pixels of the face crop that the perceptual term compares
LOCALITY = 1.0
MIN_LOSS = 1e-12  # below the root of a mean square


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: λ_p, λ_d (per metre), and which of Eq. 6 and 11 take part."""

    perceptual: float = 0.05
    depth: float = 5.0
    multi_view: bool = True
    multi_expression: bool = True


class PerceptualTarget:
    """The perceptual distance to one image, whose features are computed once (L_pips of Eq. 4)."""

    def __init__(self, image: Float[Tensor, "h w 3"], box: tuple[float, float, float, float]) -> None:
        self.encoder, self.box = load_encoder("losses"), torch.tensor([box])
        with torch.no_grad():
            self.features = [unit_features(f) for f in self.encoder.features(self.crop(image))]

    def crop(self, image: Float[Tensor, "h w 3"]) -> Float[Tensor, "1 3 s s"]:
        """Cut the face out of an image of display values."""
        return face_crops(image.permute(2, 0, 1)[None] * 2 - 1, self.box, CROP)

    def distance(self, image: Float[Tensor, "h w 3"]) -> Float[Tensor, ""]:
        """Return the distance, as ``Encoder.distance``."""
        found = self.encoder.features(self.crop(image))
        total = torch.zeros(())
        for w, p, q in zip(self.encoder.weights.unbind(), found, self.features, strict=True):
            total = total + w * ((unit_features(p) - q) ** 2).sum(1).mean()
        return total


def anchor_loss(
    out: GaussianRendering, view: PosedAnchor, target: PerceptualTarget, weights: LossWeights
) -> Float[Tensor, ""]:
    """Return Eq. 4 + λ_d Eq. 5 (9 and 10) of one anchor; norms are roots of means over the mask's pixels."""
    image = view.anchor.image
    mask = view.mask[..., None].float()
    count = mask.sum().clamp(min=1)
    error = ((out.rgb - image) * mask).square().sum() / (3 * count)
    shown = image + (out.rgb - image) * mask
    loss = (error + MIN_LOSS).sqrt() + weights.perceptual * target.distance(shown)
    if weights.depth:
        off = ((out.depth - view.depth) * mask[..., 0]).square().sum() / count
        loss = loss + weights.depth * (off + MIN_LOSS).sqrt()
    return loss


def invert(
    prior: HeadPrior,
    views: list[PosedAnchor],
    iterations: int,
    *,
    weights: LossWeights | None = None,
    seed: int = 0,
    run: RunFile | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """Optimise w, then g with w fixed and PTI's locality loss; return the loss of every step made here.

    Args:
        views: the anchors, those of the base expression first.
        seed: of the anchors drawn; a step's draw depends on seed and step alone.
        run: where the state is kept, and read from if a run was killed.
    """
    weights = weights or LossWeights()
    targets = [PerceptualTarget(v.anchor.image, v.anchor.box) for v in views]
    tuning = round(iterations * (1 - TUNING_FRACTION))
    optimizers = (
        torch.optim.Adam(prior.latent(), W_RATE),
        torch.optim.Adam(prior.weights(), G_RATE),
    )
    first = 0 if run is None else run.load(prior, optimizers)
    history = []
    for step in range(first, iterations):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        stage = int(step >= tuning)
        if step == tuning:
            prior.begin_tuning()
        start, end = (0, tuning) if stage == 0 else (tuning, iterations)
        set_rate(optimizers[stage], (W_RATE, G_RATE)[stage], (step - start) / max(end - start, 1))
        optimizers[stage].zero_grad()
        own = prior.gaussians()
        loss = torch.zeros(())
        for k in draw_anchors([v.anchor.in_base for v in views], weights, rng):
            loss = loss + anchor_loss(render_anchor(views[k], own), views[k], targets[k], weights)
        if stage:
            loss = loss + LOCALITY * prior.locality(rng)
        loss.backward()
        optimizers[stage].step()
        history.append(float(loss.detach()))
        if run is not None:
            run.keep(step + 1, prior, optimizers, final=step + 1 == iterations)
        if progress:
            progress((step + 1) / iterations, "inverting the prior")
    return history


def draw_anchors(in_base: list[bool], weights: LossWeights, rng: torch.Generator) -> list[int]:
    """Draw an anchor of the base expression (Eq. 6) and one of all (Eq. 11)."""
    base = sum(in_base)
    chosen = []
    if weights.multi_view:
        chosen.append(int(torch.randint(base, (1,), generator=rng)))
    if weights.multi_expression:
        chosen.append(int(torch.randint(len(in_base), (1,), generator=rng)))
    return chosen


def set_rate(optimizer: torch.optim.Optimizer, rate: float, fraction: float) -> None:
    """Set the rate at a fraction of a stage: constant, then falling to a tenth over its last part."""
    fall = max(0.0, (fraction - (1 - FADE)) / FADE)
    for group in optimizer.param_groups:
        group["lr"] = rate * 10**-fall
