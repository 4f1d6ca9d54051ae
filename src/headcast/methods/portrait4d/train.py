"""Both stages of Portrait4D-v2: Ψ3d on heads from many sides (4.2), Ψ on clips seen from many (4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.clips import clip_pair, joined
from headcast.methods.portrait4d.data import (
    Shots,
    clip_frames,
    drawn_views,
    rays_between,
    seen_from,
    several_views,
)
from headcast.methods.portrait4d.losses import (
    Discriminator,
    Target,
    fooling,
    gradient_penalty,
    reconstruction,
    shrunk,
    telling,
)
from headcast.methods.portrait4d.motion import MotionEncoder, WeightsToMotion, faces_of, told
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, TINY, Config, Picture, Synthesizer
from headcast.methods.portrait4d.stored import read_people
from headcast.training.config import TrainConfig
from headcast.weights import load_tensors, weights_path

__all__ = ["Ablation", "MotionRecipe", "StaticRecipe", "synthesizer_of"]

WEIGHTS = {
    "l1": 1.0, "l1_raw": 1.0, "perceptual": 0.5, "identity": 0.3, "depth": 1.0, "opacity": 1.0, "behind": 0.5,
}  # fmt: skip
"""Of the terms of Eq. 2 and 5. The paper takes those of Portrait4D, which it doesn't print."""
ADVERSARIAL, PENALTY, PENALTY_EVERY = 0.05, 1.0, 16
SAID = 0.1
"""Of the map from weights to embeddings: what bounds Ψ's gradients must not be filled by it."""
MOTION_LAYERS = ("attn2", "norm2", "maps", "proj_y")
"""Parts of Ψ that only the full model has: they learn 2.5 times as fast."""

Networks = dict[str, nn.Module]
Ablation = Literal["full", "no-init", "real-only", "pseudo-p", "pseudo-q"]


@cache
def synthesizer_of(file: str, device: str, config: Config = SMALL) -> Synthesizer:
    """Frozen weights of a file or bundled ones by name, once a process; motion layers may be missing.

    Raises:
        HeadcastError: weights of something else or of another size.
    """
    network = Synthesizer(config)
    state = {k: v.float() for k, v in load_tensors(file)[0].items() if not k.startswith("_")}
    try:
        found = network.load_state_dict(state, strict=False)
    except RuntimeError as e:
        raise HeadcastError(f"{file}: weights of another size; check --size") from e
    if found.unexpected_keys or not all(map(is_motion, found.missing_keys)):
        raise HeadcastError(f"{file}: not weights of portrait4d.static")
    return network.to(device).eval().requires_grad_(False)


def adam(groups: list[dict[str, Any]], rate: float, first: float = 0.0) -> torch.optim.Optimizer:
    """Adam; ``first``: its memory of gradients, none as StyleGAN's descendants have it for adversarial terms.

    Without that memory, and without a bound of the gradients, single batches of few heads throw Ψ off.
    """
    return torch.optim.Adam(groups, rate, betas=(first, 0.99), eps=1e-8)


def is_motion(name: str) -> bool:
    """Whether a parameter of Ψ belongs to its motion layers."""
    return name.startswith("encoder_canonical") and any(part in name for part in MOTION_LAYERS)


def shipped_synthesizer(network: nn.Module) -> dict[str, Tensor]:
    """Ψ's tensors in half precision; the noise of the super-resolution is not used and not kept apart."""
    return {k: v.to("cpu", torch.float16) for k, v in network.state_dict().items()}


def grid(columns: list[Tensor]) -> UInt8[np.ndarray, "h w 3"]:
    """Pictures -1..1, one row each, at most four rows."""
    side = columns[0].shape[-1]
    same = [nn.functional.interpolate(c[:4].float(), (side, side)) for c in columns]
    rows = torch.cat([torch.cat(list(c), 1) for c in same], 2)
    return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


