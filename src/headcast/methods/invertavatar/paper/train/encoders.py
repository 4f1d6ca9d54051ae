"""E_tex and E_tri from one image (A.2.2, Eq. 3), on people of the generator and on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.optim import Optimizer

from headcast.limits import RATE
from headcast.methods.invertavatar.paper.data import view_frames
from headcast.methods.invertavatar.paper.generator import CanonicalFeatures, FieldRendering, HeadGenerator
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames
from headcast.methods.invertavatar.paper.losses import STAGE_2, canonical_terms, image_terms
from headcast.methods.invertavatar.paper.train.base import (
    DISCRIMINATOR,
    INVERSION,
    PaperStage,
    inversion_of,
    trained_adam,
)
from headcast.nets.discriminator import DualDiscriminator
from headcast.training.adversarial import discriminator_loss, generator_loss, r1_penalty
from headcast.training.recipe import Networks
from headcast.training.tiles import tile_columns

__all__ = ["EncodersRecipe"]

R1, R1_EVERY = 1.0, 16
"""Weight of the R1 penalty, and steps from one to the next (EG3D)."""
MOMENTUM = 0.9
"""Beta 1 of the encoders' Adam."""


class Comparison(NamedTuple):
    """Heads of the generator and what the encoders make of their images.

    Attributes:
        truth, made: the heads. wanted, rendered: their renderings from the judged frames, frame by frame.
    """

    truth: CanonicalFeatures
    made: CanonicalFeatures
    wanted: FieldRendering
    rendered: FieldRendering


@dataclass(frozen=True)
class EncodersRecipe(PaperStage):
    """E_tex and E_tri, one-shot: offsets and modulations that restore what E_latent loses (Eq. 3)."""

    name: ClassVar[str] = "invertavatar-encoders"
    what: ClassVar[str] = "generator, E_latent and the one-shot E_tex and E_tri"

    discriminator_rate: Annotated[float, RATE] = 1e-3
    """Learning rate of the discriminator."""
    adversarial_from: int = 1_500_000
    """Images trained on after which the adversarial term begins (the paper: after four of five days)."""

    def networks(self, seed: int) -> Networks:
        """Build both encoders on a frozen generator and E_latent, and the discriminator.

        Raises:
            HeadcastError: ``weights`` is not a file of invertavatar.latent of this size.
        """
        torch.manual_seed(seed)
        network = self.begin(recurrent=False, needs=("generator.", "encoder.", "latent_avg"))
        network.fix(network.generator, network.encoder)
        return {INVERSION: network, DISCRIMINATOR: self.make_discriminator()}

    def optimizers(self, networks: Networks) -> dict[str, Optimizer]:
        """Create one optimizer for both encoders, one for the discriminator."""
        return {
            "encoders": trained_adam(inversion_of(networks).unet_encoder, self.rate, MOMENTUM),
            DISCRIMINATOR: trained_adam(networks[DISCRIMINATOR], self.discriminator_rate),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """Make two views of each of some people."""
        return view_frames(self.people, 2, self.config, index, seed, device)

    def choose(self, frames: PosedFrames, generated: bool) -> tuple[PosedFrames, PosedFrames]:
        """Return the frames that are given and those that are judged.

        A person of the generator is judged from another side; an image, as FFHQ has one a person, by itself.
        """
        return frames[:1], frames[1:] if generated else frames[:1]

    def invert(self, network: Inversion, frames: PosedFrames) -> CanonicalFeatures:
        """Reconstruct heads from frames."""
        with torch.no_grad():
            coarse = network.coarse(frames.image[:, 0])
        return network.refine(coarse, frames)[0]

    def compare(self, network: Inversion, frames: PosedFrames) -> Comparison:
        """Generate people, render them as the frames pose them, and reconstruct them from that."""
        generator, label = network.generator, frames.label[:, 0]
        given, judged = self.choose(frames, generated=True)
        with torch.no_grad():
            z = torch.randn(len(label), self.config.code, device=label.device)
            truth = generator.canonical(generator.map(z, label))
            seen = render_judged(generator, truth, given).image
            wanted = render_judged(generator, truth, judged)
        image = seen.unflatten(0, (-1, len(label))).transpose(0, 1)
        made = self.invert(network, given.showing(image))
        return Comparison(truth, made, wanted, render_judged(generator, made, judged))

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the terms of Eq. 3, image terms as means over generated and given people."""
        from headcast.priors.encoder.infer import load_encoder

        network, discriminator = inversion_of(networks), networks[DISCRIMINATOR]
        assert isinstance(discriminator, DualDiscriminator)
        adversarial = step * self.people >= self.adversarial_from
        if optimizer == DISCRIMINATOR:
            return self.discriminator_terms(network, discriminator, batch, step) if adversarial else {}
        found = self.compare(network, batch)
        encoder = load_encoder("losses", batch.image.device)
        of_generated = image_terms(found.rendered.image, found.wanted.image, encoder)
        given, judged = self.choose(batch, generated=False)
        output = render_judged(network.generator, self.invert(network, given), judged)
        of_given = image_terms(output.image, in_order(judged.image), encoder)
        terms = {k: (of_generated[k] + of_given[k]) / 2 for k in of_given}
        terms |= canonical_terms(found.made, found.truth, found.rendered, found.wanted)
        if adversarial:
            logits = discriminator(found.rendered.image, found.rendered.image_raw)
            terms["adversarial"] = generator_loss(logits)
        return {k: STAGE_2[k] * v for k, v in terms.items()}

    def discriminator_terms(
        self, network: Inversion, discriminator: DualDiscriminator, frames: PosedFrames, step: int
    ) -> dict[str, Tensor]:
        """Compute the loss of separating the generator's renderings from those of reconstructed heads."""
        with torch.no_grad():
            found = self.compare(network, frames)
        real = found.wanted.image, found.wanted.image_raw
        fake = discriminator(found.rendered.image, found.rendered.image_raw)
        out = {"adversarial": discriminator_loss(discriminator(*real), fake)}
        if step % R1_EVERY == 0:
            out["r1"] = r1_penalty(discriminator, *real) * R1 * R1_EVERY / 2
        return out

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"]:
        """Tile the first frame, the coarse head, the finer one and the truth as the last frame shows them."""
        network = inversion_of(networks)
        given, last = self.choose(batch, generated=False)[0], batch[-1:]
        coarse = network.coarse(given.image[:, 0])
        shown = [
            render_judged(network.generator, h, last).image for h in (coarse, self.invert(network, given))
        ]
        return tile_columns([given.image[:, 0], *shown, last.image[:, 0]])


def render_judged(generator: HeadGenerator, head: CanonicalFeatures, frames: PosedFrames) -> FieldRendering:
    """Render b heads as t frames pose and see them: (t b) images, the heads running fastest."""
    found = [
        generator(head, frames.condition[:, t], frames.label[:, t], jitter=torch.is_grad_enabled())
        for t in range(frames.label.shape[1])
    ]
    return FieldRendering(*(torch.cat([getattr(x, k) for x in found]) for k in ("image", "feature", "depth")))


def in_order(images: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "_ 3 h w"]:
    """Arrange frames as ``render_judged`` does."""
    return images.transpose(0, 1).flatten(0, 1)
