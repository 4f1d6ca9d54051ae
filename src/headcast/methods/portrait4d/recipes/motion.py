"""Stage 2 of Portrait4D-v2: Ψ on clips that a frozen Ψ3d has turned into many views (4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.clips import clip_pair
from headcast.methods.portrait4d.data import NeckShots, clip_frames, drawn_views, rays_between
from headcast.methods.portrait4d.losses import Target, downsample_area, moving_parts
from headcast.methods.portrait4d.motion_embedding import (
    EXPRESSION_DIM,
    ExpressionToMotion,
    MotionEncoder,
    expression_code,
    faces_of,
)
from headcast.methods.portrait4d.network import Appearance, RenderOutput, Synthesizer
from headcast.methods.portrait4d.people import read_people
from headcast.methods.portrait4d.recipes.base import (
    Networks,
    Stage,
    adam,
    grid,
    is_motion,
    shipped_synthesizer,
    synthesizer_of,
)
from headcast.methods.portrait4d.recipes.motion_encoder import SPREAD, apart, parts_of
from headcast.methods.portrait4d.weights import read_networks
from headcast.nets.discriminator import DualDiscriminator
from headcast.synth.views import project_points
from headcast.weights import weights_path

__all__ = ["DIFFERENCE", "FASTER", "Ablation", "MotionRecipe"]

Ablation = Literal["full", "no-init", "real-only", "pseudo-p", "pseudo-q"]
SAID = 0.1
"""Of the map from weights to embeddings: what bounds Ψ's gradients must not be filled by it."""
READ = 0.1
"""Of reading expression and gaze back out of embeddings. The paper's encoder was trained before."""
MOVING = 40.0
"""How much more counts around mouth and eyes than elsewhere (small only)."""
DIFFERENCE = 4.0
"""Weight of the term on what the expression changes (small only)."""
FASTER = 10.0
"""How much faster than the rest the planes learn that expressions add."""
BY_WEIGHTS = 0.75
"""Share of drivers whose embedding comes from their expression weights, where these are known exactly."""


