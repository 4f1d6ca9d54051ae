"""Stage 1 of Portrait4D-v2: Ψ3d on heads from many sides (4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.methods.portrait4d.data import NeckShots, several_views
from headcast.methods.portrait4d.losses import planes_apart
from headcast.methods.portrait4d.network import Head, RenderOutput, Synthesizer
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import (
    WEIGHTS,
    Networks,
    Stage,
    adam,
    begin_with,
    grid,
    is_motion,
    shipped_synthesizer,
    synthesizer_of,
)
from headcast.nets.discriminator import DualDiscriminator

__all__ = ["StaticRecipe"]

RENDERER = ("decoder", "superresolution", "w_avg")
"""Parts of Ψ that are R: a teacher lends them."""
SAMPLED = 4096
"""Points of the cube at which planes are compared, for each head."""


@dataclass(frozen=True)
class StaticRecipe(Stage):
    """Ψ3d: one picture of a synthetic head in, the same head from another side out (Eq. 2)."""

    name: ClassVar[str] = "portrait4d-static"

    start: str = ""
    """Weights to begin with: a file of portrait4d.average (small) or of an earlier portrait4d.static."""
    teacher: str = ""
    """Weights of a Ψ3d of the same size whose tri-planes are matched, too (L_T), until the adversarial term
    begins; so long its renderer is used and rests, as GenHead's in the paper."""

    def networks(self, seed: int) -> Networks:
        """Ψ3d and the discriminator.

        Raises:
            HeadcastError: ``start`` or ``teacher`` are weights of something else or of another size.
        """
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if self.teacher:
            lent = synthesizer_of(self.teacher, "cpu", self.config).state_dict()
            psi.load_state_dict({k: v for k, v in lent.items() if k.startswith(RENDERER)}, strict=False)
        if self.start:
            begin_with(psi, self.start)
        return {"synthesizer": psi, "judge": DualDiscriminator(self.config.side)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Motion layers rest."""
        used = self.groups(networks["synthesizer"], lambda n: not is_motion(n))
        return {"main": adam(used, self.rate, self.memory), "judge": self.judge_adam(networks["judge"])}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, NeckShots]:
        """``source`` and ``target`` pictures of the same heads."""
        if self.folder:
            people = read_people(self.folder)
            return dict(
                zip(
                    ("source", "target"),
                    people.view_pairs(self.people, index, seed, device, self.config.side),
                    strict=True,
                )
            )
        both = several_views(self.people, 2, self.config.side, index, seed, device)
        return {"source": both[slice(0, None, 2)], "target": both[slice(1, None, 2)]}

    def drawn(
        self, networks: Networks, batch: Any, resolution: int, jitter: bool
    ) -> tuple[Head, RenderOutput]:
        """The sources' heads, seen from the targets' cameras."""
        psi, source, target = networks["synthesizer"], batch["source"], batch["target"]
        assert isinstance(psi, Synthesizer)
        head = psi.head(psi.appearance(source.image))
        rays = target.rays(self.config, resolution)
        return head, psi.render(head, rays, target.neck(self.config), jitter)

    def taught(self, head: Head, batch: Any) -> Float[Tensor, ""]:
        """L_T: how far planes are from the teacher's, which sees the side that is to be drawn."""
        image = batch["target"].image
        teacher = synthesizer_of(self.teacher, str(image.device), self.config)
        with torch.no_grad():
            its = teacher.head(teacher.appearance(image)).planes
        cube = self.config.cube
        points = (torch.rand(len(image), SAMPLED, 3, device=image.device) - 0.5) * cube
        return planes_apart(head.planes, its, points, cube)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Eq. 2; the tri-plane term where a teacher has planes."""
        seen = step * self.people
        adversarial = seen >= self.adversarial_from
        if optimizer == "judge" and not adversarial:
            return {}
        taught = bool(self.teacher) and not adversarial
        if taught:  # the trainer lets them learn again at the next step
            for name, p in networks["synthesizer"].named_parameters():
                p.requires_grad_(p.requires_grad and not name.startswith(RENDERER))
        with torch.set_grad_enabled(optimizer == "main"):
            head, drawn = self.drawn(networks, batch, self.resolution(seen), True)
        target = batch["target"].target(self.config.units_per_metre, batch["source"].background)
        if optimizer == "judge":
            return self.judge_losses(networks["judge"], drawn, target, step)
        out = self.terms(networks, drawn, target, adversarial)
        if taught:
            out["triplane"] = WEIGHTS["triplane"] * self.taught(head, batch)
        return out

    def pictures(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Source, result, volume's own picture, opacity, target."""
        _, drawn = self.drawn(networks, batch, self.config.side // 4, False)
        opacity = drawn.alpha.expand(-1, 3, -1, -1) * 2 - 1
        columns = [batch["source"].image, drawn.image, drawn.raw, opacity, batch["target"].image]
        return grid(columns)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Ψ3d's tensors without motion layers, which it doesn't use."""
        return {k: v for k, v in shipped_synthesizer(networks["synthesizer"]).items() if not is_motion(k)}

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return {
            "what": f"Portrait4D-v2's static synthesizer, {self.size}",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": "synthetic heads (headcast synth, train split)",
        }