@dataclass(frozen=True)
class Stage:
    """What both stages share."""

    people: int = 4
    """Synthetic people in a batch; the paper's batch is 32."""
    rate: float = 5e-4
    """Learning rate of the layers that both stages train (2.5 times that for the motion layers)."""
    adversarial_from: int = 1_000_000
    """Pictures seen after which the adversarial term begins and the depth term ends."""
    size: Literal["small", "official", "tiny"] = "small"
    """Which configuration of the network; tiny only shows that training runs."""
    folder: str = ""
    """People made before by tools/build_portrait4d_people.py; empty: made while training, without end."""
    mean_rate: float = 20.0
    """How much faster the average head's planes learn than the rest (small only)."""

    @property
    def config(self) -> Config:
        """Sizes of the network."""
        return {"official": OFFICIAL, "small": SMALL, "tiny": TINY}[self.size]

    def groups(
        self, network: nn.Module, of: Callable[[str], bool], factor: float = 1.0
    ) -> list[dict[str, Any]]:
        """Ψ's parameters of some names, the average head's planes apart."""
        named = [(n, p) for n, p in network.named_parameters() if of(n)]
        out = [{"params": [p for n, p in named if n != "mean"], "lr": factor * self.rate}]
        mean = [p for n, p in named if n == "mean"]
        return out + [{"params": mean, "lr": self.mean_rate * self.rate}] * bool(mean)

    @property
    def memory(self) -> float:
        """Of Adam: none once there is an adversarial term."""
        return 0.0 if self.adversarial_from <= 0 else 0.9

    def resolution(self, seen: int) -> int:
        """Side of the volume's picture: half at first, then growing to the full one over as many pictures.

        The small network starts with the full one: it has few pixels.
        """
        full = self.config.side // 4
        if self.size == "small":
            return full
        share = min(1.0, max(0.0, seen / self.adversarial_from - 1))
        return round(full / 2 * (1 + share) / 8) * 8

    def judge_losses(self, judge: nn.Module, drawn: Picture, target: Target, step: int) -> dict[str, Tensor]:
        """The discriminator's side of the adversarial term."""
        assert isinstance(judge, Discriminator)
        raw = shrunk(target.image, drawn.raw.shape[-1])
        real, made = judge(target.image, raw), judge(drawn.image.detach(), drawn.raw.detach())
        out = {"telling": telling(real, made)}
        if step % PENALTY_EVERY == 0:
            out["penalty"] = gradient_penalty(judge, target.image, raw) * PENALTY * PENALTY_EVERY / 2
        return out

    def terms(
        self, networks: Networks, drawn: Picture, target: Target, adversarial: bool
    ) -> dict[str, Tensor]:
        """Eq. 2 and 5 with their weights."""
        from headcast.priors.encoder.infer import load

        out = reconstruction(drawn, target, load("losses", drawn.image.device))
        if adversarial:
            out.pop("depth", None)
        out = {k: WEIGHTS[k] * v for k, v in out.items()}
        if adversarial:
            out["fooling"] = ADVERSARIAL * fooling(networks["judge"](drawn.image, drawn.raw))
        return out


