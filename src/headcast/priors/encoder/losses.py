"""Losses of the encoder: identity, region labels, and the quality of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, smooth_l1_loss

from headcast.priors.images import IGNORE

__all__ = ["Helpers", "identity_loss", "likeness_auc", "region_loss"]


def identity_loss(
    vectors: Float[Tensor, "n d"], person: Int[Tensor, " n"], scale: float = 16.0, margin: float = 0.2
) -> Float[Tensor, ""]:
    """Return the supervised contrastive loss over people (Khosla et al. 2020, Eq. 2).

    Cosines times ``scale``; those of the same person are first lowered by ``margin`` (CosFace, Wang et al.
    2018, Eq. 4), so that they must exceed the others' by that much. Single images are no anchors.
    """
    same = (person[:, None] == person[None]).float()
    self_ = torch.eye(len(person), device=vectors.device)
    same = same - self_
    cosine = vectors @ vectors.T - margin * same
    logits = scale * cosine - 1e4 * self_
    log_p = logits - logits.logsumexp(1, keepdim=True)
    count = same.sum(1)
    return -((same * log_p).sum(1) / count.clamp(min=1))[count > 0].mean()


def region_loss(logits: Float[Tensor, "n k i j"], label: Int[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """Return cross entropy at the logits' resolution (labels of the middles)."""
    i, j = logits.shape[-2:]
    small = interpolate(label[:, None].float(), (i, j), mode="nearest-exact")[:, 0].long()
    small = torch.where(small == IGNORE, -100, small)
    return cross_entropy(logits, small)


class Helpers(nn.Module):
    """Small heads that exist only while training, so that every level learns something of its own.

    Region labels are read off the levels of 1/4 and 1/8; what a degradation took away (mean squared, log
    scale) off the means and deviations of the first three levels; the undegraded image off the first two.
    """

    def __init__(self, widths: tuple[int, ...], labels: int) -> None:
        super().__init__()
        a, b, c, d, _ = widths
        self.label = nn.ModuleList([nn.Conv2d(c, labels, 1), nn.Conv2d(d, labels, 1)])
        self.quality = nn.Sequential(nn.Linear(2 * (a + b + c), 32), nn.ReLU(), nn.Linear(32, 1))
        self.clear = nn.ModuleList([nn.Conv2d(a, 3, 3, 1, 1), nn.Conv2d(b, 3, 1)])
        for conv in self.clear:
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]

    def forward(
        self, maps: list[Tensor], seen: Tensor, clear: Tensor, label: Tensor, lost: Tensor
    ) -> dict[str, Tensor]:
        """Return losses ``label``, ``quality`` and ``clear`` (of the restored input; values in -1..1)."""
        where = sum(region_loss(h(m), label) for h, m in zip(self.label, maps[2:4], strict=True))
        facts = torch.cat([f for m in maps[:3] for f in (m.mean((2, 3)), m.std((2, 3)))], 1)
        guess = self.quality(facts)[:, 0]
        restored = seen + self.clear[0](maps[0])
        restored = restored + interpolate(self.clear[1](maps[1]), seen.shape[-2:], mode="bilinear")
        return {
            "label": where / 2,  # type: ignore[dict-item]
            "quality": smooth_l1_loss(guess, lost, beta=0.2),
            "clear": (restored - clear).abs().mean(),
        }


def likeness_auc(vectors: Float[Tensor, "n d"], person: Int[Tensor, " n"]) -> float:
    """Return how often two images of one person are more alike than two of different people (ROC AUC)."""
    cosine = vectors @ vectors.T
    above = torch.triu(torch.ones_like(cosine), 1) > 0
    same = person[:, None] == person[None]
    own, other = cosine[above & same], cosine[above & ~same].sort().values
    below = torch.searchsorted(other, own, right=False) + torch.searchsorted(other, own, right=True)
    return float(below.float().mean() / 2 / len(other))
