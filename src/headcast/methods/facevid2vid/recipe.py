"""Training of face-vid2vid: self-reenactment on pairs of frames, all networks at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.limits import POSITIVE, RATE
from headcast.methods.facevid2vid.config import OFFICIAL, TINY, Decoder, NetworkSizes
from headcast.methods.facevid2vid.data import FramePairs, read_pairs, synthesize_pairs
from headcast.methods.facevid2vid.generator import Generated, Generator
from headcast.methods.facevid2vid.keypoints import KeypointDetector
from headcast.methods.facevid2vid.losses import (
    ImageDistance,
    deformation_prior,
    equivariance,
    feature_matching,
    head_pose,
    keypoint_prior,
    perceptual,
)
from headcast.methods.facevid2vid.pose import FaceMotion, PoseNetwork, place_keypoints
from headcast.methods.facevid2vid.warps import random_warp
from headcast.methods.facevid2vid.weights import build_networks, join_states, read_face_networks
from headcast.nets.patch_discriminator import PatchDiscriminator
from headcast.training.adversarial import hinge_discriminator_loss, hinge_generator_loss
from headcast.training.config import TrainConfig
from headcast.training.recipe import Networks
from headcast.weights import load_tensors

__all__ = ["WEIGHTS", "FaceVid2VidRecipe"]

WEIGHTS = {
    "perceptual": 10.0,
    "adversarial": 1.0,
    "features": 10.0,
    "equivariance": 20.0,
    "keypoints": 10.0,
    "pose": 20.0,
    "deformation": 5.0,
}
"""Weights of the terms: the paper's as we remember them, not checked against its text. It counts feature
matching as part of its L_G; that weight is pix2pixHD's."""
DISCRIMINATOR = "discriminator"
"""The discriminator's network and optimizer."""
BETAS = (0.5, 0.999)
"""Of Adam."""


class Reenacted(NamedTuple):
    """Drivers made from sources: the generated images, and the drivers' keypoints and motions."""

    generated: Generated
    keypoints: Float[Tensor, "b k 3"]
    motion: FaceMotion


