"""How the encoders are trained: synthetic people in other lights, moods, directions; portraits as company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from headcast.priors.augment import Crops, Framing, cropped, rebacked, recoloured, relit, veiled, worsened
from headcast.priors.encoder.losses import Helpers, identity_loss
from headcast.priors.encoder.network import SIDE, WIDTHS, Encoder, unit
from headcast.priors.pictures import Pictures, PictureSource, stored_pictures
from headcast.priors.restorer.degrade import Degradation
from headcast.synth.config import LABELS
from headcast.training.config import TrainConfig

__all__ = ["EncoderRecipe"]

SEEDS = {"losses": 101, "evaluator": 202}
"""Of synthetic people and of first weights: the two encoders share neither a person nor a portrait."""

STRANGERS = 1 << 40  # added to the numbers of people on portraits


@dataclass(frozen=True)
class EncoderRecipe:
    """Identity by contrast; labels, quality and clearing as companions of the lower levels."""

    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.998, warmup=50, cooldown=0.3, clip=5.0)

    which: Literal["losses", "evaluator"] = "losses"
    """The encoder that losses may use, or the one that only evaluates."""
    folder: str = ""
    """Synthetic pictures made before by tools/build_pictures.py with this encoder's seed (101 or 202)."""
    portraits: str = ""
    """Crops made by tools/pack_portraits.py; one half of their people is this encoder's. Empty: none."""
    people: int = 6
    """Synthetic people in a batch."""
    frames: int = 4
    """Pictures of each."""
    company: int = 30
    """Portraits in a batch, each seen twice, cropped, turned, lit, coloured and worsened differently."""
    veil: float = 0.5
    """Share of crops of which only an oval about the face is left."""
    rate: float = 2e-3
    """Learning rate."""
    size: int = 256
    """Pixels of synthesized pictures."""
    finer: int = 2
    """Samples a pixel and side when crops are taken."""

    @property
    def name(self) -> str:
        """Of the weights."""
        return f"encoder-{self.which}"

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """The encoder and the heads that are dropped after training."""
        torch.manual_seed(seed * 1000 + SEEDS[self.which])
        return {"encoder": Encoder(), "helpers": Helpers(WIDTHS, len(LABELS))}

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """AdamW over both."""
        weights = [p for n in networks.values() for p in n.parameters()]
        return {"main": torch.optim.AdamW(weights, self.rate, weight_decay=0.02)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Crops of people and portraits in -1..1: ``seen``, ``clear``, ``label``, ``person``, ``lost``."""
        rng = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + SEEDS[self.which])
        source = PictureSource("train", SEEDS[self.which], self.frames, self.size, self.folder)
        framing = Framing(SIDE, (1.2, 1.6), 0.05, finer=self.finer, yaw=9.0)
        parts = [rebacked(cropped(source.people(rng, self.people, device), framing, rng), rng)]
        if self.portraits and self.company:
            parts.append(cropped(self.strangers(rng).to(device), framing, rng))
        crops = veiled(Crops.joined(parts), rng, self.veil)
        clear = recoloured(relit(crops.rgb, rng, 0.25), rng, 1.3)
        seen, lost = worsened(clear, rng, Degradation().at_scale(0.3), 0.7)
        return {
            "seen": seen * 2 - 1,
            "clear": clear * 2 - 1,
            "label": crops.label,
            "person": crops.person,
            "lost": lost,
        }

    def strangers(self, rng: torch.Generator) -> Pictures:
        """Portraits of this encoder's half of the people, each twice."""
        every = stored_pictures(self.portraits)
        mine = (every.person % 2 == (self.which == "evaluator")).nonzero()[:, 0]
        chosen = mine[torch.randperm(len(mine), generator=rng)[: self.company]]
        got = every[chosen.repeat_interleave(2)]
        return Pictures(got.rgb, got.alpha, got.background, got.label, got.box, got.person + STRANGERS)

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """``identity`` (contrast with margin), ``label``, ``quality``, ``clear``."""
        encoder, helpers = networks["encoder"], networks["helpers"]
        assert isinstance(encoder, Encoder) and isinstance(helpers, Helpers)
        maps = encoder.features(batch["seen"])
        out = {"identity": identity_loss(encoder.embedded(maps[-1]).float(), batch["person"])}
        out |= helpers(maps, batch["seen"], batch["clear"], batch["label"], batch["lost"])
        weights = {"identity": 1.0, "label": 0.5, "quality": 0.5, "clear": 1.0}
        return {k: weights[k] * v for k, v in out.items()}

    def pictures(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Eight faces, below each the one of the batch that it takes for the most alike (itself left out)."""
        encoder = networks["encoder"]
        assert isinstance(encoder, Encoder)
        v = encoder.embed(batch["seen"])
        nearest = (v @ v.T - 9 * torch.eye(len(v), device=v.device)).argmax(1)
        shown = torch.arange(0, len(v), max(1, len(v) // 8))[:8]
        rows = torch.cat([torch.cat(list(batch["seen"][i]), 2) for i in (shown, nearest[shown])], 1)
        return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """The encoder in half precision, with ``weights`` by which every level counts the same."""
        encoder = networks["encoder"]
        assert isinstance(encoder, Encoder)
        device = encoder.weights.device
        with torch.no_grad():
            clear = self.batch(0, 9_000_000, device)["clear"]
            maps = [unit(m) for m in encoder.features(clear)]
            far = torch.stack([((m - m.roll(self.frames, 0)) ** 2).sum(1).mean() for m in maps])
        state = dict(encoder.state_dict()) | {"weights": 1 / (len(far) * far).clamp(min=1e-4)}
        return {k: v.to("cpu", torch.float16) for k, v in state.items()}

    def card(self) -> dict[str, Any]:
        """Trained on what."""
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
