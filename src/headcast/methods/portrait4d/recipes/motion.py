"""Stage 2 of Portrait4D-v2: Ψ on clips that a frozen Ψ3d has turned into many views (4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import FRACTION
from headcast.methods.portrait4d.clips import read_clip_pair
from headcast.methods.portrait4d.data import NeckShots, rays_between, sample_cameras, synthesize_clips
from headcast.methods.portrait4d.losses import LossTarget, downsample_area, moving_region_weights
from headcast.methods.portrait4d.motion_embedding import (
    EXPRESSION_DIM,
    ExpressionToMotion,
    MotionEncoder,
    align_faces,
    expression_code,
)
from headcast.methods.portrait4d.network import Appearance, RenderOutput, Synthesizer
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import (
    DISCRIMINATOR,
    Networks,
    Stage,
    adam,
    half_precision_state,
    is_motion_layer,
    load_frozen_synthesizer,
)
from headcast.methods.portrait4d.recipes.motion_encoder import SPREAD, load_encoder_parts, normalized_mse
from headcast.methods.portrait4d.weights import read_networks
from headcast.nets.discriminator import DualDiscriminator
from headcast.synth.views import project_to_views
from headcast.training.tiles import tile_columns
from headcast.weights import weights_path

__all__ = ["DIFFERENCE_WEIGHT", "EXPRESSION_PLANES_LR_SCALE", "Ablation", "MotionRecipe"]

Ablation = Literal["full", "no-init", "real-only", "pseudo-p", "pseudo-q"]
EXPRESSION_TO_MOTION = "said"
"""The map from expression codes to embeddings: its key in checkpoints, logs and weights files."""
MAP_WEIGHT = 0.1
"""Weight of the term of that map: it must not use up the bound of Ψ's gradients."""
READ_WEIGHT = 0.1
"""Weight of reading expression codes back from embeddings. The paper's encoder was trained before."""
MOVING_REGION_WEIGHT = 40.0
"""Pixel weight added around mouth and eyes (small only)."""
DIFFERENCE_WEIGHT = 4.0
"""Weight of the term on what the expression changes (small only)."""
EXPRESSION_PLANES_LR_SCALE = 10.0
"""Learning rate of the expression planes over that of the rest."""
CODE_FRACTION = 0.75
"""Fraction of drivers embedded from their expression codes, where these are known exactly."""


@dataclass(frozen=True)
class BatchRendering:
    """A rendered batch, its target and embeddings.

    Attributes:
        output: I_re of Eq. 4. target: what it is compared with. appearance: Ψ's features of the sources.
        v_s, driver_motion: embeddings of the real frames of sources and drivers. Not v_d, which is that of a
            pseudo view: an early Ψ3d blurs the face.
    """

    output: RenderOutput
    target: LossTarget
    appearance: Appearance
    v_s: Float[Tensor, "b m"]
    driver_motion: Float[Tensor, "b m"]


class ClipFrames(NamedTuple):
    """Two frames of each clip, and the source's frame from the driver's camera as ``reference``."""

    source: NeckShots
    driver: NeckShots
    reference: NeckShots