@dataclass(frozen=True)
class StaticRecipe(Stage):
    """Ψ3d: one picture of a synthetic head in, the same head from another side out (Eq. 2)."""

    name: ClassVar[str] = "portrait4d-static"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.995, warmup=50, clip=1.0, cooldown=0.3)

    start: str = ""
    """Weights to begin with: a file of portrait4d.average (small) or of an earlier portrait4d.static."""

    def networks(self, seed: int) -> Networks:
        """Ψ3d and the discriminator."""
        torch.manual_seed(seed)
        psi = Synthesizer(self.config)
        if self.start:
            psi.load_state_dict(
                {k: v.float() for k, v in load_tensors(Path(self.start))[0].items()}, strict=False
            )
        return {"synthesizer": psi, "judge": Discriminator(self.config.side)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """Motion layers rest."""
        used = self.groups(networks["synthesizer"], lambda n: not is_motion(n))
        judge = adam([{"params": list(networks["judge"].parameters())}], 2 * self.rate)
        return {"main": adam(used, self.rate, self.memory), "judge": judge}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Shots]:
        """``source`` and ``target`` pictures of the same heads."""
        if self.folder:
            people = read_people(self.folder)
            return dict(
                zip(
                    ("source", "target"),
                    people.drawn(self.people, index, seed, device, self.config.side),
                    strict=True,
                )
            )
        both = several_views(self.people, 2, self.config.side, index, seed, device)
        return {"source": both[slice(0, None, 2)], "target": both[slice(1, None, 2)]}

    def drawn(self, networks: Networks, batch: Any, resolution: int, jitter: bool) -> Picture:
        """The sources' heads seen from the targets' cameras."""
        psi, source, target = networks["synthesizer"], batch["source"], batch["target"]
        assert isinstance(psi, Synthesizer)
        head = psi.head(psi.appearance(source.image))
        rays = target.rays(self.config, resolution)
        return psi.render(head, rays, target.neck(self.config), jitter)

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Eq. 2; there is no triplane term, for no teacher has planes here."""
        seen = step * self.people
        adversarial = seen >= self.adversarial_from
        if optimizer == "judge" and not adversarial:
            return {}
        with torch.set_grad_enabled(optimizer == "main"):
            drawn = self.drawn(networks, batch, self.resolution(seen), True)
        target = batch["target"].target(self.config.units_per_metre, batch["source"].background)
        if optimizer == "judge":
            return self.judge_losses(networks["judge"], drawn, target, step)
        return self.terms(networks, drawn, target, adversarial)

    def pictures(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Source, result, volume's own picture, opacity, target."""
        drawn = self.drawn(networks, batch, self.config.side // 4, False)
        opacity = drawn.alpha.expand(-1, 3, -1, -1) * 2 - 1
        columns = [batch["source"].image, drawn.image, drawn.raw, opacity, batch["target"].image]
        return grid(columns)

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """Ψ3d's tensors without motion layers, which it doesn't use."""
        return {k: v for k, v in shipped_synthesizer(networks["synthesizer"]).items() if not is_motion(k)}

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return {
            "what": f"Portrait4D-v2's static synthesizer, {self.size}", "status": "preview",
            "licence": "Apache-2.0", "trained_on": "synthetic heads (headcast synth, train split)",
        }  # fmt: skip


@dataclass(frozen=True)
class MotionRecipe(Stage):
    """Ψ: cross-view self-reenactment on clips that a frozen Ψ3d has turned into many views (Eq. 3-5)."""

    name: ClassVar[str] = "portrait4d"
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.995, warmup=50, clip=1.0, cooldown=0.3)

    static: str = "portrait4d-static"
    """Weights of Ψ3d: a file, or the bundled ones."""
    ablation: Ablation = "full"
    """The paper's configurations: full; no-init (A, no start from Ψ3d); real-only (B, real frames alone);
    pseudo-p (C, pseudo views for the motion alone); pseudo-q (D, pseudo views for the target alone)."""

    clips: str = ""
    """Folder of real clips: frames in folders, as VFHQ, or videos; tracked as they are read."""
    clip_share: float = 0.5
    """Share of the batch that comes from them."""

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
        m = self.config.motion
        return {
            "synthesizer": psi, "motion": MotionEncoder(m), "said": WeightsToMotion(m),
            "judge": Discriminator(self.config.side),
        }  # fmt: skip

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """2.5 times the rate for what is about motion."""
        psi = networks["synthesizer"]
        # the background rests: source and driver share a camera, and it would learn to copy the source's head
        still = lambda n: not is_motion(n) and not n.startswith("background")  # noqa: E731
        groups = [*self.groups(psi, still), *self.groups(psi, is_motion, 2.5)]
        groups[-1]["params"] += [*networks["motion"].parameters(), *networks["said"].parameters()]
        judge = adam([{"params": list(networks["judge"].parameters())}], 2 * self.rate)
        return {"main": adam(groups, self.rate, self.memory), "judge": judge}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Any]:
        """``source`` and ``driver`` frames, two cameras each, and which of them the real frame replaces."""
        if self.folder:
            source, driver = read_people(self.folder).clips(
                self.people, index, seed, device, self.config.side
            )
        else:
            both = clip_frames(self.people, 2, self.config.side, index, seed, device)
            source, driver = both[slice(0, None, 2)], both[slice(1, None, 2)]
        chance = np.random.default_rng([seed, index, 4])
        shares = {  # of real frames: for I_d(θp), for I_d(θq)
            "full": (0.1, 0.8), "no-init": (0.1, 0.8), "real-only": (1, 1), "pseudo-p": (0.1, 1),
            "pseudo-q": (1, 0.8),
        }[self.ablation]  # fmt: skip
        views = drawn_views(2 * self.people, self.config.side, index, seed, device)
        real = [torch.from_numpy(chance.random(self.people) < s).to(device) for s in shares]
        return {
            "source": source, "driver": driver,
            "K": views.K, "cam_from_world": views.cam_from_world, "real_p": real[0], "real_q": real[1],
        }  # fmt: skip

    def frames(self, index: int, seed: int, device: torch.device) -> tuple[Shots, Shots]:
        """Two frames of each clip: real ones first, then synthetic ones."""
        real = round(self.clip_share * self.people) if self.clips else 0
        made, side = self.people - real, self.config.side
        pairs = [clip_pair(self.clips, index * real + k, seed, side, self.config) for k in range(real)]
        if made and self.folder:
            first, second = read_people(self.folder).clips(made, index, seed, device, side)
            pairs.append((first, second))
        elif made:
            both = clip_frames(made, 2, side, index, seed, device).with_neck(self.config)
            pairs.append((both[slice(0, None, 2)], both[slice(1, None, 2)]))
        source, driver = (joined([p[k] for p in pairs], device) for k in (0, 1))
        return source, driver

    def pseudo(self, batch: Any, which: slice) -> Picture:
        """I_d(θ) of Eq. 3, by the frozen Ψ3d."""
        driver: Shots = batch["driver"]
        frozen = synthesizer_of(self.static, str(driver.image.device), self.config)
        with torch.no_grad():
            head = frozen.head(frozen.appearance(driver.image))
            K, pose = batch["K"][which], batch["cam_from_world"][which]
            rays = rays_between(K, pose, self.config.side, self.config, self.config.side // 4)
            return frozen.render(head, rays, driver.neck(self.config))

    def drawn(self, networks: Networks, batch: Any, jitter: bool) -> tuple[Picture, Target, Tensor]:
        """I_re of Eq. 4, what it is to match, and v_d."""
        psi, source, driver = networks["synthesizer"], batch["source"], batch["driver"]
        assert isinstance(psi, Synthesizer)
        c, n = self.config, self.people
        p, q = slice(0, n), slice(n, 2 * n)
        K, pose = batch["K"], batch["cam_from_world"]
        real_p, real_q = batch["real_p"], batch["real_q"]
        made = [None if bool(r.all()) else self.pseudo(batch, s) for s, r in ((p, real_p), (q, real_q))]
        views = [driver.image if x is None else x.image.clamp(-1, 1) for x in made]
        seen = chosen(real_p, driver.image, views[0])
        marks = chosen(
            real_p, seen_from(driver.landmarks, driver.K, driver.cam_from_world),
            seen_from(driver.landmarks, K[p], pose[p]),
        )  # fmt: skip
        encoder = networks["motion"]
        v_s = encoder(faces_of(source.image, seen_from(source.landmarks, source.K, source.cam_from_world)))
        v_d = encoder(faces_of(seen, marks))
        K_q, pose_q = chosen(real_q, driver.K, K[q]), chosen(real_q, driver.cam_from_world, pose[q])
        image = chosen(real_q, driver.image, views[1])
        alpha = None
        if not self.clips:  # without it the background would paint heads
            alpha = driver.alpha
            if made[1] is not None:
                soft = nn.functional.interpolate(made[1].alpha, alpha.shape[-2:], mode="bilinear")
                alpha = chosen(real_q, alpha, soft)
        target = Target(image, driver.box(K_q, pose_q), alpha, only_perceptual=~real_q)
        head = psi.head(psi.appearance(source.image, v_s), v_d)
        rays = rays_between(K_q, pose_q, c.side, c, c.side // 4)
        return psi.render(head, rays, driver.neck(c), jitter), target, v_d

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Eq. 5, and how far the embedding that weights would give is from the driver's."""
        adversarial = step * self.people >= self.adversarial_from
        if optimizer == "judge" and not adversarial:
            return {}
        with torch.set_grad_enabled(optimizer == "main"):
            drawn, target, v_d = self.drawn(networks, batch, True)
        if optimizer == "judge":
            return self.judge_losses(networks["judge"], drawn, target, step)
        said = networks["said"](told(batch["driver"].params))
        out = self.terms(networks, drawn, target, adversarial)
        v_d = v_d.detach()
        spread = v_d.square().mean().clamp(min=1e-3)
        return {**out, "said": SAID * (said - v_d).square().mean() / spread}

    def pictures(self, networks: Networks, batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Source, driver, result, target."""
        drawn, target, _ = self.drawn(networks, batch, False)
        return grid([batch["source"].image, batch["driver"].image, drawn.image, target.image])

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
            "what": f"Portrait4D-v2's synthesizer with its motion encoder, {self.size}", "status": "preview",
            "licence": "Apache-2.0", "ablation": self.ablation,
            "trained_on": "synthetic talking heads (headcast synth, train split)",
        }  # fmt: skip


def chosen(which: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Entries of the batch from ``a`` where ``which``, else from ``b``."""
    return torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b)
