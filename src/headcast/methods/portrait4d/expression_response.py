"""Measure how a rendered face responds to expressions, on held-out synthetic people.

Two frames of a person differ in expression alone and are rendered by Ψ from one camera. Around mouth and
eyes, the difference of the two renderings is compared with that of the two true images: ``slope`` is the
regression of the rendered on the true difference (1 is right, 0: the face does not move), ``correlation`` is
independent of its size, ``residual`` is the squared error relative to the true difference squared (1: as if
nothing moved). Expressions are given as weights, or as images of the driver's face to the motion encoder.
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

__all__ = [
    "POSES",
    "ExpressionResponse",
    "measure_response",
    "response_figures",
    "response_sums",
    "response_tiles",
]

POSES: dict[str, tuple[str, ...]] = {
    "neutral": (),
    "jaw open": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "pucker": ("mouthPucker",),
}
"""Expressions on the sheet by name: blendshapes with weight 0.9."""
EXPRESSION_INPUTS = ("weights", "the driver's face")
"""Names of the two inputs that expressions are given by; rows of the table."""
LabelledImages = list[tuple[str, UInt8[np.ndarray, "h w 3"]]]


class SelectedViews(NamedTuple):
    """Source images, and two frames from another camera, composited over the source's background."""

    source: NeckShots
    first: NeckShots
    second: NeckShots


def select_views(people: People, index: Tensor, side: int) -> SelectedViews:
    """Select the source images (first frame, first camera) and both frames from the second camera."""
    zero = torch.zeros_like(index)
    cpu = torch.device("cpu")
    source = people.shots(index, zero, zero, cpu, side)
    first, second = (people.shots(index, zero + moment, zero + 1, cpu, side) for moment in (0, 1))
    return SelectedViews(
        source, first.composite_over(source.background), second.composite_over(source.background)
    )


def embed_expressions(networks: Portrait4DNetworks, shots: NeckShots) -> dict[str, Float[Tensor, "b m"]]:
    """Compute motion embeddings from the expression weights and from the faces, by ``EXPRESSION_INPUTS``."""
    assert networks.expression_to_motion is not None
    faces = align_faces(shots.image, shots.marks, networks.face_side)
    return dict(
        zip(
            EXPRESSION_INPUTS,
            (networks.expression_to_motion(expression_code(shots.params)), networks.motion(faces)),
            strict=True,
        )
    )


@dataclass(frozen=True)
class ExpressionResponse:
    """Networks and people to measure, the interface that the protocol ``motion`` calls."""

    networks: Portrait4DNetworks
    people: People

    @classmethod
    def load(cls, folder: str, weights: str = "") -> ExpressionResponse:
        """Read people (files of tools/build_portrait4d_people.py) and weights; empty: the installed ones.

        Raises:
            HeadcastError: invalid files, or weights without a map from expression weights.
        """
        networks, people = read_networks(weights or str(weights_file())), read_people(folder)
        if networks.expression_to_motion is None:
            raise HeadcastError(
                "portrait4d: these weights have no map from expression weights; nothing to measure"
            )
        return cls(networks, people)

    @property
    def expression_inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs that expressions are given by."""
        return EXPRESSION_INPUTS

    @property
    def hash(self) -> str:
        """Return the hash of the weights files."""
        return self.networks.hash

    def __len__(self) -> int:
        return len(self.people.head)

    def sums(self, person: int) -> dict[str, Float[np.ndarray, "4"]]:
        """Return ``response_sums`` of one person by expression input."""
        sums = response_sums(self.networks, self.people, torch.tensor([person]))
        return {expression_input: total.numpy() for expression_input, total in sums.items()}

    def tiles(self, indices: Sequence[int]) -> list[LabelledImages]:
        """Return ``response_tiles`` of some people, a row each."""
        return response_tiles(self.networks, self.people, indices)


@torch.no_grad()
def response_sums(
    networks: Portrait4DNetworks, people: People, index: Tensor
) -> dict[str, Float[Tensor, "4"]]:
    """Sum products of true and rendered changes over pixels around mouth and eyes of some people, float64.

    Returns:
        By expression input: rendered times true change, true squared, rendered squared, error squared.
    """
    psi, c = networks.psi, networks.psi.config
    source, first, second = select_views(people, index, c.side)
    weight = torch.maximum(*(moving_region_weights(x.marks, c.side, 1.0) for x in (first, second))) - 1
    appearance = psi.appearance(source.image, embed_expressions(networks, source)["the driver's face"])
    rays, neck_field, true_change = first.rays(c, c.side // 4), first.neck(c), second.image - first.image
    embeddings = [embed_expressions(networks, x) for x in (first, second)]
    sums: dict[str, Tensor] = {}
    for expression_input in embeddings[0]:
        before, after = (
            psi.render(psi.head(appearance, e[expression_input]), rays, neck_field).image for e in embeddings
        )
        rendered_change = after - before
        products = (
            rendered_change * true_change,
            true_change * true_change,
            rendered_change * rendered_change,
            (rendered_change - true_change) ** 2,
        )
        sums[expression_input] = torch.stack([(x * weight).double().sum() for x in products])
    return sums


def response_figures(sums: Float[np.ndarray, "4"]) -> dict[str, float]:
    """Compute slope, correlation and residual from ``response_sums``, of one person or added up."""
    cross_term, true_energy, rendered_energy, error_energy = (float(x) for x in sums)
    return {
        "slope": cross_term / true_energy,
        "correlation": cross_term / float(np.sqrt(true_energy * rendered_energy + 1e-12)),
        "residual": error_energy / true_energy,
    }


def measure_response(
    networks: Portrait4DNetworks, people: People, max_people: int
) -> dict[str, dict[str, float]]:
    """Compute ``response_figures`` by expression input from the sums over the first ``max_people`` people."""
    sums: dict[str, Tensor] = {}
    for index in torch.arange(min(max_people, len(people.head))).split(4):
        for expression_input, person_sums in response_sums(networks, people, index).items():
            sums[expression_input] = sums.get(expression_input, 0) + person_sums
    return {expression_input: response_figures(s.numpy()) for expression_input, s in sums.items()}


@torch.no_grad()
def response_tiles(
    networks: Portrait4DNetworks, people: People, indices: Sequence[int]
) -> list[LabelledImages]:
    """Render a row of labelled images for each person.

    Columns: source; first frame, true and rendered; second frame, true and rendered from weights and from the
    face; ``POSES``.
    """
    psi, c = networks.psi, networks.psi.config
    assert networks.expression_to_motion is not None
    source, first, second = select_views(people, torch.tensor(list(indices)), c.side)
    appearance = psi.appearance(source.image, embed_expressions(networks, source)["the driver's face"])
    rays, neck = first.rays(c, c.side // 4), first.neck(c)

    def rendered(motion: Tensor) -> Tensor:
        return psi.render(psi.head(appearance, motion), rays, neck).image

    columns = {"source": source.image, "first, true": first.image}
    columns["first, by weights"] = rendered(embed_expressions(networks, first)["weights"])
    columns["second, true"] = second.image
    columns |= {
        f"second, by {expression_input}": rendered(x)
        for expression_input, x in embed_expressions(networks, second).items()
    }
    for name, weights in POSES.items():
        code = torch.zeros(len(source.image), EXPRESSION_DIM)
        code[:, [EXPRESSION_INDEX[n] for n in weights]] = 0.9
        columns[name] = rendered(networks.expression_to_motion(code))
    images = {
        k: ((x + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy() for k, x in columns.items()
    }
    return [[(k, x[n]) for k, x in images.items()] for n in range(len(source.image))]
