"""What an avatar remembers of all frames so far: its size does not depend on their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.entries import damaged
from headcast.avatar.source import check_tensor
from headcast.observe.recursive import ShapeEvidence

__all__ = ["FusionState"]

PREFIX = "evidence."
MAX_FRAMES = 1e6


@dataclass(frozen=True)
class FusionState:
    """Evidence of the frames so far (the hidden state h of Eq. 1).

    Attributes:
        weights: of every layer's coarse texels, how well the frames showed them (a norm of all weights).
        spreads: by how much frames differed there, natural logarithm of luminance.
        sharpness: pixels along a metre of the surface that weight 1 stands for.
        shape: normal equations of identity and focal length.
        person: (d,) sum of the unit identity vectors of the frames used; empty: none.
        colours: (2, 3) sum of the logarithm of skin's and hair's linear colour over ``colour_counts`` frames.
        detail: mean logarithm of the face's detail over ``detail_count`` frames.
        used, skipped: numbers of frames.
    """

    weights: Mapping[str, Float[np.ndarray, "n"]]
    spreads: Mapping[str, Float[np.ndarray, "n"]]
    sharpness: float
    shape: ShapeEvidence
    person: Float[np.ndarray, "d"] = field(default_factory=lambda: np.zeros(0))
    colours: Float[np.ndarray, "2 3"] = field(default_factory=lambda: np.zeros((2, 3)))
    colour_counts: Float[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2))
    detail: float = 0.0
    detail_count: int = 0
    used: int = 1
    skipped: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return named tensors to be stored."""
        out = {f"{PREFIX}{n}.weight": torch.from_numpy(x).half() for n, x in self.weights.items()}
        out |= {f"{PREFIX}{n}.spread": torch.from_numpy(x).half() for n, x in self.spreads.items()}
        out[f"{PREFIX}precision"] = torch.from_numpy(self.shape.precision)
        out[f"{PREFIX}right"] = torch.from_numpy(self.shape.right)
        out[f"{PREFIX}person"] = torch.from_numpy(self.person).float()
        out[f"{PREFIX}colours"] = torch.from_numpy(self.colours)
        facts = [self.sharpness, *self.shape.size, self.shape.count, self.used, self.skipped]
        facts += [*self.colour_counts, self.detail, self.detail_count]
        out[f"{PREFIX}facts"] = torch.tensor(facts, dtype=torch.float64)
        return out

    @staticmethod
    def from_tensors(
        tensors: Mapping[str, Tensor], texels: Mapping[str, int], identities: int, path: Path
    ) -> FusionState:
        """Read stored tensors.

        Args:
            texels: number of coarse texels of every layer.

        Raises:
            HeadcastError: something is missing, of a wrong shape or not finite.
        """
        given = dict(tensors)

        def get(name: str, *shape: int) -> np.ndarray:
            return check_tensor(given, PREFIX + name, shape, path).numpy()

        facts = get("facts", 10)
        counts = np.delete(facts, 8)
        if not (facts[0] > 0 and (facts[1:3] >= 1).all() and ((counts >= 0) & (counts <= MAX_FRAMES)).all()):
            raise damaged(path, "its evidence holds impossible numbers")
        n = identities + 1
        precision = get("precision", n, n).astype(np.float64)
        if float(np.linalg.eigvalsh((precision + precision.T) / 2).min()) <= 0:
            raise damaged(path, "its evidence of the shape is no sum of squares")
        person = given.get(PREFIX + "person")
        size = 0 if person is None or person.ndim != 1 else len(person)
        return FusionState(
            weights={k: get(f"{k}.weight", m).clip(0) for k, m in texels.items()},
            spreads={k: get(f"{k}.spread", m).clip(0) for k, m in texels.items()},
            sharpness=float(facts[0]),
            shape=ShapeEvidence(
                precision, get("right", n).astype(np.float64), (int(facts[1]), int(facts[2])), int(facts[3])
            ),
            person=get("person", size).astype(np.float64),
            colours=get("colours", 2, 3).astype(np.float64),
            colour_counts=facts[6:8].astype(np.float64),
            detail=float(facts[8]),
            detail_count=int(facts[9]),
            used=int(facts[4]),
            skipped=int(facts[5]),
        )