@dataclass(frozen=True)
class Drawn:
    """A drawing and what belongs to it.

    Attributes:
        picture: I_re of Eq. 4. target: what it is to match. kept: what Ψ kept of the sources.
        v_s, own: embeddings of the sources' and of the drivers' real frames. Not v_d: a weak Ψ3d blurs what
            its pseudo view should show, and nothing can be read from that.
    """

    picture: RenderOutput
    target: Target
    kept: Appearance
    v_s: Float[Tensor, "b m"]
    own: Float[Tensor, "b m"]


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
    """Weights of an earlier portrait4d.motion to go on from; Ψ3d of ``static`` still draws pseudo views."""
    ablation: Ablation = "full"
    """The paper's configurations: full; no-init (A, no start from Ψ3d); real-only (B, real frames alone);
    pseudo-p (C, pseudo views for the motion alone); pseudo-q (D, pseudo views for the target alone)."""

    clips: str = ""
    """Folder of real clips: frames in folders, as VFHQ, or videos; tracked as they are read."""
    clip_share: float = 0.5
    """Share of the batch that comes from them."""
    difference_weight: float = DIFFERENCE
    """Of the term on what an expression changes (small only; 0: the paper's terms alone)."""

    def networks(self, seed: int) -> Networks:
        """Ψ from Ψ3d's weights, the motion encoder, the map from weights to motion, the discriminator.

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
            frozen = synthesizer_of(self.static, "cpu", self.config).state_dict()
            psi.load_state_dict({k: v for k, v in frozen.items() if not is_motion(k)}, strict=False)
        if self.config.mean_planes:  # small begins as Ψ3d: budgets of minutes don't forgive random layers
            for name, p in psi.named_parameters():
                if "attn2.proj" in name:
                    nn.init.zeros_(p)
        m = self.config.motion
        out: Networks = {
            "synthesizer": psi,
            "motion": MotionEncoder(m),
            "said": ExpressionToMotion(m),
            "read": nn.Linear(m, EXPRESSION_DIM),
            "judge": DualDiscriminator(self.config.side),
        }
        if self.start:
            before = read_networks(self.start)
            for name, part in (("synthesizer", before.psi), ("motion", before.motion), ("said", before.said)):
                try:
                    out[name].load_state_dict(part.state_dict() if part is not None else {})
                except RuntimeError as e:
                    raise HeadcastError(
                        f"{self.start}: not weights of portrait4d.motion, --size {self.size}"
                    ) from e
        if self.encoder:
            for name, state in parts_of(self.encoder).items():
                try:
                    out[name].load_state_dict(state)
                except RuntimeError as e:
                    raise HeadcastError(f"{self.encoder}: not weights of portrait4d.encoder") from e
        return out

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """2.5 times the rate for what is about motion."""
        psi = networks["synthesizer"]
        # the background rests: source and driver share a camera, and it would learn to copy the source's head
        still = lambda n: not is_motion(n) and not n.startswith("background")  # noqa: E731
        added = lambda n: n.startswith("moving.planes")  # noqa: E731
        motion = lambda n: is_motion(n) and not added(n)  # noqa: E731
        groups = [
            *self.groups(psi, still),
            *self.groups(psi, added, FASTER),
            *self.groups(psi, motion, 2.5),
        ]
        groups[-1]["params"] += [p for k in ("motion", "said", "read") for p in networks[k].parameters()]
        return {"main": adam(groups, self.rate, self.memory), "judge": self.judge_adam(networks["judge"])}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Any]:
        """``source``, ``driver``, ``still`` (see ``frames``), two cameras each, and which of these the real
        frame replaces."""
        source, driver, still = self.frames(index, seed, device)
        chance = np.random.default_rng([seed, index, 4])
        shares = {  # of real frames: for I_d(θp), for I_d(θq)
            "full": (0.1, 0.8),
            "no-init": (0.1, 0.8),
            "real-only": (1, 1),
            "pseudo-p": (0.1, 1),
            "pseudo-q": (1, 0.8),
        }[self.ablation]
        views = drawn_views(2 * self.people, self.config.side, index, seed, device)
        real = [torch.from_numpy(chance.random(self.people) < s).to(device) for s in shares]
        by_weights = chance.random(self.people) < BY_WEIGHTS
        by_weights[: self.real] = False  # weights fitted to a frame say less than the frame
        return {
            "source": source,
            "driver": driver,
            "still": still,
            "K": views.K,
            "cam_from_world": views.cam_from_world,
            "real_p": real[0],
            "real_q": real[1],
            "by_weights": torch.from_numpy(by_weights).to(device),
        }

    @property
    def real(self) -> int:
        """How many of a batch's clips are real."""
        return round(self.clip_share * self.people) if self.clips else 0

    def frames(self, index: int, seed: int, device: torch.device) -> tuple[NeckShots, NeckShots, NeckShots]:
        """Two frames of each clip, and the first one's moment as the second one's camera sees it (real clips:
        the first frame once more); real ones first, then synthetic ones."""
        real = self.real
        made, side = self.people - real, self.config.side
        pairs = [clip_pair(self.clips, index * real + k, seed, side, self.config) for k in range(real)]
        seen = [[source, driver, source] for source, driver in pairs]
        if made and self.folder:
            seen.append(read_people(self.folder).moment_pairs(made, index, seed, device, side))
        elif made:
            both = clip_frames(made, 2, side, index, seed, device).with_neck(self.config)
            source = both[slice(0, None, 2)]
            seen.append([source, both[slice(1, None, 2)], source])
        source, driver, still = (NeckShots.joined([s[k] for s in seen], device) for k in range(3))
        return source, driver, still

    def pseudo(
        self, driver: NeckShots, K: Tensor, pose: Tensor, wanted: Bool[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h w"]]:
        """I_d(θ) of Eq. 3 and its opacity by the frozen Ψ3d where ``wanted``, else the real frame's."""
        image, alpha = driver.image.clone(), driver.alpha.clone()
        if not bool(wanted.any()):
            return image, alpha
        frozen, side = synthesizer_of(self.static, str(image.device), self.config), self.config.side
        with torch.no_grad():
            part = driver[wanted.nonzero()[:, 0]]
            head = frozen.head(frozen.appearance(part.image))
            rays = rays_between(K[wanted], pose[wanted], side, self.config, side // 4)
            found = frozen.render(head, rays, part.neck(self.config))
            soft = nn.functional.interpolate(found.alpha, (side, side), mode="bilinear")
        image[wanted], alpha[wanted] = found.image.clamp(-1, 1).to(image), soft.to(alpha)
        return image, alpha

    def drawn(self, networks: Networks, batch: Any, jitter: bool) -> Drawn:
        """I_re of Eq. 4 and what it is to match."""
        psi, source, driver = networks["synthesizer"], batch["source"], batch["driver"]
        assert isinstance(psi, Synthesizer)
        c, n = self.config, self.people
        p, q = slice(0, n), slice(n, 2 * n)
        K, pose = batch["K"], batch["cam_from_world"]
        real_p, real_q = batch["real_p"], batch["real_q"]
        seen, _ = self.pseudo(driver, K[p], pose[p], ~real_p)
        image, alpha = self.pseudo(driver, K[q], pose[q], ~real_q)
        marks = chosen(
            real_p,
            driver.marks,
            project_points(driver.landmarks, K[p], pose[p]),
        )
        encoder = networks["motion"]
        v_s, own = (encoder(faces_of(x.image, x.marks)) for x in (source, driver))
        v_d = encoder(faces_of(seen, marks))
        K_q, pose_q = chosen(real_q, driver.K, K[q]), chosen(real_q, driver.cam_from_world, pose[q])
        weight = None
        if c.mean_planes:
            weight = moving_parts(project_points(driver.landmarks, K_q, pose_q), c.side, MOVING)
            weight = weight / weight.mean()
        # without its opacity the background would paint heads
        target = Target(image, driver.box(K_q, pose_q), alpha, only_perceptual=~real_q, weight=weight)
        kept = psi.appearance(source.image, v_s)
        said = networks["said"](expression_code(driver.params))
        head = psi.head(kept, chosen(batch["by_weights"], said, v_d))
        rays = rays_between(K_q, pose_q, c.side, c, c.side // 4)
        return Drawn(psi.render(head, rays, driver.neck(c), jitter), target, kept, v_s, own)

    def difference(self, networks: Networks, batch: Any, drawn: Drawn, jitter: bool) -> Float[Tensor, ""]:
        """How far what the driver's expression changes is from what it should change, seen from the driver's
        camera: how a head looks is further off than what an expression changes, but here it cancels."""
        psi, driver, still = networks["synthesizer"], batch["driver"], batch["still"]
        assert isinstance(psi, Synthesizer)
        c, said = self.config, networks["said"](expression_code(still.params))
        head = psi.head(drawn.kept, chosen(batch["by_weights"], said, drawn.v_s))
        plain = psi.render(head, still.rays(c, c.side // 4), still.neck(c), jitter)
        change = driver.image - still.image
        weight = torch.maximum(*(moving_parts(x.marks, c.side, MOVING) for x in (driver, still)))
        weight = weight / weight.mean()
        share = batch["real_q"].to(change)
        share[: self.real] = 0  # a real clip's camera has moved
        share = share / share.sum().clamp(min=1)
        out = change.new_zeros(())
        n = plain.raw.shape[-1]
        for got, true, w in (
            (drawn.picture.image - plain.image, change, weight),
            (drawn.picture.raw - plain.raw, downsample_area(change, n), downsample_area(weight, n)),
        ):
            off = got - true
            out = out + (((2 * off.square() + 0.5 * off.abs()) * w).mean((1, 2, 3)) * share).sum()
        return out

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Eq. 5; what the expression changes; how far faces' embeddings are from those of their weights, and
        how well they tell weights."""
        adversarial = step * self.people >= self.adversarial_from
        if optimizer == "judge" and not adversarial:
            return {}
        differs = optimizer == "main" and self.config.expressions > 0 and self.difference_weight > 0
        dice = int(torch.randint(1 << 31, ()))  # both renderings sample their rays alike
        with torch.set_grad_enabled(optimizer == "main"), torch.random.fork_rng():
            torch.manual_seed(dice)
            drawn = self.drawn(networks, batch, True)
        if optimizer == "judge":
            return self.judge_losses(networks["judge"], drawn.picture, drawn.target, step)
        out = self.terms(networks, drawn.picture, drawn.target, adversarial)
        if differs:
            with torch.random.fork_rng():
                torch.manual_seed(dice)
                out["difference"] = self.difference_weight * self.difference(networks, batch, drawn, True)
        both = torch.cat([expression_code(batch[k].params) for k in ("source", "driver")])
        found = torch.cat([drawn.v_s, drawn.own])
        off = (networks["read"](found) - both) / SPREAD
        said = networks["said"](both).detach()
        # weights fitted to a real face say less than the face
        made = torch.arange(self.people, device=off.device) >= self.real
        return {
            **out,
            "said": SAID * (apart(found, said) * made.repeat(2)).mean(),
            "read": READ * off.square().mean(),
        }

    def pictures(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Source, driver, result, target."""
        drawn = self.drawn(networks, batch, False)
        columns = [batch["source"].image, batch["driver"].image, drawn.picture.image, drawn.target.image]
        return grid(columns)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Ψ, and beside it ``_motion.*`` and ``_said.*``."""
        out = shipped_synthesizer(networks["synthesizer"])
        for name in ("motion", "said"):
            state = networks[name].state_dict()
            out |= {f"_{name}.{k}": v.to("cpu", torch.float16) for k, v in state.items()}
        return out

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return {
            "what": f"Portrait4D-v2's synthesizer with its motion encoder, {self.size}",
            "status": "preview",
            "licence": "Apache-2.0",
            "ablation": self.ablation,
            "trained_on": "synthetic talking heads (headcast synth, train split)",
        }


def chosen(which: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Entries of the batch from ``a`` where ``which``, else from ``b``."""
    return torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b)
