"""E_latent (A.2.1, Eq. 2): images are inverted into W+ of a frozen generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from headcast.methods.invertavatar.paper.data import view_frames
from headcast.methods.invertavatar.paper.inversion import PosedFrames
from headcast.methods.invertavatar.paper.losses import (
    STAGE_1,
    LatentDiscriminator,
    face_identity_loss,
    image_terms,
)
from headcast.methods.invertavatar.paper.train.base import (
    DISCRIMINATOR,
    INVERSION,
    PaperStage,
    inversion_of,
    trained_adam,
)
from headcast.training.adversarial import discriminator_loss, generator_loss, r1_penalty
from headcast.training.recipe import Networks
from headcast.training.tiles import tile_columns

__all__ = ["LatentRecipe"]

R1, R1_EVERY = 10.0, 16
"""Weight of D_W's R1 penalty, and steps from one to the next (e4e)."""
MOMENTUM = 0.9
"""Beta 1 of E_latent's Adam."""


@dataclass(frozen=True)
class LatentRecipe(PaperStage):
    """E_latent: from an image to latents that give it back, and that D_W takes for the mapping's (Eq. 2)."""

    name: ClassVar[str] = "invertavatar-latent"
    what: ClassVar[str] = "generator and E_latent"

    def networks(self, seed: int) -> Networks:
        """Build E_latent on a frozen generator, and D_W.

        Raises:
            HeadcastError: ``weights`` is not a file of invertavatar.generator of this size.
        """
        torch.manual_seed(seed)
        network = self.begin(recurrent=False, needs=("generator.",))
        network.get_buffer("latent_avg").copy_(network.generator.backbone.mapping.get_buffer("w_avg"))
        network.fix(network.generator, network.unet_encoder)
        return {INVERSION: network, DISCRIMINATOR: LatentDiscriminator(self.config.style)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create one optimizer for the encoder, one for D_W, of the same rate."""
        return {
            "encoder": trained_adam(inversion_of(networks).encoder, self.rate, MOMENTUM),
            DISCRIMINATOR: trained_adam(networks[DISCRIMINATOR], self.rate),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """Make images of people, one each."""
        return view_frames(self.people, 1, self.config, index, seed, device)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the terms of Eq. 2."""
        from headcast.priors.encoder.infer import load_encoder

        network, discriminator = inversion_of(networks), networks[DISCRIMINATOR]
        image, label = batch.image[:, 0], batch.label[:, 0]
        if optimizer == DISCRIMINATOR:
            with torch.no_grad():
                z = torch.randn(len(image), self.config.code, device=image.device)
                real = network.generator.map(z, label)[:, 0]
                fake = network.latents(image).flatten(0, 1)
            out = {"adversarial": discriminator_loss(discriminator(real), discriminator(fake))}
            if step % R1_EVERY == 0:
                penalty = r1_penalty(lambda w: discriminator(w.flatten(1)), real[..., None, None])
                out["r1"] = penalty * R1 * R1_EVERY / 2
            return out
        ws = network.latents(image)
        found = network.render(network.generator.canonical(ws), batch.condition[:, 0], label)
        encoder = load_encoder("losses", image.device)
        terms = image_terms(found, image, encoder)
        terms["identity"] = face_identity_loss(found, image, batch.box[:, 0], encoder)
        out = {k: STAGE_1[k] * v for k, v in terms.items()}
        out["adversarial"] = generator_loss(discriminator(ws.flatten(0, 1)))
        return out

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"]:
        """Tile images and their inversions."""
        network = inversion_of(networks)
        image = batch.image[:, 0]
        found = network.render(network.coarse(image), batch.condition[:, 0], batch.label[:, 0])
        return tile_columns([image, found])

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the tensors of generator and E_latent."""
        return {k: v for k, v in super().shipped(networks).items() if not k.startswith("unet_encoder.")}
