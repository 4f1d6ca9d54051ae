"""Training recipe of the encoders: synthetic people under varied light, expression, view; portraits too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

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
from headcast.priors.encoder.losses import Helpers, identity_loss
from headcast.priors.encoder.network import SIDE, WIDTHS, Encoder, unit_features
from headcast.priors.images import FaceImages, FaceImageSource, load_stored
from headcast.priors.restorer.degrade import Degradation
from headcast.synth.config import LABELS
from headcast.training.config import TrainConfig

__all__ = ["IdentityEncoderRecipe"]

SEEDS = {"losses": 101, "evaluator": 202}
"""Seeds of synthetic people and initial weights: the two encoders share neither a person nor a portrait."""

PORTRAIT_OFFSET = 1 << 40  # added to the numbers of people on portraits


@dataclass(frozen=True)
class IdentityEncoderRecipe:
    """Recipe: contrastive identity loss; labels, quality and restoration as auxiliary losses."""

    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.998, warmup=50, cooldown=0.3, clip=5.0)

    which: Literal["losses", "evaluator"] = "losses"
    """The encoder that losses may use, or the one that only evaluates."""
    folder: str = ""
    """Synthetic images made before by tools/build_face_images.py with this encoder's seed (101 or 202)."""
    portraits: str = ""
    """Crops made by tools/pack_portraits.py; one half of their people is this encoder's. Empty: none."""
    people: Annotated[int, POSITIVE] = 6
    """Synthetic people in a batch."""
    frames: int = 4
    """Images of each person."""
    company: int = 30
    """Portraits in a batch, each used twice with other crops, rotation, light, colours, degradation."""
    veil: Annotated[float, FRACTION] = 0.5
    """Fraction of crops of which only an oval about the face is left."""
    rate: Annotated[float, RATE] = 2e-3
    """Learning rate."""
    size: Annotated[int, Limit(16, 4096)] = 256
    """Side of synthesized images, pixels."""
    finer: Annotated[int, Limit(1, 16)] = 2
    """Samples a pixel and side when crops are taken."""

    @property
    def name(self) -> str:
        """Return the name of the weights."""
        return f"encoder-{self.which}"

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the encoder and the heads that are dropped after training."""
        torch.manual_seed(seed * 1000 + SEEDS[self.which])
        return {"encoder": Encoder(), "helpers": Helpers(WIDTHS, len(LABELS))}

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return one AdamW over both networks."""
        weights = [p for n in networks.values() for p in n.parameters()]
        return {"main": torch.optim.AdamW(weights, self.rate, weight_decay=0.02)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Make crops of people and portraits: ``seen``, ``clear``, ``label``, ``person``, ``lost``."""
        rng = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + SEEDS[self.which])
        source = FaceImageSource(
            split="train", seed=SEEDS[self.which], frames=self.frames, size=self.size, folder=self.folder
        )
        framing = Framing(size=SIDE, room=(1.2, 1.6), shift=0.05, finer=self.finer, yaw=9.0)
        parts = [replace_background(crop_faces(source.people(rng, self.people, device), framing, rng), rng)]
        if self.portraits and self.company:
            parts.append(crop_faces(self.sample_portraits(rng).to(device), framing, rng))
        crops = mask_to_face(Crops.joined(parts), rng, self.veil)
        clear = jitter_colour(shade_sideways(crops.rgb, rng, 0.25), rng, 1.3)
        seen, lost = degrade_some(clear, rng, Degradation().at_scale(0.3), 0.7)
        return {
            "seen": seen * 2 - 1,
            "clear": clear * 2 - 1,
            "label": crops.label,
            "person": crops.person,
            "lost": lost,
        }

    def sample_portraits(self, rng: torch.Generator) -> FaceImages:
        """Sample portraits of this encoder's half of the people, each twice."""
        every = load_stored(self.portraits)
        mine = (every.person % 2 == (self.which == "evaluator")).nonzero()[:, 0]
        chosen = mine[torch.randperm(len(mine), generator=rng)[: self.company]]
        got = every[chosen.repeat_interleave(2)]
        return FaceImages(
            rgb=got.rgb,
            alpha=got.alpha,
            background=got.background,
            label=got.label,
            box=got.box,
            person=got.person + PORTRAIT_OFFSET,
        )

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return ``identity`` (contrast with margin), ``label``, ``quality`` and ``clear``."""
        encoder, helpers = networks["encoder"], networks["helpers"]
        assert isinstance(encoder, Encoder) and isinstance(helpers, Helpers)
        maps = encoder.features(batch["seen"])
        out = {"identity": identity_loss(encoder.embedded(maps[-1]).float(), batch["person"])}
        out |= helpers(maps, batch["seen"], batch["clear"], batch["label"], batch["lost"])
        weights = {"identity": 1.0, "label": 0.5, "quality": 0.5, "clear": 1.0}
        return {k: weights[k] * v for k, v in out.items()}

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Return an image of eight faces, below each its nearest of the batch (itself left out)."""
        encoder = networks["encoder"]
        assert isinstance(encoder, Encoder)
        v = encoder.embed(batch["seen"])
        nearest = (v @ v.T - 9 * torch.eye(len(v), device=v.device)).argmax(1)
        shown = torch.arange(0, len(v), max(1, len(v) // 8))[:8]
        rows = torch.cat([torch.cat(list(batch["seen"][i]), 2) for i in (shown, nearest[shown])], 1)
        return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the encoder in half precision, with ``weights`` by which every level counts the same."""
        encoder = networks["encoder"]
        assert isinstance(encoder, Encoder)
        device = encoder.weights.device
        with torch.no_grad():
            clear = self.batch(0, 9_000_000, device)["clear"]
            maps = [unit_features(m) for m in encoder.features(clear)]
            far = torch.stack([((m - m.roll(self.frames, 0)) ** 2).sum(1).mean() for m in maps])
        state = dict(encoder.state_dict()) | {"weights": 1 / (len(far) * far).clamp(min=1e-4)}
        return {k: v.to("cpu", torch.float16) for k, v in state.items()}

    def card(self) -> dict[str, Any]:
        """Return the card of the weights: training data, licence, use."""
        return {
            "what": f"face encoder ({self.which}): identity vector and perceptual features, preview",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": f"synthetic people (headcast synth, train split, seed {SEEDS[self.which]})"
            + (
                "; half of the public-domain portraits, each a class of its own, seen twice and varied"
                * bool(self.portraits)
            ),
            "use": "losses"
            if self.which == "losses"
            else "evaluation only; in no loss of anything that ships",
        }