@dataclass(frozen=True)
class FaceVid2VidRecipe:
    """All networks of face-vid2vid, by self-reenactment: the driver is another frame of the source's clip."""

    name: ClassVar[str] = "facevid2vid"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.999, warmup=50, clip=10.0)

    people: Annotated[int, POSITIVE] = 4
    """Clips in a batch, two frames of each."""
    rate: Annotated[float, RATE] = 2e-4
    """Learning rate of all networks."""
    size: Literal["official", "tiny"] = "official"
    """Which configuration of the networks; tiny only shows that training runs."""
    decoder: Decoder = "spade"
    """Which generator: spade as in the later published weights, or the paper's original."""
    clips: str = ""
    """Folder of real clips: frames in folders, as VFHQ, or videos; empty: synthetic heads."""
    start: str = ""
    """A weights file of the same size to go on from, imported or trained."""
    vgg: str = ""
    """Your file of torchvision's vgg16 for the perceptual term, as in the paper (which has vgg19); empty: the
    bundled encoder."""

    @property
    def config(self) -> NetworkSizes:
        """The configuration of the networks."""
        return replace({"official": OFFICIAL, "tiny": TINY}[self.size], decoder=self.decoder)

    def networks(self, seed: int) -> Networks:
        """Build the networks and the discriminator.

        Raises:
            HeadcastError: the weights to start from are of another size; the file of ``vgg`` is missing.
        """
        if self.vgg:
            check_readable(Path(self.vgg), "weights file")
        torch.manual_seed(seed)
        out = build_networks(self.config)
        if self.start:
            found = read_face_networks(Path(self.start))
            if found.config != self.config:
                raise HeadcastError(f"{self.start}: weights of another size; check --size and --decoder")
            for network, given in zip(out.values(), found[1:4], strict=True):
                network.load_state_dict(given.state_dict())
        small = self.size == "tiny"
        return out | {DISCRIMINATOR: PatchDiscriminator(2, 8, 16, 3) if small else PatchDiscriminator()}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create Adam for the networks together and for the discriminator."""
        main = [p for name, net in networks.items() if name != DISCRIMINATOR for p in net.parameters()]
        return {
            "main": torch.optim.Adam(main, self.rate, BETAS),
            DISCRIMINATOR: torch.optim.Adam(networks[DISCRIMINATOR].parameters(), self.rate, BETAS),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> FramePairs:
        """Make pairs of frames, synthetic or of real clips."""
        side = self.config.side
        if self.clips:
            return read_pairs(self.clips, self.people, side, index, seed, device)
        return synthesize_pairs(self.people, side, index, seed, device)

    def reenact(self, networks: Networks, batch: FramePairs) -> Reenacted:
        """Generate the drivers from the sources."""
        detector, pose, generator = (networks[k] for k in ("kp_detector", "he_estimator", "generator"))
        assert isinstance(detector, KeypointDetector) and isinstance(pose, PoseNetwork)
        assert isinstance(generator, Generator)
        canonical, motion = detector(batch.source), pose.motion(batch.driving)
        source = place_keypoints(canonical, pose.motion(batch.source))
        driving = place_keypoints(canonical, motion)
        return Reenacted(generator(batch.source, source, driving), driving, motion)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the weighted terms of an optimizer."""
        discriminator = networks[DISCRIMINATOR]
        assert isinstance(discriminator, PatchDiscriminator)
        if optimizer == DISCRIMINATOR:
            with torch.no_grad():
                fake = self.reenact(networks, batch).generated.image
            real, made = discriminator(batch.driving), discriminator(fake)
            return {"hinge": hinge_discriminator_loss([x.scores for x in real], [x.scores for x in made])}
        out = self.reenact(networks, batch)
        image, truth = out.generated.image, batch.driving
        real, made = discriminator(truth), discriminator(image)
        terms = {
            "perceptual": perceptual(image, truth, image_distance(self.vgg, image.device)),
            "adversarial": hinge_generator_loss([x.scores for x in made]),
            "features": feature_matching(real, made),
            "equivariance": self.equivariance(networks, batch, out.keypoints),
            "keypoints": keypoint_prior(out.keypoints),
            "pose": head_pose(out.motion, batch.driving_angles),
            "deformation": deformation_prior(out.motion),
        }
        return {name: WEIGHTS[name] * value for name, value in terms.items()}

    def equivariance(
        self, networks: Networks, batch: FramePairs, keypoints: Float[Tensor, "b k 3"]
    ) -> Float[Tensor, ""]:
        """Compute L_E under a random warp of the drivers."""
        detector, pose = networks["kp_detector"], networks["he_estimator"]
        assert isinstance(pose, PoseNetwork)
        warp = random_warp(len(keypoints), keypoints)
        warped = warp.image(batch.driving)
        return equivariance(keypoints, place_keypoints(detector(warped), pose.motion(warped)), warp)

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Tile columns: source, driver, driver made from the source."""
        columns = [batch.source, batch.driving, self.reenact(networks, batch).generated.image]
        rows = torch.cat([torch.cat(list(c[:4].float()), 1) for c in columns], 2)
        return (rows * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the weights in half precision, without the discriminator."""
        return {k: v.to("cpu", torch.float16) for k, v in join_states(networks).items()}

    def licence(self) -> str:
        """Return the licence of the weights that training began from; else that there is none yet."""
        return load_tensors(Path(self.start))[1].get("licence", "unknown") if self.start else "not chosen"

    def card(self) -> dict[str, Any]:
        """Describe the training data and where the weights began."""
        return {
            "what": "face-vid2vid, a photo driven by a video",
            "licence": self.licence(),
            "trained_on": self.clips or "synthetic heads",
            "perceptual_term": Path(self.vgg).name if self.vgg else "the bundled encoder",
        }


@cache
def image_distance(vgg: str, device: torch.device) -> ImageDistance:
    """Return the perceptual distance: of the bundled encoder, or of the user's VGG-16.

    Raises:
        HeadcastError: the file is of another network.
    """
    if not vgg:
        from headcast.priors.encoder.infer import load_encoder

        return load_encoder("losses", device).distance
    from headcast.methods.facevid2vid.vgg import VggDistance

    return VggDistance(vgg).to(device)
