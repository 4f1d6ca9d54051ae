"""Do expressions move the face? Ψ on held-out synthetic people whose expression alone changes.

A person is rendered with the expressions of two moments from one camera. Around mouth and eyes, what changes
between the two renderings is compared with what changes between the two true images: ``slope`` is how much of
the true change the rendered one makes (1 is right, 0: a face that does not move), ``correlation`` how similar
they are whatever their size, ``left`` the part of the true change (squared) that is still wrong (1: as if
nothing moved). Expressions are given as weights, and as the drivers' faces through the motion encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX
from headcast.methods.portrait4d.data import NeckShots
from headcast.methods.portrait4d.losses import moving_region_weights
from headcast.methods.portrait4d.motion_embedding import EXPRESSION_DIM, align_faces, expression_code
from headcast.methods.portrait4d.people import People, read_people
from headcast.methods.portrait4d.weights import Portrait4DNetworks, read_networks, weights_file

__all__ = ["POSES", "MotionChange", "change_figures", "change_sums", "changes", "motion_tiles"]

POSES: dict[str, tuple[str, ...]] = {
    "neutral": (),
    "jaw open": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "pucker": ("mouthPucker",),
}
"""Expressions of the sheet, each weight .9."""
WAYS = ("weights", "the driver's face")
"""How an expression is given."""
Tiles = list[tuple[str, UInt8[np.ndarray, "h w 3"]]]


class SelectedViews(NamedTuple):
    """Source images, and two moments seen from another camera over the source's background."""

    source: NeckShots
    still: NeckShots
    moved: NeckShots


def select_views(people: People, who: Tensor, side: int) -> SelectedViews:
    """Select source images, and both moments seen from another camera over the source's background."""
    zero = torch.zeros_like(who)
    cpu = torch.device("cpu")
    source = people.shots(who, zero, zero, cpu, side)
    still, moved = (people.shots(who, zero + m, zero + 1, cpu, side) for m in (0, 1))
    return SelectedViews(source, still.before(source.background), moved.before(source.background))


def embed_both_ways(networks: Portrait4DNetworks, shots: NeckShots) -> dict[str, Float[Tensor, "b m"]]:
    """Compute motion embeddings from expression weights and by the encoder."""
    assert networks.expression_to_motion is not None
    faces = align_faces(shots.image, shots.marks, networks.face_side)
    return dict(
        zip(
            WAYS,
            (networks.expression_to_motion(expression_code(shots.params)), networks.motion(faces)),
            strict=True,
        )
    )


@dataclass(frozen=True)
class MotionChange:
    """Networks and people of a measurement, as the evaluator asks for them.

    Attributes:
        hash: of the weights files.
    """

    networks: Portrait4DNetworks
    people: People

    @classmethod
    def load(cls, folder: str, weights: str = "") -> MotionChange:
        """Read people of tools/build_portrait4d_people.py and weights; empty: those installed.

        Raises:
            HeadcastError: not such files; weights without a map from expression weights.
        """
        networks, people = read_networks(weights or str(weights_file())), read_people(folder)
        if networks.expression_to_motion is None:
            raise HeadcastError(
                "portrait4d: these weights have no map from expression weights; nothing to measure"
            )
        return cls(networks, people)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which an expression may be given."""
        return WAYS

    @property
    def hash(self) -> str:
        """The hash of the weights files."""
        return self.networks.hash

    def __len__(self) -> int:
        return len(self.people.head)

    def sums(self, person: int) -> dict[str, Float[np.ndarray, "4"]]:
        """Return ``change_sums`` of one person, by way."""
        sums = change_sums(self.networks, self.people, torch.tensor([person]))
        return {how: s.numpy() for how, s in sums.items()}

    def tiles(self, which: Sequence[int]) -> list[Tiles]:
        """Return ``tiles`` of some people: one line each."""
        return motion_tiles(self.networks, self.people, which)


@torch.no_grad()
def change_sums(networks: Portrait4DNetworks, people: People, who: Tensor) -> dict[str, Float[Tensor, "4"]]:
    """Sum, around mouth and eyes of some people, what ``figures_of`` needs; float64.

    Returns:
        By how the expression is given: rendered times true change, true squared, rendered squared, difference
        squared.
    """
    psi, c = networks.psi, networks.psi.config
    source, still, moved = select_views(people, who, c.side)
    weight = torch.maximum(*(moving_region_weights(x.marks, c.side, 1.0) for x in (still, moved))) - 1
    appearance = psi.appearance(source.image, embed_both_ways(networks, source)["the driver's face"])
    rays, neck, true = still.rays(c, c.side // 4), still.neck(c), moved.image - still.image
    ends = [embed_both_ways(networks, x) for x in (still, moved)]
    sums: dict[str, Tensor] = {}
    for how in ends[0]:
        before, after = (psi.render(psi.head(appearance, e[how]), rays, neck).image for e in ends)
        change = after - before
        parts = (change * true, true * true, change * change, (change - true) ** 2)
        sums[how] = torch.stack([(x * weight).double().sum() for x in parts])
    return sums


def change_figures(sums: Float[np.ndarray, "4"]) -> dict[str, float]:
    """Compute slope, correlation and what is left of a change from (summed) ``change_sums``."""
    both, true, rendered, wrong = (float(x) for x in sums)
    return {
        "slope": both / true,
        "correlation": both / float(np.sqrt(true * rendered + 1e-12)),
        "left": wrong / true,
    }


def changes(networks: Portrait4DNetworks, people: People, most: int) -> dict[str, dict[str, float]]:
    """Measure slope, correlation and what is left of the images' change, over people together."""
    sums: dict[str, Tensor] = {}
    for who in torch.arange(min(most, len(people.head))).split(4):
        for how, more in change_sums(networks, people, who).items():
            sums[how] = sums.get(how, 0) + more
    return {how: change_figures(s.numpy()) for how, s in sums.items()}


@torch.no_grad()
def motion_tiles(networks: Portrait4DNetworks, people: People, which: Sequence[int]) -> list[Tiles]:
    """Render a line of labelled images for each person.

    Source; first moment true and rendered; second one true, rendered by weights and by its face; ``POSES``.
    """
    psi, c = networks.psi, networks.psi.config
    assert networks.expression_to_motion is not None
    source, still, moved = select_views(people, torch.tensor(list(which)), c.side)
    appearance = psi.appearance(source.image, embed_both_ways(networks, source)["the driver's face"])
    rays, neck = still.rays(c, c.side // 4), still.neck(c)

    def rendered(motion: Tensor) -> Tensor:
        return psi.render(psi.head(appearance, motion), rays, neck).image

    columns = {"source": source.image, "first, true": still.image}
    columns["first, by weights"] = rendered(embed_both_ways(networks, still)["weights"])
    columns["second, true"] = moved.image
    columns |= {f"second, by {how}": rendered(x) for how, x in embed_both_ways(networks, moved).items()}
    for name, weights in POSES.items():
        code = torch.zeros(len(source.image), EXPRESSION_DIM)
        code[:, [EXPRESSION_INDEX[n] for n in weights]] = 0.9
        columns[name] = rendered(networks.expression_to_motion(code))
    images = {
        k: ((x + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy() for k, x in columns.items()
    }
    return [[(k, x[n]) for k, x in images.items()] for n in range(len(source.image))]
