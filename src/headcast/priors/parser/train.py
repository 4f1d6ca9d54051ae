"""Training recipe of the parser: synthetic heads with every label, portraits with agreed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headcast.limits import FRACTION, POSITIVE, RATE, Limit
from headcast.priors.augment import (
    Crops,
    Framing,
    crop_faces,
    degrade_some,
    jitter_colour,
    replace_background,
)
from headcast.priors.images import IGNORE, FaceImageSource, load_stored
from headcast.priors.parser.composite import (
    coarse_guides,
    coverage_by_label,
    crop_cutouts,
    load_cutouts,
    load_scenes,
    place_before,
    sample_scenes,
)
from headcast.priors.parser.losses import RARE, alpha_loss, dice_loss, downsample_labels, label_loss
from headcast.priors.parser.network import SIDE, FaceParser
from headcast.priors.parser.palette import coloured
from headcast.priors.restorer.degrade import Degradation
from headcast.synth.config import LABELS
from headcast.training.config import TrainConfig

__all__ = ["ParserRecipe"]

SEED = 101
"""Seed of synthetic people made as training goes; ``folders`` may hold others."""


@dataclass(frozen=True)
class ParserRecipe:
    """Recipe: labels and coverage of strongly augmented crops about the face."""

    name: ClassVar[str] = "parser"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.998, warmup=50, cooldown=0.3, clip=5.0)

    folders: str = ""
    """Folders of synthetic images by tools/build_face_images.py, commas between; empty: made as it goes."""
    portraits: str = ""
    """Portraits with agreed labels by tools/build_parser_labels.py; empty: none."""
    mattes: str = ""
    """People cut out of photos by tools/build_mattes.py; empty: none."""
    scenes: str = ""
    """File of scenes by tools/build_scenes.py to place people before; empty: plain ones."""
    cut: int = 5
    """People cut out of photos in a batch."""
    people: Annotated[int, POSITIVE] = 4
    """Synthetic people in a batch."""
    frames: Annotated[int, POSITIVE] = 2
    """Images of each (of stored ones: of those that there are)."""
    real: int = 4
    """Portraits in a batch."""
    rate: Annotated[float, RATE] = 2e-3
    """Learning rate."""
    side: Annotated[int, Limit(16, 4096)] = SIDE
    """Pixels of the whole square. Less is faster and coarser: a first part of a training may use 128."""
    guided: Annotated[float, FRACTION] = 0.9
    """Fraction of images with a coarse matte to be guided by."""
    window: int = 0
    """Pixels of the crop trained on, a part of the square (shown at the square's scale); 0: all of it."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the face parser."""
        torch.manual_seed(seed)
        parser = FaceParser(side=self.side)
        return {"parser": parser.to(memory_format=torch.channels_last)}  # type: ignore[call-overload]

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return one AdamW over the parser."""
        return {"main": torch.optim.AdamW(networks["parser"].parameters(), self.rate, weight_decay=0.01)}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Make a batch: ``seen`` in -1..1, ``label``, ``alpha``, and where alpha is ``known``."""
        rng = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + SEED)
        window = self.window or self.side
        part = window / self.side
        framing = Framing(size=window, room=(1.3 * part, 3.6 * part), shift=0.12 + (1 - part) / 2, turn=10)
        crops = self.placed(self.synthetic(rng, device, framing), rng, 0.7)
        parts = [crops if self.scenes else replace_background(crops, rng)]
        if self.mattes and self.cut:
            every = load_cutouts(self.mattes)
            chosen = torch.randperm(len(every), generator=rng)[: self.cut]
            parts.append(self.placed(crop_cutouts(every, chosen, framing, rng), rng, 1.0))
        if self.portraits and self.real:
            every = load_stored(self.portraits)
            chosen = torch.randperm(len(every), generator=rng)[: self.real]
            parts.append(crop_faces(every[chosen].to(device), framing, rng))
        crops = Crops.joined(parts)
        seen, _ = degrade_some(
            jitter_colour(crops.rgb, rng), rng, Degradation().at_scale(0.4 * self.side / SIDE), 0.35
        )
        # portraits' coverage is 1 or 0 by label where the label is sure, and nothing elsewhere
        sure = crops.known_alpha[:, None, None]
        alpha = torch.where(sure, crops.alpha, coverage_by_label(crops.label))
        return {
            "guide": coarse_guides(alpha, rng, self.guided),
            "seen": (seen * 2 - 1).contiguous(memory_format=torch.channels_last),
            "label": crops.label,
            "alpha": alpha,
            "known": torch.where(sure, crops.known > 0, crops.label != IGNORE),
        }

    def placed(self, crops: Crops, rng: torch.Generator, fraction: float) -> Crops:
        """Place a fraction of the people before scenes, where there are any."""
        if not self.scenes:
            return crops
        scenes = sample_scenes(load_scenes(self.scenes), rng, len(crops.rgb), crops.rgb.shape[-1])
        return place_before(crops, scenes, rng, fraction)

    def synthetic(self, rng: torch.Generator, device: torch.device, framing: Framing) -> Crops:
        """Make crops of synthetic people."""
        if not self.folders:
            source = FaceImageSource(split="train", seed=SEED, frames=self.frames)
            return crop_faces(source.people(rng, self.people, device), framing, rng)
        folders = [f for f in self.folders.split(",") if f]
        each = [self.people * self.frames // len(folders)] * len(folders)
        each[0] += self.people * self.frames - sum(each)
        crops = []
        for folder, count in zip(folders, each, strict=True):
            every = load_stored(folder)
            chosen = torch.randperm(len(every), generator=rng)[:count]
            crops.append(crop_faces(every[chosen].to(device), framing, rng))
        return Crops.joined(crops)

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return ``label`` (cross entropy, small regions more), ``dice`` and ``alpha``."""
        logits, alpha = networks["parser"](batch["seen"], batch["guide"])
        logits, alpha = logits.float(), alpha.float()
        weight = torch.tensor([RARE.get(n, 1.0) for n in LABELS], device=logits.device)
        label = downsample_labels(batch["label"])
        return {
            "label": label_loss(logits, label, weight),
            "dice": 0.5 * dice_loss(logits, label),
            "alpha": 4.0 * alpha_loss(alpha, batch["alpha"], batch["known"]),
        }

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Return a sheet; a column an image; rows: input, predicted and true labels, predicted coverage."""
        parser = networks["parser"]
        assert isinstance(parser, FaceParser)
        seen = batch["seen"][:8]
        p, alpha = parser.parse(seen, batch["guide"][:8])
        shown = ((seen + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1)
        grey = (alpha * 255).byte()[..., None].expand(-1, -1, -1, 3)
        rows = [shown, coloured(p.argmax(1)), coloured(batch["label"][:8]), grey]
        grid = torch.cat([torch.cat(list(r.cpu()), 1) for r in rows], 0)
        small = interpolate(grid.permute(2, 0, 1)[None].float(), scale_factor=0.5, mode="area")[0]
        return small.byte().permute(1, 2, 0).numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the weights in half precision."""
        state = dict(networks["parser"].state_dict()) | {"side": torch.tensor(float(self.side))}
        return {k: v.detach().to("cpu", torch.float16) for k, v in state.items()}

    def card(self) -> dict[str, Any]:
        """Return the card of the weights: training data, labels, licence."""
        return {
            "what": "face parser and matte: 14 region labels and coverage of a square about a face, preview",
            "status": "preview",
            "licence": "Apache-2.0",
            "labels": list(LABELS),
            "trained_on": "synthetic heads (headcast synth, train split)"
            + (
                "; people cut out of the London and Canada sets (train split; DeBruine and Jones 2017, CC BY "
                "4.0) before light maps (CC0) and painted scenes" * bool(self.mattes)
            )
            + (
                "; public-domain portraits (train split) where fitted head, matte and colours agree"
                * bool(self.portraits)
            ),
        }
