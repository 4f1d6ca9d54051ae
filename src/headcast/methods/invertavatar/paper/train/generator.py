"""The animatable 3D GAN (A.1): adversarial training with a deformation-aware dual discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.limits import RATE
from headcast.methods.invertavatar.paper.conditions import resize
from headcast.methods.invertavatar.paper.data import view_frames
from headcast.methods.invertavatar.paper.generator import FieldRendering, HeadGenerator, rays_of_labels
from headcast.methods.invertavatar.paper.inversion import PosedFrames
from headcast.methods.invertavatar.paper.losses import blur_images, density_smoothness
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

__all__ = ["GeneratorRecipe"]

R1, R1_EVERY = 1.0, 16
"""Weight of the R1 penalty, and steps from one to the next (EG3D, FFHQ)."""
DENSITY, DENSITY_EVERY = 0.25, 4
"""Weight of the density regulariser, and steps from one to the next (EG3D)."""
BLUR_SIGMA, BLUR_IMAGES = 10 / 512, 200_000
"""Blur of all images at first, a fraction of their side, and images over which it goes (EG3D)."""
SWAPPED = 0.5
"""Fraction of fakes whose latents are conditioned on another image's camera (EG3D)."""
GROWTH_IMAGES = 1_000_000
"""Images over which the volume rendering grows from half its side to the whole (EG3D)."""


class GeneratedPeople(NamedTuple):
    """A batch of fakes: what is rendered, the planes it is rendered from, and the latents."""

    output: FieldRendering
    planes: Float[Tensor, "b 3 c s s"]
    ws: Float[Tensor, "b n d"]


@dataclass(frozen=True)
class GeneratorRecipe(PaperStage):
    """The animatable 3D GAN: images of heads from codes, posed meshes and cameras (A.1)."""

    name: ClassVar[str] = "invertavatar-generator"
    what: ClassVar[str] = "the animatable 3D GAN"

    rate: Annotated[float, RATE] = 2.5e-3
    """Learning rate of the generator."""
    discriminator_rate: Annotated[float, RATE] = 2e-3
    """Learning rate of the discriminator."""
    grow_from: int = 3_000_000
    """Images after which the volume rendering, of half its side, begins to grow."""

    def networks(self, seed: int) -> Networks:
        """Build the generator, within the whole of InvertAvatar's networks, and the discriminator."""
        torch.manual_seed(seed)
        network = self.begin(recurrent=False, needs=())
        network.fix(network.encoder, network.unet_encoder)
        return {INVERSION: network, DISCRIMINATOR: self.make_discriminator(1, self.config.label)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create one optimizer for each side of the game."""
        return {
            "generator": trained_adam(inversion_of(networks).generator, self.rate),
            DISCRIMINATOR: trained_adam(networks[DISCRIMINATOR], self.discriminator_rate),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """Make real images; their cameras and poses are also those of the generated ones."""
        return view_frames(self.people, 1, self.config, index, seed, device)

    def raw_side(self, trained: int) -> int:
        """Return the side of the volume rendering after ``trained`` images, a multiple of eight."""
        full = self.config.raw_side
        fraction = min(1.0, max(0.0, (trained - self.grow_from) / GROWTH_IMAGES))
        return round(full * (1 + fraction) / 16) * 8

    def generate(self, generator: HeadGenerator, frames: PosedFrames, side: int) -> GeneratedPeople:
        """Generate people in the poses and from the cameras of a batch."""
        label, condition = frames.label[:, 0], frames.condition[:, 0]
        z = torch.randn(len(label), self.config.code, device=label.device)
        swapped = torch.rand(len(label), 1, device=label.device) < SWAPPED
        ws = generator.map(z, torch.where(swapped, label.roll(1, 0), label))
        planes = generator.planes(generator.canonical(ws, "random"), condition, "random")
        rays = rays_of_labels(label, side, self.config)
        return GeneratedPeople(generator.render(planes, rays, ws, jitter=True), planes, ws)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the non-saturating loss with density regulariser, or the discriminator's with R1."""
        generator, discriminator = inversion_of(networks).generator, networks[DISCRIMINATOR]
        assert isinstance(discriminator, DualDiscriminator)
        trained = step * self.people
        side = self.raw_side(trained)
        sigma = BLUR_SIGMA * self.config.image_side * max(0.0, 1 - trained / BLUR_IMAGES)
        hint, label = batch.landmarks[:, 0], batch.label[:, 0]

        def score(image: Tensor, raw: Tensor) -> Tensor:
            return discriminator(*blur_images([image, raw], sigma), hint, label)

        with torch.set_grad_enabled(optimizer != DISCRIMINATOR):
            output, planes, ws = self.generate(generator, batch, side)
        if optimizer != DISCRIMINATOR:
            generator.backbone.mapping.update_average(ws[:, 0])
            out = {"adversarial": generator_loss(score(output.image, output.image_raw))}
            if step % DENSITY_EVERY == 0:
                out["density"] = DENSITY * DENSITY_EVERY * density_smoothness(generator, planes)
            return out
        real, raw = batch.image[:, 0], resize(batch.image[:, 0], side)
        out = {
            "adversarial": discriminator_loss(score(real, raw), score(output.image, output.image_raw)),
        }
        if step % R1_EVERY == 0:
            out["r1"] = r1_penalty(score, real, raw) * R1 * R1_EVERY / 2
        return out

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"]:
        """Tile real images, landmark maps, generated images in their poses and their volume renderings."""
        output = self.generate(inversion_of(networks).generator, batch, self.config.raw_side).output
        lines = batch.landmarks[:, 0].expand(-1, 3, -1, -1) * 2 - 1
        return tile_columns([batch.image[:, 0], lines, output.image, output.image_raw])

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the generator's tensors."""
        return {k: v for k, v in super().shipped(networks).items() if k.startswith("generator.")}
