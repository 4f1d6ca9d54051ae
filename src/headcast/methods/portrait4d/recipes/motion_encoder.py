"""Before stage 2, for ``small``: the motion encoder learns to read expression and gaze of synthetic faces.

The paper takes an encoder that was trained before (PD-FGC); this is ours. Its steps are cheap. After stage 2
it may learn once more, to embed faces as Ψ's map embeds their expression weights (``--after``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import POSITIVE, RATE
from headcast.methods.portrait4d.data import synthesize_views
from headcast.methods.portrait4d.motion_embedding import (
    EXPRESSION_DIM,
    MotionEncoder,
    align_faces,
    expression_code,
)
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import Networks, Stage, adam
from headcast.methods.portrait4d.weights import read_networks
from headcast.training.config import TrainConfig
from headcast.weights import load_tensors

__all__ = ["SPREAD", "EncoderRecipe", "load_encoder_parts", "normalized_mse"]

SPREAD = 0.15
"""Approximate standard deviation of expression weights and of gaze (radians)."""
ROTATION_JITTER, SCALE_JITTER, SHIFT_JITTER = 0.15, 0.12, 0.02
"""Standard deviations of the crop's jitter: radians, log scale, fraction of the face; trackers err, too."""
PARTS = ("motion", "read")
"""The networks of the weights file."""


@dataclass(frozen=True)
class EncoderRecipe(Stage):
    """The motion encoder: from aligned faces to the 52 weights and the gaze, through the embedding."""

    name: ClassVar[str] = "portrait4d-encoder"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.99, warmup=50, clip=1.0, cooldown=0.4)

    people: Annotated[int, POSITIVE] = 16
    """Faces in a batch."""
    rate: Annotated[float, RATE] = 2e-3
    """Learning rate."""
    after: str = ""
    """Weights of portrait4d.motion whose encoder is trained on, to match their map from expression codes."""

    def networks(self, seed: int) -> Networks:
        """Build the encoder, and a linear map that reads expression codes from its embeddings.

        Raises:
            HeadcastError: ``after`` are weights of something else or of another size.
        """
        torch.manual_seed(seed)
        m = self.config.motion_dim
        motion = MotionEncoder(m)
        if self.after:
            before = read_networks(self.after).motion
            try:
                motion.load_state_dict(before.state_dict())
            except RuntimeError as e:
                raise HeadcastError(
                    f"{self.after}: not weights of portrait4d.motion, --size {self.size}"
                ) from e
        return {"motion": motion, "read": nn.Linear(m, EXPRESSION_DIM)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create one optimizer of both networks."""
        return {
            "main": adam([{"params": [p for n in networks.values() for p in n.parameters()]}], self.rate, 0.9)
        }

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Make aligned faces, ``face``, and their expression codes, ``code``."""
        if self.folder:
            shots, _ = read_people(self.folder).view_pairs(self.people, index, seed, device, self.config.side)
        else:
            shots = synthesize_views(self.people, 1, self.config.side, index, seed, device)
        marks = shots.marks
        generator = torch.Generator().manual_seed((seed << 24) + index)
        marks = jitter_landmarks(marks, torch.randn(len(marks), 4, generator=generator).to(marks))
        return {"face": align_faces(shots.image, marks), "code": expression_code(shots.params)}

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the error of reading codes; with ``after`` also the distance to the map's embeddings."""
        embedding = networks["motion"](batch["face"])
        out = {"read": ((networks["read"](embedding) - batch["code"]) / SPREAD).square().mean()}
        expression_to_motion = read_networks(self.after).expression_to_motion if self.after else None
        if expression_to_motion is not None:
            with torch.no_grad():
                target = expression_to_motion.to(embedding.device)(batch["code"])
            out["said"] = normalized_mse(embedding, target).mean()
        return out

    def preview(self, networks: Networks, batch: Any) -> None:
        """Return no images: there is nothing to be rendered."""

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the tensors of both networks, prefixed with ``motion.`` and ``read.``."""
        return {f"{k}.{n}": v.cpu() for k in PARTS for n, v in networks[k].state_dict().items()}

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {
            "what": "the motion encoder from which portrait4d.motion starts",
            "licence": "Apache-2.0",
            "status": "preview",
            "trained_on": "synthetic heads (headcast synth, train split)",
        }


def normalized_mse(prediction: Float[Tensor, "b m"], target: Float[Tensor, "b m"]) -> Float[Tensor, " b"]:
    """Compute the mean squared error of embeddings, divided by the variance of the targets."""
    variance = (target - target.mean(0)).square().mean().clamp(min=1e-3)
    return (prediction - target).square().mean(1) / variance


def jitter_landmarks(marks: Tensor, noise: Tensor) -> Tensor:
    """Rotate, scale and shift landmarks (b, 68, 2) about their centre; ``noise`` (b, 4) is normal."""
    centre = marks.mean(1, keepdim=True)
    size = (marks.amax(1) - marks.amin(1)).amax(-1)[:, None, None]
    a, g = ROTATION_JITTER * noise[:, 0], (SCALE_JITTER * noise[:, 1]).exp()
    c, s = g * a.cos(), g * a.sin()
    rotation = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    return centre + (marks - centre) @ rotation.mT + SHIFT_JITTER * size * noise[:, None, 2:]


def load_encoder_parts(file: str) -> dict[str, dict[str, Tensor]]:
    """Load state dicts, by network, of a file that ``portrait4d.encoder`` wrote."""
    tensors = load_tensors(Path(file))[0]
    return {k: {n[len(k) + 1 :]: v for n, v in tensors.items() if n.startswith(k + ".")} for k in PARTS}
