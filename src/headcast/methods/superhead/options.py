"""Options of SuperHead; what the paper prints is its value, the rest is ours and said so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from headcast.limits import Limit
from headcast.methods.base import MethodOptions

__all__ = ["Ablation", "SuperHeadOptions"]

Ablation = Literal["none", "no-multi-view", "no-multi-expression", "no-depth", "no-geometry", "no-prior"]


@dataclass(frozen=True)
class SuperHeadOptions(MethodOptions):
    """Options of the method ``superhead``."""

    invert: bool = False
    """Invert the prior on super-resolved anchors, as the paper does: minutes. By default what the prior makes
    of the input by itself is taken, in seconds; measured so far, that is nearer to the true photo."""
    iterations: Annotated[int, Limit(3, 5000)] = 150
    """Steps of the inversion: two thirds move the latent, the last third the prior's own weights."""
    views: Annotated[int, Limit(1, 64)] = 7
    """Anchors of the base expression, from sides within 45 degrees."""
    anchors: Annotated[int, Limit(2, 256)] = 27
    """All anchors, those of other expressions included."""
    side: Annotated[int, Limit(128, 1024)] = 512
    """Side of the anchors, pixels."""
    scale: Literal[0, 1, 2, 4] = 1
    """Times that an anchor is larger than its rendering; 0: as small as the photo showed the face."""
    restorer: Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"] = "headcast"
    """The network that super-resolves anchors: headcast's own, or one whose weights you imported."""
    ablation: Ablation = "none"
    """Invert without a part, as the paper's Table 2 does; no-prior refits the input's own Gaussians."""
    resume_file: Path | None = None
    """Where an unfinished run is kept; by default beside the output, removed when it is done."""

    @property
    def inverts(self) -> bool:
        """Whether anchors are made and the prior is inverted."""
        return self.invert or self.ablation != "none"

    def for_output(self, out: Path) -> SuperHeadOptions:
        """Keep an unfinished run beside the output."""
        if self.resume_file is not None:
            return self
        return replace(self, resume_file=out.with_name(f"{out.stem}.unfinished.safetensors"))
