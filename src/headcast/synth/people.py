"""Who a synthetic person is: sampled so that sex, age, skin tone and face shape are balanced and independent.

Tables of the distributions and the rules that hold out a test split are in docs/synth.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.synth.config import SynthConfig
from headcast.synth.identity import draw_identities, fitted_people
from headcast.synth.rng import CounterRng

__all__ = ["HELD_OUT_SECTORS", "TONES", "PersonTraits", "draw_people", "held_out_skin", "sex_axis"]

TONES = (
    ("very light", 55.0, 66.0),
    ("light", 41.0, 55.0),
    ("intermediate", 28.0, 41.0),
    ("tan", 10.0, 28.0),
    ("brown", -30.0, 10.0),
    ("dark", -52.0, -30.0),
)
"""Classes of skin tone by individual typology angle in degrees (Chardon et al. 1991), equally likely."""

AGES = (18.0, 85.0)
SECTORS = 10
HELD_OUT_SECTORS = (3, 8)
"""Sectors of the angle of the skin model's first two coefficients that only the test split samples."""

SPLIT_ROWS = {"train": 0, "test": 1}
MAX_SKIN = 1.6

DIMORPHISM = (
    (5, 11, 0.06),
    (57, 8, 0.10),
    (27, 33, 0.07),
    (31, 35, 0.07),
    (0, 16, 0.045),
    (51, 57, -0.06),
    (37, 41, -0.05),
    (48, 54, 0.03),
    (19, 37, -0.10),
    (8, 27, 0.06),
)
"""Sexual dimorphism of adult faces: two of the 68 landmarks, and the relative growth of their distance from
feminine to masculine."""


@dataclass(frozen=True)
class PersonTraits:
    """Traits of B synthetic people.

    Attributes:
        number: which person of the split's stream.
        feminine: 0 or 1; age: years; tone: class of ``TONES``; ita: typology angle, degrees.
        identity: (B, I) coefficients of the head model; skin: (B, K) of the skin model.
        lids: resting eyeBlink weight of both eyes.
        fitted: whether the face's shape follows the statistics of fitted people.
    """

    number: Int[Tensor, " b"]
    feminine: Bool[Tensor, " b"]
    age: Float[Tensor, " b"]
    tone: Int[Tensor, " b"]
    ita: Float[Tensor, " b"]
    identity: Float[Tensor, "b i"]
    skin: Float[Tensor, "b k"]
    lids: Float[Tensor, " b"]
    fitted: Bool[Tensor, " b"]

    def __getitem__(self, index: slice | Tensor) -> PersonTraits:
        """Return some of the people."""
        return PersonTraits(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def old(self) -> Float[Tensor, " b"]:
        """Return age as 0 at 30 years and below, 1 at 80."""
        return ((self.age - 30) / 50).clamp(0, 1)


def person_rng(
    config: SynthConfig, numbers: Int[np.ndarray, " b"], seed: int, device: torch.device
) -> CounterRng:
    """Return the RNG of people's traits; the two splits never share a sample."""
    rows = np.stack([np.full(len(numbers), SPLIT_ROWS[config.split]), numbers], 1).astype(np.int64)
    return CounterRng(rows, seed, device)


def draw_people(config: SynthConfig, rng: CounterRng, head: HeadModel, skin_components: int) -> PersonTraits:
    """Sample sex, age and tone, independent of each other and of the shape's remaining coefficients."""
    feminine = rng.chance("sex", 0.5)
    age = rng.uniform("age", low=AGES[0], high=AGES[1])
    tone = rng.choice("tone", (1.0,) * len(TONES))
    low, high = (torch.tensor([t[i] for t in TONES], device=rng.device)[tone] for i in (1, 2))
    ita = low + (high - low) * rng.uniform("ita")
    axis = sex_axis(head).to(rng.device)
    people = fitted_people(head.hash) if config.fitted else None
    identity, fitted = draw_identities(rng, feminine, axis, people, config.fitted)
    return PersonTraits(
        number=torch.from_numpy(rng.rows[:, 1].copy()).to(rng.device),
        feminine=feminine,
        age=age,
        tone=tone,
        ita=ita,
        identity=identity,
        skin=draw_skin(config, rng, skin_components),
        lids=rng.uniform("lids", low=0.02, high=0.26) + 0.05 * ((age - 50) / 35).clamp(0, 1),
        fitted=fitted,
    )


def draw_skin(config: SynthConfig, rng: CounterRng, components: int) -> Float[Tensor, "b k"]:
    """Sample coefficients of the skin model; the angle of the first two says which split may have them."""
    c = rng.normal("skin", components, clip=MAX_SKIN) * 0.8
    open_ = [k for k in range(SECTORS) if (k in HELD_OUT_SECTORS) == (config.split == "test")]
    sector = torch.tensor(open_, device=rng.device)[rng.choice("skin sector", (1.0,) * len(open_))]
    angle = (sector + rng.uniform("skin angle")) * (2 * math.pi / SECTORS)
    radius = c[:, :2].norm(dim=-1)
    return torch.cat([(radius * angle.cos())[:, None], (radius * angle.sin())[:, None], c[:, 2:]], 1)


def held_out_skin(skin: Float[Tensor, "b k"]) -> Bool[Tensor, " b"]:
    """Return whether skin coefficients belong to the test split."""
    angle = torch.atan2(skin[:, 1], skin[:, 0]) % (2 * math.pi)
    sector = (angle / (2 * math.pi / SECTORS)).floor().clamp(max=SECTORS - 1)
    return torch.isin(sector.long(), torch.tensor(HELD_OUT_SECTORS, device=skin.device))


@cache
def _sex_axis(_hash: str, head: HeadModel) -> Tensor:
    points, basis = head.landmarks(head.neutral, 68), head.landmarks(head.identity_basis, 68)

    def length(a: int, b: int) -> Tensor:
        d = points[a] - points[b]
        return ((basis[:, a] - basis[:, b]) * (d / d.norm())).sum(-1) / d.norm()

    rows = torch.stack([length(a, b) for a, b, _ in DIMORPHISM])
    wanted = torch.tensor([growth for _, _, growth in DIMORPHISM])
    ridge = 1e-3 * torch.eye(len(rows), device=rows.device)
    axis = rows.T @ torch.linalg.solve(rows @ rows.T + ridge, wanted.to(rows))
    return axis / axis.norm()


def sex_axis(head: HeadModel) -> Float[Tensor, " i"]:
    """Return the unit direction among identity coefficients from feminine to masculine proportions.

    The head model knows no sex; the direction is the smallest change of identity that moves ten distances
    between landmarks (jaw, chin, nose, brow, lips, eyes) as they differ between women and men.
    """
    return _sex_axis(head.hash, head)
