"""Score estimated weights against the truth of synthetic heads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from expressions.learning import SIDES, Heads
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.observe.prior import FREE

__all__ = ["WeightScore", "format_table", "score_weights"]

ONE_SIDED = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")


class WeightScore(NamedTuple):
    """How one weight is estimated.

    Attributes:
        shown, hidden: images in which it is at least .3, and 0; both sides count.
        slope, r: of the estimate on the truth. false: mean estimate where the truth is 0.
    """

    shown: int
    hidden: int
    slope: float
    r: float
    false: float


def stem_of(name: str) -> str:
    """Return the name without its side."""
    return name if name in ONE_SIDED else name.removesuffix("Left").removesuffix("Right")


def score_weights(estimate: Float[np.ndarray, "n 52"], heads: Heads) -> dict[str, WeightScore]:
    """Score the estimates of images that are not neutral; what the lids show at rest is taken off."""
    moving = heads.frame > 0
    estimate = estimate.copy()
    estimate[:, [EXPRESSION_INDEX[f"eyeBlink{s}"] for s in SIDES]] -= heads.resting_lids
    out = {}
    for stem in dict.fromkeys(stem_of(EXPRESSIONS[i]) for i in FREE):
        columns = [i for i in FREE if stem_of(EXPRESSIONS[i]) == stem]
        t, e = (np.concatenate([a[moving, c] for c in columns]) for a in (heads.expression, estimate))
        on, off = t >= 0.3, t < 1e-6
        both = on | off
        flat = not both.any() or e[both].std() < 1e-9 or t[both].std() < 1e-9
        out[stem] = WeightScore(
            shown=int(on.sum()),
            hidden=int(off.sum()),
            slope=0.0 if flat else float(np.polyfit(t[both], e[both], 1)[0]),
            r=0.0 if flat else float(np.corrcoef(t[both], e[both])[0, 1]),
            false=float(e[off].clip(0).mean()) if off.any() else 0.0,
        )
    return out


def format_table(scores: dict[str, dict[str, WeightScore]]) -> str:
    """Format slope, correlation and false activation of every weight by method, as a Markdown table."""
    names = list(scores)
    lines = [
        "| weight | n ≥ .3 | " + " | ".join(f"{n}: slope | r | false" for n in names) + " |",
        "|---|---" + "|---" * (3 * len(names)) + "|",
    ]

    def short(x: float) -> str:
        return f"{x:.2f}".replace("0.", ".")

    for weight, first in scores[names[0]].items():
        cells = [
            f"{short(s.slope)} | {short(s.r)} | {s.false:.3f}".replace("0.", ".")
            for s in (scores[n][weight] for n in names)
        ]
        lines.append(f"| {weight} | {first.shown} | " + " | ".join(cells) + " |")
    means = [
        f"{short(float(np.mean([s.slope for s in scores[n].values()])))} | "
        f"{short(float(np.mean([s.r for s in scores[n].values()])))} | "
        f"{np.mean([s.false for s in scores[n].values()]):.3f}".replace("0.", ".")
        for n in names
    ]
    lines.append("| mean | | " + " | ".join(means) + " |")
    return "\n".join(lines)
