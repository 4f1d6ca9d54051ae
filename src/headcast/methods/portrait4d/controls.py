"""What Ψ's weights owe to the photo and to their parts: controls on held-out synthetic people.

Each control leaves one thing out, or puts a simpler thing in its place. What it scores like, the weights do
not need that thing.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.data import NeckShots
from headcast.methods.portrait4d.expression_response import select_views
from headcast.methods.portrait4d.losses import moving_region_weights
from headcast.methods.portrait4d.motion_embedding import align_faces, expression_code
from headcast.methods.portrait4d.network import Appearance, Head, RenderOutput, Synthesizer
from headcast.methods.portrait4d.people import People, read_people
from headcast.methods.portrait4d.weights import Portrait4DNetworks, read_networks, weights_file
from headcast.metrics.image import psnr

__all__ = ["CONTROLS", "ControlSet", "PersonResult"]

OWN, NO_ATTENTION, NO_PLANES = "own photo", "own photo, attention off", "own photo, expression planes off"
OTHER, TONED, AVERAGE, FLAT = (
    "another person's photo",
    "average head toned",
    "average head",
    "one colour",
)
CONTROLS = (OWN, NO_ATTENTION, NO_PLANES, OTHER, TONED, AVERAGE, FLAT)
"""Toned: six numbers, a factor and an offset of each colour, fitted to the photo. One colour: the photo's
mean over the head, in the true outline."""


@dataclass(frozen=True)
class PersonResult:
    """One control on one person.

    Attributes:
        person, face: PSNR of another view than the photo's, dB.
        sums: rendered times true change by an expression, true squared, rendered squared, difference squared,
            around mouth and eyes (``expression_response``).
    """

    person: float
    face: float
    sums: Float[np.ndarray, "4"]


@dataclass(frozen=True)
class ControlSet:
    """Networks with an average head of their own, and people of ``tools/build_portrait4d_people.py``."""

    networks: Portrait4DNetworks
    people: People

    @classmethod
    def load(cls, folder: str, weights: str = "") -> ControlSet:
        """Read people and weights; empty: those installed.

        Raises:
            HeadcastError: not such files; weights without an average head or a map from expression weights.
        """
        networks, people = read_networks(weights or str(weights_file())), read_people(folder)
        if networks.expression_to_motion is None or not networks.psi.config.mean_planes:
            raise HeadcastError(
                "portrait4d: these weights have no average head; there are no controls for them"
            )
        return cls(networks, people)

    @cached_property
    def variants(self) -> dict[str, Synthesizer]:
        """Ψ as it is, without the motion attention, without the planes that expressions add."""
        silent, planeless = deepcopy(self.networks.psi), deepcopy(self.networks.psi)
        for name, parameter in silent.named_parameters():
            if ".attn2.proj." in name:
                parameter.zero_()
        planeless.moving = None
        return {OWN: self.networks.psi, NO_ATTENTION: silent, NO_PLANES: planeless}

    @torch.no_grad()
    def measure(self, person: int) -> dict[str, PersonResult]:
        """Measure every control on one person."""
        images = self.renderings(person)
        side = self.networks.psi.config.side
        _, still, moved = select_views(self.people, torch.tensor([person]), side)
        head = still.alpha[0, 0].numpy() > 0.5
        face = head & inside_box(still.box(still.K, still.cam_from_world)[0], head.shape)
        weight = torch.maximum(*(moving_region_weights(x.marks, side, 1.0) for x in (still, moved))) - 1
        true = moved.image - still.image
        results = {}
        for name, (before, after) in images.items():
            change = after - before
            parts = (change * true, true * true, change * change, (change - true) ** 2)
            sums = torch.stack([(x * weight).double().sum() for x in parts]).numpy()
            shown, truth = to_bytes(before), to_bytes(still.image[0])
            results[name] = PersonResult(psnr(shown, truth, head), psnr(shown, truth, face), sums)
        return results

    @torch.no_grad()
    def renderings(self, person: int) -> dict[str, Float[Tensor, "2 3 s s"]]:
        """Render every control, -1..1, with both expressions of a person, from another view."""
        psi = self.networks.psi
        c = psi.config
        source, still, moved = select_views(self.people, torch.tensor([person]), c.side)
        drivers = [self.embed(x) for x in (still, moved)]
        rays, neck = still.rays(c, c.side // 4), still.neck(c)

        def render(network: Synthesizer, heads: list[Head]) -> list[RenderOutput]:
            return [network.render(head, rays, neck) for head in heads]

        def images(rendered: list[RenderOutput]) -> Float[Tensor, "2 3 s s"]:
            return torch.cat([x.image for x in rendered])

        out = {}
        for name, network in self.variants.items():
            appearance = network.appearance(source.image, self.read(source))
            out[name] = images(render(network, [network.head(appearance, d) for d in drivers]))
        stranger = self.stranger(person, source)
        out[OTHER] = images(render(psi, [psi.head(stranger, d) for d in drivers]))
        average = render(psi, [self.average_head(source, d) for d in drivers])
        out[AVERAGE] = images(average)
        alpha = interpolate(torch.cat([x.alpha for x in average]), (c.side, c.side), mode="bilinear")
        factor, offset = self.fit_tone(source)
        out[TONED] = out[AVERAGE] + alpha * (factor * out[AVERAGE] + offset - out[AVERAGE])
        solid = source.alpha > 0.5
        mean = (source.image * solid).sum((2, 3), keepdim=True) / solid.sum()
        out[FLAT] = (still.image + still.alpha * (mean - still.image)).expand(2, -1, -1, -1)
        return out

    def stranger(self, person: int, source: NeckShots) -> Appearance:
        """Encode the next person's photo, before the background of this one's."""
        psi = self.networks.psi
        other = torch.tensor([(person + 1) % len(self.people.head)])
        photo = select_views(self.people, other, psi.config.side)[0]
        own = psi.appearance(source.image, self.read(source))
        return replace(psi.appearance(photo.image, self.read(photo)), background=own.background)

    def embed(self, shots: NeckShots) -> Float[Tensor, "b m"]:
        """Embed expressions from their weights."""
        assert self.networks.expression_to_motion is not None
        return self.networks.expression_to_motion(expression_code(shots.params))

    def read(self, shots: NeckShots) -> Float[Tensor, "b m"]:
        """Embed expressions by the motion encoder."""
        return self.networks.motion(align_faces(shots.image, shots.marks, self.networks.face_side))

    def average_head(self, source: NeckShots, driver: Float[Tensor, "b m"]) -> Head:
        """Build the average head with an expression, before the background of the person's photo."""
        psi = self.networks.psi
        planes = psi.mean
        motion = psi.normalize_motion(driver)
        if psi.moving is not None and motion is not None:
            planes = planes + psi.moving(motion)
        return Head(planes, psi.appearance(source.image, self.read(source)).background)

    def fit_tone(self, source: NeckShots) -> tuple[Float[Tensor, "1 3 1 1"], Float[Tensor, "1 3 1 1"]]:
        """Fit a factor and an offset of each colour that make the average head look like the photo."""
        c, psi = self.networks.psi.config, self.networks.psi
        made = psi.render(
            self.average_head(source, self.embed(source)), source.rays(c, c.side // 4), source.neck(c)
        )
        alpha = interpolate(made.alpha, (c.side, c.side), mode="bilinear")
        both = ((alpha > 0.5) & (source.alpha > 0.5))[0, 0]
        x, y = made.image[0][:, both], source.image[0][:, both]
        centred = x - x.mean(1, keepdim=True)
        factor = (centred * (y - y.mean(1, keepdim=True))).mean(1) / centred.square().mean(1).clamp(min=1e-6)
        offset = y.mean(1) - factor * x.mean(1)
        return factor.view(1, 3, 1, 1), offset.view(1, 3, 1, 1)


def inside_box(box: Float[Tensor, "4"], shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels inside of a box x0, y0, x1, y1."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    x0, y0, x1, y1 = box.tolist()
    return (x > x0) & (x < x1) & (y > y0) & (y < y1)


def to_bytes(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an image of -1..1 to bytes."""
    return ((image + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()
