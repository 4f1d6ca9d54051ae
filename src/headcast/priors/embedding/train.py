"""Training recipe of the identity network: photographs of people, each varied; synthetic people for views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, one_hot

from headcast.limits import FRACTION, POSITIVE, RATE, Limit
from headcast.priors.augment import (
    Crops,
    Framing,
    crop_faces,
    degrade_some,
    jitter_colour,
    mask_to_face,
    replace_background,
    shade_sideways,
)
from headcast.priors.embedding.infer import ROOM
from headcast.priors.embedding.network import DIMS, SIDE, IdentityEmbedder
from headcast.priors.embedding.start import fit_discriminant, load_backbone
from headcast.priors.encoder.losses import identity_loss
from headcast.priors.images import FaceImages, load_stored
from headcast.priors.restorer.degrade import Degradation
from headcast.training.config import TrainConfig

__all__ = ["IdentityRecipe"]

A_PASS = 16
"""Images of a batch while no gradients are needed."""


class TrainingPeople(NamedTuple):
    """Photographs and synthetic images; synthetic people are numbered after the real ones.

    Attributes:
        photos, synthetic: images. several, single: real people with two photographs or more, and with one.
        total: number of all people.
    """

    photos: FaceImages
    synthetic: FaceImages | None
    several: Int[Tensor, " p"]
    single: Int[Tensor, " q"]
    total: int


@dataclass(frozen=True)
class IdentityRecipe:
    """Recipe: margin loss over all people (CosFace), contrast in a batch; starts from a discriminant."""

    defaults: ClassVar[TrainConfig] = TrainConfig(
        ema=0.99, warmup=20, cooldown=0.5, clip=5.0, precision="bf16", checkpoint_seconds=300.0
    )
    name: ClassVar[str] = "embedding"

    backbone: str = ""
    """MediaPipe's face mesh network as converted by tools/convert_face_mesh.py."""
    photos: str = ""
    """Aligned crops of photographs made by tools/pack_people.py."""
    folder: str = ""
    """Synthetic people made by tools/build_face_images.py; empty: none."""
    several: Annotated[int, POSITIVE] = 10
    """TrainingPeople in a batch of whom there are two photographs; two are taken."""
    single: Annotated[int, POSITIVE] = 8
    """TrainingPeople in a batch of whom there is one photograph, taken twice."""
    synthetic: Annotated[int, POSITIVE] = 4
    """Synthetic people in a batch, two images each."""
    veil: Annotated[float, FRACTION] = 0.35
    """Fraction of crops of which only an oval about the face is left."""
    turned: Annotated[float, Limit(0.1, 20)] = 7.0
    """Standard deviation of the seeming turn of the head, degrees."""
    rate: Annotated[float, RATE] = 5e-5
    """Learning rate of the network; that of the people's vectors is ten times as high."""
    scale: Annotated[float, Limit(1, 1000)] = 24.0
    """Scale of cosines in the margin loss."""
    margin: Annotated[float, Limit(0.01, 1)] = 0.25
    """Margin of cosines in the margin loss."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the network from the discriminant of its features, and one vector for each person."""
        torch.manual_seed(seed)
        embedder = IdentityEmbedder()
        if not self.backbone:
            return {"embedder": embedder, "people": nn.Embedding(self.load().total, DIMS)}
        embedder.backbone.load_state_dict(load_backbone(Path(self.backbone)).state_dict())
        everyone, people = self.load(), nn.Embedding(self.load().total, DIMS)
        with torch.no_grad():
            person = everyone.photos.person
            plain, varied = (
                torch.cat([embedder.features(c) for c in self.every_crop(everyone.photos, vary)])
                for vary in (False, True)
            )
            found = fit_discriminant(torch.cat([plain, varied]), person.repeat(2))
            embedder.out.weight.copy_(found.weight)
            embedder.out.bias.copy_(-found.weight @ found.mean)
            vectors = normalize(embedder.out(plain), dim=1)
            real = int(person.max()) + 1
            people.weight[:real] = torch.zeros(real, DIMS).index_add_(0, person, vectors)
            people.weight.copy_(normalize(people.weight, dim=1))
        return {"embedder": embedder, "people": people}

    def load(self) -> TrainingPeople:
        """Load photographs and synthetic people."""
        return load_people(self.photos, self.folder)

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return one AdamW with two rates."""
        embedder = networks["embedder"]
        assert isinstance(embedder, IdentityEmbedder)
        body = [p for p in embedder.parameters() if p.requires_grad]
        groups = [
            {"params": body, "lr": self.rate, "weight_decay": 0.02},
            {"params": list(networks["people"].parameters()), "lr": 10 * self.rate, "weight_decay": 0.0},
        ]
        return {"main": torch.optim.AdamW(groups)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Make varied crops: ``seen`` in 0..1 and ``person``; images of a person are neighbours."""
        rng = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + 303)
        everyone = self.load()
        photos = sample_photos(everyone, self.several, self.single, rng).to(device)
        parts = [crop_faces(photos, self.framing(), rng)]
        if everyone.synthetic is not None:
            made = sample_pairs(everyone.synthetic, self.synthetic, rng).to(device)
            parts.append(replace_background(crop_faces(made, self.framing(), rng), rng))
        crops = Crops.joined(parts)
        return {"seen": self.varied(crops, rng), "person": crops.person}

    def framing(self) -> Framing:
        """Return how crops vary in place, size, roll and seeming turn."""
        return Framing(size=SIDE, room=(1.35, 1.65), shift=0.03, turn=5.0, yaw=self.turned)

    def varied(self, crops: Crops, rng: torch.Generator) -> Float[Tensor, "n 3 s s"]:
        """Vary what is about the face, light, colours and quality of crops."""
        rgb = mask_to_face(crops, rng, self.veil).rgb
        rgb = jitter_colour(shade_sideways(rgb, rng, 0.25), rng, 0.6)
        return degrade_some(rgb, rng, Degradation().at_scale(0.4), 0.3)[0]

    def every_crop(self, images: FaceImages, vary: bool) -> Iterator[Float[Tensor, "n 3 s s"]]:
        """Yield crops of all faces in turn, some at a time: as they are embedded, or varied."""
        rng = torch.Generator().manual_seed(0)
        plain = Framing(size=SIDE, room=(ROOM, ROOM), shift=0.0, turn=0.0, mirror=False)
        for k in range(0, len(images), A_PASS):
            crops = crop_faces(images[slice(k, k + A_PASS)], self.framing() if vary else plain, rng)
            yield self.varied(crops, rng) if vary else crops.rgb

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return ``margin`` (over all people) and ``contrast`` (within the batch)."""
        people = networks["people"]
        assert isinstance(people, nn.Embedding)
        vectors, person = networks["embedder"](batch["seen"]).float(), batch["person"]
        with torch.autocast(vectors.device.type, enabled=False):
            cosine = linear(vectors, normalize(people.weight, dim=1))
            logits = self.scale * (cosine - self.margin * one_hot(person, len(people.weight)))
            return {
                "margin": cross_entropy(logits, person, label_smoothing=0.05),
                "contrast": identity_loss(vectors, person, scale=self.scale),
            }

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Return an image of eight faces, below each its nearest of the batch (itself left out)."""
        vectors = networks["embedder"](batch["seen"])
        nearest = (vectors @ vectors.T - 9 * torch.eye(len(vectors), device=vectors.device)).argmax(1)
        shown = torch.arange(0, len(vectors), max(1, len(vectors) // 8))[:8]
        rows = torch.cat([torch.cat(list(batch["seen"][i]), 2) for i in (shown, nearest[shown])], 1)
        return (rows * 255).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the network in half precision, whitened by the photographs of people in several."""
        embedder, photos = networks["embedder"], self.load().photos
        crops = self.every_crop(photos, vary=False)
        device = next(embedder.parameters()).device
        vectors = torch.cat([embedder(c) + embedder(c.flip(3)) for c in (c.to(device) for c in crops)])
        found = fit_discriminant(normalize(vectors, dim=1).cpu(), photos.person)
        state = embedder.state_dict()
        state |= {"whiten.weight": found.weight, "whiten.bias": -found.weight @ found.mean}
        return {k: v.to("cpu", torch.float16) for k, v in state.items()}

    def card(self) -> dict[str, Any]:
        """Return the card of the weights: training data, licence, use."""
        return {
            "what": "identity network: unit vector of an aligned face crop; a dot product is a likeness",
            "licence": "Apache-2.0",
            "started_from": "MediaPipe's face_landmarks_detector.tflite (Apache-2.0), up to 2 x 2 places",
            "trained_on": "67 people of the Face Research Lab London Set, 37 of the Canadian set (DeBruine & "
            "Jones 2017, CC BY 4.0); official portraits in the public domain (unitedstates/images, the House "
            "Clerk, GSA); synthetic people (headcast synth)",
            "rights": "London and Canadian set: released under CC BY 4.0; the makers' consent text speaks of "
            "studies and of illustrating research, an older page of theirs of no commercial use",
            "use": "whether two photographs show one person; no search, no recognition of named people",
        }


@cache
def load_people(photos: str, folder: str) -> TrainingPeople:
    """Load and number all people, once per process."""
    real = load_stored(photos)
    real = replace(real, person=real.person.unique(return_inverse=True)[1])
    _, count = real.person.unique(return_counts=True)
    made, total = None, len(count)
    if folder:
        made = load_stored(folder)
        number = made.person.unique(return_inverse=True)[1]
        made = replace(made, person=number + total)
        total += int(number.max()) + 1
    return TrainingPeople(
        photos=real,
        synthetic=made,
        several=(count > 1).nonzero()[:, 0],
        single=(count == 1).nonzero()[:, 0],
        total=total,
    )


def sample_photos(everyone: TrainingPeople, several: int, single: int, rng: torch.Generator) -> FaceImages:
    """Sample two photographs each of ``several`` people, and one each, twice, of ``single`` others."""
    photos, at = everyone.photos, []
    for person in pick(everyone.several, several, rng):
        at.append(pick((photos.person == person).nonzero()[:, 0], 2, rng))
    for person in pick(everyone.single, single, rng):
        at.append((photos.person == person).nonzero()[:1, 0].repeat(2))
    return photos[torch.cat(at)]


def sample_pairs(images: FaceImages, count: int, rng: torch.Generator) -> FaceImages:
    """Sample two images each of ``count`` people."""
    people = pick(images.person.unique(), count, rng)
    return images[torch.cat([pick((images.person == p).nonzero()[:, 0], 2, rng) for p in people])]


def pick(numbers: Int[Tensor, " n"], count: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    """Pick ``count`` of the numbers at random, each at most once."""
    return numbers[torch.randperm(len(numbers), generator=rng)[:count]]
