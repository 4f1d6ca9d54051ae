"""Stage 1 of Portrait4D-v2: Ψ3d on heads from many sides (4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.methods.portrait4d.data import NeckShots, synthesize_views
from headcast.methods.portrait4d.losses import triplane_distance
from headcast.methods.portrait4d.network import Head, RenderOutput, Synthesizer
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import (
    DISCRIMINATOR,
    WEIGHTS,
    Networks,
    Stage,
    adam,
    half_precision_state,
    is_motion_layer,
    load_frozen_synthesizer,
    load_start_weights,
)
from headcast.nets.discriminator import DualDiscriminator
from headcast.training.tiles import tile_columns

__all__ = ["StaticRecipe"]

RENDERER = ("decoder", "superresolution", "w_avg")
"""Parts of Ψ that make up its renderer R: they are copied from a teacher."""
SAMPLED = 4096
"""Points of the cube at which planes are compared, for each head."""


@dataclass(frozen=True)
class StaticRecipe(Stage):
    """Ψ3d: from one image of a synthetic head, render the same head from another side (Eq. 2)."""

    name: ClassVar[str] = "portrait4d-static"

    start: str = ""
    """Weights to begin with: a file of portrait4d.average (small) or of an earlier portrait4d.static."""
    teacher: str = ""
    """Weights of a Ψ3d of the same size whose tri-planes are matched, too (L_T), until the adversarial term
    begins; until then its renderer is used, frozen, as GenHead's in the paper."""

    def networks(self, seed: int) -> Networks:
        """Build Ψ3d and the discriminator.

        Raises:
            HeadcastError: ``start`` or ``teacher`` are weights of something else or of another size.
        """
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if self.teacher:
            teacher = load_frozen_synthesizer(self.teacher, "cpu", self.config).state_dict()
            psi.load_state_dict({k: v for k, v in teacher.items() if k.startswith(RENDERER)}, strict=False)
        if self.start:
            load_start_weights(psi, self.start)
        return {"synthesizer": psi, DISCRIMINATOR: DualDiscriminator(self.config.side)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create one optimizer for Ψ3d without motion layers, one for the discriminator."""
        groups = self.groups(networks["synthesizer"], lambda n: not is_motion_layer(n))
        return {
            "main": adam(groups, self.rate, self.momentum),
            DISCRIMINATOR: self.discriminator_optimizer(networks[DISCRIMINATOR]),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, NeckShots]:
        """Make ``source`` and ``target`` images of the same heads."""
        if self.folder:
            people = read_people(self.folder)
            return dict(
                zip(
                    ("source", "target"),
                    people.view_pairs(self.people, index, seed, device, self.config.side),
                    strict=True,
                )
            )
        both = synthesize_views(self.people, 2, self.config.side, index, seed, device)
        return {"source": both[slice(0, None, 2)], "target": both[slice(1, None, 2)]}

    def render_targets(
        self, networks: Networks, batch: Any, resolution: int, jitter: bool
    ) -> tuple[Head, RenderOutput]:
        """Generate the sources' heads and render them from the targets' cameras."""
        psi, source, target = networks["synthesizer"], batch["source"], batch["target"]
        assert isinstance(psi, Synthesizer)
        head = psi.head(psi.appearance(source.image))
        rays = target.rays(self.config, resolution)
        return head, psi.render(head, rays, target.neck(self.config), jitter)

    def teacher_loss(self, head: Head, batch: Any) -> Float[Tensor, ""]:
        """Compute L_T: distance of the planes to the teacher's, which sees the target image."""
        image = batch["target"].image
        teacher = load_frozen_synthesizer(self.teacher, str(image.device), self.config)
        with torch.no_grad():
            teacher_planes = teacher.head(teacher.appearance(image)).planes
        cube = self.config.cube_side
        points = (torch.rand(len(image), SAMPLED, 3, device=image.device) - 0.5) * cube
        return triplane_distance(head.planes, teacher_planes, points, cube)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute the terms of Eq. 2; the tri-plane term with a teacher."""
        trained = step * self.people
        adversarial = trained >= self.adversarial_from
        if optimizer == DISCRIMINATOR and not adversarial:
            return {}
        with_teacher = bool(self.teacher) and not adversarial
        if with_teacher:  # the trainer unfreezes them at the next step
            for name, p in networks["synthesizer"].named_parameters():
                p.requires_grad_(p.requires_grad and not name.startswith(RENDERER))
        with torch.set_grad_enabled(optimizer == "main"):
            head, output = self.render_targets(networks, batch, self.resolution(trained), True)
        target = batch["target"].target(self.config.units_per_metre, batch["source"].background)
        if optimizer == DISCRIMINATOR:
            return self.discriminator_losses(networks[DISCRIMINATOR], output, target, step)
        out = self.terms(networks, output, target, adversarial)
        if with_teacher:
            out["triplane"] = WEIGHTS["triplane"] * self.teacher_loss(head, batch)
        return out

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Tile source, result, raw volume rendering, opacity, target."""
        _, output = self.render_targets(networks, batch, self.config.side // 4, False)
        opacity = output.alpha.expand(-1, 3, -1, -1) * 2 - 1
        columns = [batch["source"].image, output.image, output.image_raw, opacity, batch["target"].image]
        return tile_columns(columns)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return Ψ3d's tensors without motion layers, which it doesn't use."""
        return {
            k: v for k, v in half_precision_state(networks["synthesizer"]).items() if not is_motion_layer(k)
        }

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {
            "what": f"Portrait4D-v2's static synthesizer, {self.size}",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": "synthetic heads (headcast synth, train split)",
        }