@dataclass(frozen=True)
class MotionRecipe(Stage):
    """Ψ: cross-view self-reenactment on clips that a frozen Ψ3d has turned into many views (Eq. 3-5)."""

    name: ClassVar[str] = "portrait4d"

    static: str = "portrait4d-static"
    """Weights of Ψ3d: a file, or the bundled ones."""
    encoder: str = ""
    """Weights of portrait4d.encoder for the motion encoder to begin with (the paper's was trained before), in
    place of those of ``start``."""
    start: str = ""
    """Weights of an earlier portrait4d.motion to go on from; Ψ3d of ``static`` still renders pseudo views."""
    ablation: Ablation = "full"
    """The paper's configurations: full; no-init (A, no start from Ψ3d); real-only (B, real frames alone);
    pseudo-p (C, pseudo views for the motion alone); pseudo-q (D, pseudo views for the target alone)."""

    clips: str = ""
    """Folder of real clips: frames in folders, as VFHQ, or videos; tracked as they are read."""
    clip_share: Annotated[float, FRACTION] = 0.5
    """Fraction of the batch that comes from them."""
    difference_weight: float = DIFFERENCE_WEIGHT
    """Weight of the term on what an expression changes (small only; 0: the paper's terms alone)."""

    def networks(self, seed: int) -> Networks:
        """Build Ψ from Ψ3d's weights, motion encoder, map from expression codes, discriminator.

        Raises:
            HeadcastError: Ψ3d's weights are missing.
        """
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if not Path(self.static).is_file() and not weights_path(self.static).is_file():
            raise HeadcastError(
                f"{self.static}: no weights of the static synthesizer; train them first (headcast train "
                "portrait4d.static), then name the file: --static FILE"
            )
        if self.ablation != "no-init":
            frozen = load_frozen_synthesizer(self.static, "cpu", self.config).state_dict()
            psi.load_state_dict({k: v for k, v in frozen.items() if not is_motion_layer(k)}, strict=False)
        if self.config.mean_planes:  # start as Ψ3d: short trainings do not recover from random layers
            for name, p in psi.named_parameters():
                if "attn2.proj" in name:
                    nn.init.zeros_(p)
        motion_dim = self.config.motion_dim
        out: Networks = {
            "synthesizer": psi,
            "motion": MotionEncoder(motion_dim),
            EXPRESSION_TO_MOTION: ExpressionToMotion(motion_dim),
            "read": nn.Linear(motion_dim, EXPRESSION_DIM),
            DISCRIMINATOR: DualDiscriminator(self.config.side),
        }
        if self.start:
            start_networks = read_networks(self.start)
            for name, module in (
                ("synthesizer", start_networks.psi),
                ("motion", start_networks.motion),
                (EXPRESSION_TO_MOTION, start_networks.expression_to_motion),
            ):
                try:
                    out[name].load_state_dict(module.state_dict() if module is not None else {})
                except RuntimeError as e:
                    raise HeadcastError(
                        f"{self.start}: not weights of portrait4d.motion, --size {self.size}"
                    ) from e
        if self.encoder:
            for name, state in load_encoder_parts(self.encoder).items():
                try:
                    out[name].load_state_dict(state)
                except RuntimeError as e:
                    raise HeadcastError(f"{self.encoder}: not weights of portrait4d.encoder") from e
        return out

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Create optimizers; motion layers have 2.5 times the rate, expression planes ten times."""
        psi = networks["synthesizer"]
        # the background is frozen: source and driver share a camera, it would learn to copy the source's head
        is_static = lambda n: not is_motion_layer(n) and not n.startswith("background")  # noqa: E731
        is_expression_plane = lambda n: n.startswith("moving.planes")  # noqa: E731
        is_motion = lambda n: is_motion_layer(n) and not is_expression_plane(n)  # noqa: E731
        groups = [
            *self.groups(psi, is_static),
            *self.groups(psi, is_expression_plane, EXPRESSION_PLANES_LR_SCALE),
            *self.groups(psi, is_motion, 2.5),
        ]
        groups[-1]["params"] += [
            p for k in ("motion", EXPRESSION_TO_MOTION, "read") for p in networks[k].parameters()
        ]
        return {
            "main": adam(groups, self.rate, self.momentum),
            DISCRIMINATOR: self.discriminator_optimizer(networks[DISCRIMINATOR]),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Any]:
        """Make ``source``, ``driver``, ``reference`` (see ``frames``), and two cameras for each.

        ``real_p`` and ``real_q``: where the real frame replaces a pseudo view.
        """
        source, driver, reference = self.frames(index, seed, device)
        rng = np.random.default_rng([seed, index, 4])
        fractions = {  # of real frames: for I_d(θp), for I_d(θq)
            "full": (0.1, 0.8),
            "no-init": (0.1, 0.8),
            "real-only": (1, 1),
            "pseudo-p": (0.1, 1),
            "pseudo-q": (1, 0.8),
        }[self.ablation]
        views = sample_cameras(2 * self.people, self.config.side, index, seed, device)
        real = [torch.from_numpy(rng.random(self.people) < s).to(device) for s in fractions]
        by_weights = rng.random(self.people) < CODE_FRACTION
        by_weights[: self.real] = False  # codes fitted to a frame contain less than the frame
        return {
            "source": source,
            "driver": driver,
            "reference": reference,
            "K": views.K,
            "cam_from_world": views.cam_from_world,
            "real_p": real[0],
            "real_q": real[1],
            "by_weights": torch.from_numpy(by_weights).to(device),
        }

    @property
    def real(self) -> int:
        """Number of real clips in a batch."""
        return round(self.clip_share * self.people) if self.clips else 0

    def frames(self, index: int, seed: int, device: torch.device) -> ClipFrames:
        """Read two frames of each clip, and the source's frame from the driver's camera.

        Real clips come first, with their first frame once more, then synthetic ones.
        """
        real = self.real
        synthetic, side = self.people - real, self.config.side
        pairs = [read_clip_pair(self.clips, index * real + k, seed, side, self.config) for k in range(real)]
        clips = [[source, driver, source] for source, driver in pairs]
        if synthetic and self.folder:
            clips.append(read_people(self.folder).moment_pairs(synthetic, index, seed, device, side))
        elif synthetic:
            frames = synthesize_clips(synthetic, 2, side, index, seed, device).with_neck(self.config)
            source = frames[slice(0, None, 2)]
            clips.append([source, frames[slice(1, None, 2)], source])
        source, driver, reference = (NeckShots.joined([s[k] for s in clips], device) for k in range(3))
        return ClipFrames(source, driver, reference)

    def pseudo(
        self, driver: NeckShots, K: Tensor, pose: Tensor, selected: Bool[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h w"]]:
        """Render I_d(θ) of Eq. 3 and its opacity by the frozen Ψ3d where ``selected``, else the frame's."""
        image, alpha = driver.image.clone(), driver.alpha.clone()
        if not bool(selected.any()):
            return image, alpha
        frozen, side = load_frozen_synthesizer(self.static, str(image.device), self.config), self.config.side
        with torch.no_grad():
            part = driver[selected.nonzero()[:, 0]]
            head = frozen.head(frozen.appearance(part.image))
            rays = rays_between(K[selected], pose[selected], side, self.config, side // 4)
            output = frozen.render(head, rays, part.neck(self.config))
            soft = nn.functional.interpolate(output.alpha, (side, side), mode="bilinear")
        image[selected], alpha[selected] = output.image.clamp(-1, 1).to(image), soft.to(alpha)
        return image, alpha

    def render_batch(self, networks: Networks, batch: Any, jitter: bool) -> BatchRendering:
        """Render I_re of Eq. 4 and make its target."""
        psi, source, driver = networks["synthesizer"], batch["source"], batch["driver"]
        assert isinstance(psi, Synthesizer)
        c, n = self.config, self.people
        p, q = slice(0, n), slice(n, 2 * n)
        K, pose = batch["K"], batch["cam_from_world"]
        real_p, real_q = batch["real_p"], batch["real_q"]
        motion_view, _ = self.pseudo(driver, K[p], pose[p], ~real_p)
        image, alpha = self.pseudo(driver, K[q], pose[q], ~real_q)
        marks = select(
            real_p,
            driver.marks,
            project_to_views(driver.landmarks, K[p], pose[p]),
        )
        encoder = networks["motion"]
        v_s, driver_motion = (encoder(align_faces(x.image, x.marks)) for x in (source, driver))
        v_d = encoder(align_faces(motion_view, marks))
        K_q, pose_q = select(real_q, driver.K, K[q]), select(real_q, driver.cam_from_world, pose[q])
        weight = None
        if c.mean_planes:
            weight = moving_region_weights(
                project_to_views(driver.landmarks, K_q, pose_q), c.side, MOVING_REGION_WEIGHT
            )
            weight = weight / weight.mean()
        # without the opacity term the background would paint heads
        target = LossTarget(
            image=image, box=driver.box(K_q, pose_q), alpha=alpha, only_perceptual=~real_q, weight=weight
        )
        appearance = psi.appearance(source.image, v_s)
        from_codes = networks[EXPRESSION_TO_MOTION](expression_code(driver.params))
        head = psi.head(appearance, select(batch["by_weights"], from_codes, v_d))
        rays = rays_between(K_q, pose_q, c.side, c, c.side // 4)
        return BatchRendering(
            output=psi.render(head, rays, driver.neck(c), jitter),
            target=target,
            appearance=appearance,
            v_s=v_s,
            driver_motion=driver_motion,
        )

    def difference(
        self, networks: Networks, batch: Any, rendering: BatchRendering, jitter: bool
    ) -> Float[Tensor, ""]:
        """Compare the change by the driver's expression with the true change, from the driver's camera.

        The error of a head's appearance is larger than an expression's change, but here it cancels.
        """
        psi, driver, reference = networks["synthesizer"], batch["driver"], batch["reference"]
        assert isinstance(psi, Synthesizer)
        c, from_codes = self.config, networks[EXPRESSION_TO_MOTION](expression_code(reference.params))
        head = psi.head(rendering.appearance, select(batch["by_weights"], from_codes, rendering.v_s))
        neutral = psi.render(head, reference.rays(c, c.side // 4), reference.neck(c), jitter)
        change = driver.image - reference.image
        weight = torch.maximum(
            *(moving_region_weights(x.marks, c.side, MOVING_REGION_WEIGHT) for x in (driver, reference))
        )
        weight = weight / weight.mean()
        valid = batch["real_q"].to(change)
        valid[: self.real] = 0  # a real clip's camera has moved
        valid = valid / valid.sum().clamp(min=1)
        out = change.new_zeros(())
        n = neutral.image_raw.shape[-1]
        for rendered_change, true_change, pixel_weight in (
            (rendering.output.image - neutral.image, change, weight),
            (
                rendering.output.image_raw - neutral.image_raw,
                downsample_area(change, n),
                downsample_area(weight, n),
            ),
        ):
            error = rendered_change - true_change
            out = (
                out
                + (((2 * error.square() + 0.5 * error.abs()) * pixel_weight).mean((1, 2, 3)) * valid).sum()
            )
        return out

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Compute Eq. 5, the term on changes, and the terms of the embeddings.

        These are the distance of faces' embeddings to those of their codes, and the error of reading codes.
        """
        adversarial = step * self.people >= self.adversarial_from
        if optimizer == DISCRIMINATOR and not adversarial:
            return {}
        differs = optimizer == "main" and self.config.expression_planes > 0 and self.difference_weight > 0
        ray_seed = int(torch.randint(1 << 31, ()))  # both renderings sample their rays alike
        with torch.set_grad_enabled(optimizer == "main"), torch.random.fork_rng():
            torch.manual_seed(ray_seed)
            rendering = self.render_batch(networks, batch, True)
        if optimizer == DISCRIMINATOR:
            return self.discriminator_losses(
                networks[DISCRIMINATOR], rendering.output, rendering.target, step
            )
        out = self.terms(networks, rendering.output, rendering.target, adversarial)
        if differs:
            with torch.random.fork_rng():
                torch.manual_seed(ray_seed)
                out["difference"] = self.difference_weight * self.difference(networks, batch, rendering, True)
        codes = torch.cat([expression_code(batch[k].params) for k in ("source", "driver")])
        embeddings = torch.cat([rendering.v_s, rendering.driver_motion])
        error = (networks["read"](embeddings) - codes) / SPREAD
        targets = networks[EXPRESSION_TO_MOTION](codes).detach()
        # codes fitted to a real face hold less than the face
        synthetic = torch.arange(self.people, device=error.device) >= self.real
        return {
            **out,
            EXPRESSION_TO_MOTION: MAP_WEIGHT
            * (normalized_mse(embeddings, targets) * synthetic.repeat(2)).mean(),
            "read": READ_WEIGHT * error.square().mean(),
        }

    def preview(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Tile source, driver, result, target."""
        rendering = self.render_batch(networks, batch, False)
        columns = [
            batch["source"].image,
            batch["driver"].image,
            rendering.output.image,
            rendering.target.image,
        ]
        return tile_columns(columns)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Return the tensors of Ψ, and those of its companions as ``_motion.*`` and ``_said.*``."""
        out = half_precision_state(networks["synthesizer"])
        for name in ("motion", EXPRESSION_TO_MOTION):
            state = networks[name].state_dict()
            out |= {f"_{name}.{k}": v.to("cpu", torch.float16) for k, v in state.items()}
        return out

    def card(self) -> dict[str, Any]:
        """Describe the weights and their training data."""
        return {
            "what": f"Portrait4D-v2's synthesizer with its motion encoder, {self.size}",
            "status": "preview",
            "licence": "Apache-2.0",
            "ablation": self.ablation,
            "trained_on": "synthetic talking heads (headcast synth, train split)",
        }


def select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Select entries of the batch from ``a`` where ``condition``, else from ``b``."""
    return torch.where(condition.reshape(-1, *[1] * (a.dim() - 1)), a, b)
