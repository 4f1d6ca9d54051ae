"""Before stage 2, for ``small``: the motion encoder learns to tell expression and gaze of synthetic faces.

The paper takes an encoder that was trained before (PD-FGC); this is ours. Its steps are cheap. After stage 2
it may learn once more, to embed faces as Ψ's map embeds their expression weights (``--after``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.data import several_views
from headcast.methods.portrait4d.motion_embedding import (
    EXPRESSION_DIM,
    MotionEncoder,
    expression_code,
    faces_of,
)
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import Networks, Stage, adam
from headcast.methods.portrait4d.weights import read_networks
from headcast.training.config import TrainConfig
from headcast.weights import load_tensors

__all__ = ["SPREAD", "EncoderRecipe", "apart", "parts_of"]

SPREAD = 0.15
"""Of expression weights and of gaze (radians), about."""
TURN, GROW, MOVE = 0.15, 0.12, 0.02
"""How far faces are cut out askew: radians, share, share of the face's size; trackers err, too."""
PARTS = ("motion", "read")


@dataclass(frozen=True)
class EncoderRecipe(Stage):
    """Aligned faces to the 52 weights and the gaze, through the embedding."""

    name: ClassVar[str] = "portrait4d-encoder"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.99, warmup=50, clip=1.0, cooldown=0.4)

    people: int = 16
    """Faces in a batch."""
    rate: float = 2e-3
    """Learning rate."""
    after: str = ""
    """Weights of portrait4d.motion whose encoder goes on, to meet their map from weights to embeddings."""

    def networks(self, seed: int) -> Networks:
        """The encoder, and a linear map that reads its embeddings.

        Raises:
            HeadcastError: ``after`` are weights of something else or of another size.
        """
        torch.manual_seed(seed)
        m = self.config.motion
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
        """Both."""
        return {
            "main": adam([{"params": [p for n in networks.values() for p in n.parameters()]}], self.rate, 0.9)
        }

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """``face`` and what it ``told``."""
        if self.folder:
            shots, _ = read_people(self.folder).view_pairs(self.people, index, seed, device, self.config.side)
        else:
            shots = several_views(self.people, 1, self.config.side, index, seed, device)
        marks = shots.marks
        dice = torch.Generator().manual_seed((seed << 24) + index)
        marks = askew(marks, torch.randn(len(marks), 4, generator=dice).to(marks))
        return {"face": faces_of(shots.image, marks), "told": expression_code(shots.params)}

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """How far off it reads."""
        found = networks["motion"](batch["face"])
        out = {"read": ((networks["read"](found) - batch["told"]) / SPREAD).square().mean()}
        said = read_networks(self.after).said if self.after else None
        if said is not None:
            with torch.no_grad():
                wanted = said.to(found.device)(batch["told"])
            out["said"] = apart(found, wanted).mean()
        return out

    def pictures(self, networks: Networks, batch: Any) -> None:
        """None."""

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Both, by ``motion.`` and ``read.``."""
        return {f"{k}.{n}": v.cpu() for k in PARTS for n, v in networks[k].state_dict().items()}

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return {
            "what": "the motion encoder from which portrait4d.motion starts",
            "licence": "Apache-2.0",
            "status": "preview",
            "trained_on": "synthetic heads (headcast synth, train split)",
        }


def apart(found: Float[Tensor, "b m"], wanted: Float[Tensor, "b m"]) -> Float[Tensor, " b"]:
    """Mean squared difference of embeddings, as a share of how much the wanted ones vary."""
    spread = (wanted - wanted.mean(0)).square().mean().clamp(min=1e-3)
    return (found - wanted).square().mean(1) / spread


def askew(marks: Tensor, dice: Tensor) -> Tensor:
    """Landmarks (b, 68, 2) turned, scaled and moved a little about their middle."""
    middle = marks.mean(1, keepdim=True)
    size = (marks.amax(1) - marks.amin(1)).amax(-1)[:, None, None]
    a, g = TURN * dice[:, 0], (GROW * dice[:, 1]).exp()
    c, s = g * a.cos(), g * a.sin()
    turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    return middle + (marks - middle) @ turn.mT + MOVE * size * dice[:, None, 2:]


def parts_of(file: str) -> dict[str, dict[str, Tensor]]:
    """State dicts by network of a file that ``portrait4d.encoder`` wrote."""
    tensors = load_tensors(Path(file))[0]
    return {k: {n[len(k) + 1 :]: v for n, v in tensors.items() if n.startswith(k + ".")} for k in PARTS}
