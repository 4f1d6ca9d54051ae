"""E_tex_rec and E_tri_rec (A.2.3): recurrent decoders learn to aggregate the frames of clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from headcast.limits import POSITIVE
from headcast.methods.invertavatar.paper.data import clip_frames
from headcast.methods.invertavatar.paper.generator import CanonicalFeatures
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames
from headcast.methods.invertavatar.paper.train.base import DISCRIMINATOR, INVERSION
from headcast.methods.invertavatar.paper.train.encoders import EncodersRecipe
from headcast.training.recipe import Networks

__all__ = ["RecurrentRecipe"]

FIXED = ("input_layer", "body")
"""Parts of a U-Net that keep the weights of the stage before."""


@dataclass(frozen=True)
class RecurrentRecipe(EncodersRecipe):
    """E_tex_rec and E_tri_rec: sequences of frames, whose states are carried from four to the next four."""

    name: ClassVar[str] = "invertavatar-recurrent"
    what: ClassVar[str] = "the whole, for any number of frames"

    people: Annotated[int, POSITIVE] = 8
    """Synthetic people in a batch of one process."""
    frames: Annotated[int, POSITIVE] = 32
    """Frames of a sequence at most; a step uses a random number of them."""
    at_once: Annotated[int, POSITIVE] = 4
    """Frames that are taken in by one call, and frames that are judged."""

    def networks(self, seed: int) -> Networks:
        """Build recurrent decoders on frozen encoding parts, and the discriminator.

        Raises:
            HeadcastError: ``weights`` is not a file of invertavatar.encoders of this size.
        """
        torch.manual_seed(seed)
        fixed = [f"unet_encoder.{n}_unet.{part}" for n in ("texture", "triplane") for part in FIXED]
        network = self.begin(recurrent=True, needs=("generator.", "encoder.", "latent_avg", *fixed))
        unets = network.unet_encoder
        network.fix(network.generator, network.encoder)
        for unet in (unets.texture_unet, unets.triplane_unet):
            network.fix(*(unet.get_submodule(part) for part in FIXED))
        return {INVERSION: network, DISCRIMINATOR: self.make_discriminator()}

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """Make clips; the generator's people move as they do."""
        return clip_frames(self.people, self.frames, self.config, index, seed, device)

    def choose(self, frames: PosedFrames, generated: bool) -> tuple[PosedFrames, PosedFrames]:
        """Return the first frames, as many groups as chance decides, and some of them to be judged."""
        whole = frames.label.shape[1]
        groups = int(torch.randint(1, max(1, whole // self.at_once) + 1, ()))
        given = frames[: groups * self.at_once]
        count = given.label.shape[1]
        return given, given[torch.randperm(count)[: self.at_once].tolist()]

    def invert(self, network: Inversion, frames: PosedFrames) -> CanonicalFeatures:
        """Reconstruct heads from frames, group by group; gradients go through the last group alone."""
        with torch.no_grad():
            head = coarse = network.coarse(frames.image[:, 0])
        state, count = None, frames.label.shape[1]
        for first in range(0, count, self.at_once):
            last = first + self.at_once >= count
            with torch.set_grad_enabled(last and torch.is_grad_enabled()):
                head, state = network.refine(coarse, frames[first : first + self.at_once], state)
        return head
