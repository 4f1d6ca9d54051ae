"""The settings of an evaluation run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from headcast.evaluate.networks import EvaluationNetworks
from headcast.progress import Progress

__all__ = ["Progress", "Setting", "option_facts"]


def _quiet(fraction: float, what: str) -> None:
    return None


@dataclass(frozen=True)
class Setting:
    """Settings that all protocols share.

    Attributes:
        subjects: what is evaluated, as typed: .avatar files, methods (with a variant after a colon), or a
            prior's name.
        data: folder or file of real things to compare with.
        out: folder of rows, images and tables; what is there already is not measured again.
        networks: that figures may use.
        frames: of a clip at most; measured: of those, how many are compared with the real ones.
        limit: at most so many items. only: these items alone.
        sources: images that an avatar is made from: the first frame, or so many of the first quarter.
        pairs: (source, driver) of cross-reenactment; empty: each clip's first frame driven by the next
            clip.
        options: an instance of the protocol's own ``Options``; None: their defaults.
    """

    subjects: tuple[str, ...]
    data: Path
    out: Path
    networks: EvaluationNetworks
    device: torch.device
    seed: int = 0
    frames: int = 60
    measured: int = 20
    sources: int = 1
    limit: int | None = None
    only: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    options: Any = None
    say: Progress = field(default=_quiet, compare=False)

    def facts(self) -> dict[str, Any]:
        """Return what a stored row depends on, apart from the method and the item."""
        return {
            "seed": self.seed,
            "frames": self.frames,
            "measured": self.measured,
            "sources": self.sources,
            "networks": self.networks.names(),
        }

    def chosen(self, items: list[str]) -> list[str]:
        """Return the items that are requested, in order."""
        kept = [i for i in items if not self.only or i in self.only]
        return kept[: self.limit]


def option_facts(options: Any) -> dict[str, Any]:
    """Return a protocol's own options as plain values for JSON."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()}
