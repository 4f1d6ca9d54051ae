"""A person's appearance: hair and its colour, brows, beard, eyes, glasses, clothes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.synth.config import SynthConfig
from headcast.synth.people import PersonTraits
from headcast.synth.rng import CounterRng

__all__ = ["BEARDS", "PersonAppearance", "draw_appearance", "hair_colour"]

BEARDS = ("none", "shadow", "stubble", "beard", "moustache", "goatee")
BEARD_WEIGHTS = (0.42, 0.16, 0.14, 0.14, 0.06, 0.08)
BALD, BUZZED = 0, 1
"""Hair styles before those of the templates."""

HAIR = (
    (0.009, 0.008, 0.0075),
    (0.018, 0.013, 0.01),
    (0.04, 0.025, 0.016),
    (0.085, 0.053, 0.032),
    (0.15, 0.1, 0.062),
    (0.24, 0.17, 0.105),
    (0.38, 0.29, 0.19),
    (0.55, 0.47, 0.36),
)
RED_HAIR = ((0.05, 0.018, 0.009), (0.12, 0.042, 0.017), (0.24, 0.095, 0.038))
"""Linear albedo from black over brown to platinum, and from auburn to ginger."""

IRIS_DARK = (
    (0.024, 0.013, 0.007),
    (0.07, 0.035, 0.014),
    (0.11, 0.075, 0.03),
    (0.08, 0.1, 0.05),
    (0.08, 0.13, 0.19),
    (0.13, 0.16, 0.18),
)
"""Linear albedo of dark brown, brown, hazel, green, blue and grey irises."""


@dataclass(frozen=True)
class PersonAppearance:
    """PersonAppearance of B people; colours are linear albedo.

    Attributes:
        hair: style: 0 bald, 1 buzzed, then templates; hair_mirrored. hair_colour, hair_length (factor),
            hair_light (how much the lightness of strands varies), hair_cut (heights below which there is no
            fringe and no hair at all, metres, head frame).
        brow_style: which design; brow_strength.
        beard: index of ``BEARDS``; beard_density 0..1; beard_length metres.
        iris (B, 3); sclera: yellowness 0..1; pupil: radius as a fraction of the iris.
        glasses; frame (B, 8): width, height, roundness, thickness, drop, tilt, bridge, darkness.
        cloth (B, 2, 3) two colours; pattern 0 plain, 1 stripes, 2 checks, 3 mottled; neckline (B, 2).
    """

    hair: Int[Tensor, " b"]
    hair_mirrored: Bool[Tensor, " b"]
    hair_colour: Float[Tensor, "b 3"]
    hair_length: Float[Tensor, " b"]
    hair_light: Float[Tensor, " b"]
    hair_cut: Float[Tensor, "b 2"]
    brow_style: Int[Tensor, " b"]
    brow_strength: Float[Tensor, " b"]
    beard: Int[Tensor, " b"]
    beard_density: Float[Tensor, " b"]
    beard_length: Float[Tensor, " b"]
    iris: Float[Tensor, "b 3"]
    sclera: Float[Tensor, " b"]
    pupil: Float[Tensor, " b"]
    glasses: Bool[Tensor, " b"]
    frame: Float[Tensor, "b 8"]
    frame_colour: Float[Tensor, "b 3"]
    cloth: Float[Tensor, "b 2 3"]
    pattern: Int[Tensor, " b"]
    neckline: Float[Tensor, "b 2"]

    def __getitem__(self, index: slice | Tensor) -> PersonAppearance:
        """Return the appearance of some of the people."""
        return PersonAppearance(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def draw_appearance(
    config: SynthConfig, rng: CounterRng, person: PersonTraits, hair_weights: Float[Tensor, "b h"]
) -> PersonAppearance:
    """Sample appearance that fits sex, age and tone as loosely as in life.

    ``hair_weights``: how likely each hair style is for each person (zero for what the split holds out).
    """
    male = ~person.feminine
    hair = draw_style(rng, hair_weights)
    return PersonAppearance(
        hair=hair * config.hair,
        hair_mirrored=rng.chance("mirrored", 0.5) & (hair > BUZZED),
        hair_colour=hair_colour(rng, person),
        hair_length=rng.uniform("hair length", low=0.85, high=1.15),
        hair_light=rng.uniform("hair light", low=0.15, high=0.7),
        hair_cut=draw_cut(rng),
        brow_style=rng.choice("brow style", (1.0,) * 6),
        brow_strength=torch.where(male, 0.85, 0.75) + 0.15 * rng.normal("brow"),
        beard=rng.choice("beard", BEARD_WEIGHTS) * male * config.hair,
        beard_density=rng.uniform("beard density", low=0.55, high=1.0),
        beard_length=rng.uniform("beard length", low=0.002, high=0.016),
        iris=draw_iris(rng, person),
        sclera=(0.2 * rng.normal("sclera") + 0.25 + 0.35 * person.old).clamp(0, 1),
        pupil=rng.uniform("pupil", low=0.26, high=0.5),
        glasses=rng.chance("glasses", 0.16 + 0.2 * person.old) & config.glasses,
        frame=rng.uniform("frame", 8),
        frame_colour=draw_frame_colour(rng),
        cloth=draw_cloth(rng),
        pattern=rng.choice("pattern", (0.5, 0.2, 0.14, 0.16)),
        neckline=rng.uniform("neckline", 2),
    )


def draw_style(rng: CounterRng, weights: Float[Tensor, "b h"]) -> Int[Tensor, " b"]:
    """Sample hair styles with weights that differ from person to person."""
    edges = weights.cumsum(1) / weights.sum(1, keepdim=True)
    return (rng.uniform("hair")[:, None] >= edges).sum(1).clamp(max=weights.shape[1] - 1)


def draw_cloth(rng: CounterRng) -> Float[Tensor, "b 2 3"]:
    """Sample two colours of a cloth, mostly dark and muted."""
    hue = rng.uniform("cloth", 2, 3)
    return 0.02 + 0.75 * hue.mean(-1, keepdim=True) ** 2 * (0.35 + 0.65 * hue) / 0.9


def draw_cut(rng: CounterRng) -> Float[Tensor, "b 2"]:
    """Sample hair ends: fringes mostly above the eyes, long hair anywhere below the ears."""
    fringe = rng.uniform("fringe", low=0.038, high=0.072)
    fringe = torch.where(rng.chance("fringe kept", 0.15), -1.0, fringe)
    length = rng.uniform("cut", low=-0.33, high=-0.06)
    return torch.stack([fringe, torch.where(rng.chance("uncut", 0.35), -1.0, length)], -1)


def hair_colour(rng: CounterRng, person: PersonTraits) -> Float[Tensor, "b 3"]:
    """Sample hair colours: from black to blond and red by melanins, greying with age."""
    some = rng.uniform("hair shade")
    fair = torch.where(person.tone <= 1, some * 6.6, torch.where(person.tone == 2, some * 4.2, some**2 * 2.4))
    natural = interpolate_colours(HAIR, fair)
    red = rng.chance("red hair", 0.09) & (person.tone <= 1)
    natural = torch.where(red[:, None], interpolate_colours(RED_HAIR, 2 * some), natural)
    hue = torch.tensor([0.06, 0.0, -0.1], device=rng.device)  # warmer or cooler, never green
    natural = natural * torch.exp(
        0.1 * rng.normal("hair tone", 1) + hue * rng.normal("hair hue", 1, clip=2.0)
    )
    start = 34 + 10 * rng.normal("greying") + 9 * (person.tone >= 3)
    grey = ((person.age - start) / 32).clamp(0, 1) ** 1.4
    dyed = rng.chance("dyed", 0.45) & person.feminine
    grey = torch.where(dyed, 0.15 * grey, grey)[:, None]
    silver = torch.tensor([0.47, 0.46, 0.43], device=rng.device) * (0.7 + 0.3 * some[:, None])
    return natural * (1 - grey) + silver * grey


def interpolate_colours(
    colours: tuple[tuple[float, float, float], ...], at: Float[Tensor, " b"]
) -> Float[Tensor, "b 3"]:
    """Interpolate between neighbouring colours of a list."""
    table = torch.tensor(colours, device=at.device)
    i = at.long().clamp(0, len(table) - 2)
    return table[i] + (table[i + 1] - table[i]) * (at - i).clamp(0, 1)[:, None]


def draw_iris(rng: CounterRng, person: PersonTraits) -> Float[Tensor, "b 3"]:
    """Sample iris colours: brown for most; green, blue and grey among the light."""
    light = rng.choice("iris light", (0.1, 0.22, 0.16, 0.13, 0.27, 0.12))
    dark = rng.choice("iris dark", (0.62, 0.32, 0.06))
    kind = torch.where(person.tone <= 1, light, dark)
    colour = torch.tensor(IRIS_DARK, device=rng.device)[kind]
    return (colour * torch.exp(0.22 * rng.normal("iris", 3))).clamp(0.004, 0.4)


def draw_frame_colour(rng: CounterRng) -> Float[Tensor, "b 3"]:
    """Sample a frame colour: black, horn, metal or a tint."""
    table = torch.tensor(
        [[0.012, 0.012, 0.013], [0.09, 0.04, 0.015], [0.35, 0.3, 0.2], [0.3, 0.3, 0.31]], device=rng.device
    )
    colour = table[rng.choice("frame kind", (0.45, 0.2, 0.15, 0.2))]
    tint = rng.uniform("frame tint", 3) * 0.25
    return torch.where(rng.chance("coloured frame", 0.2)[:, None], tint, colour)
