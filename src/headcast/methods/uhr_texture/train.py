"""How the three networks are trained (§4.2): predictor; hash and GDE; then, with those frozen, the HFDR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.uhr_texture.batches import (
    comparison_rows,
    crop_windows,
    fit_level_to_looks,
    image_grid,
    mask_with_holes,
    perturb_prior,
    sample_gains,
    scale_light,
    target_maps,
    to_channels_last,
)
from headcast.methods.uhr_texture.data import Looks, as_float, make_looks, read_looks
from headcast.methods.uhr_texture.light import coarse_of, delit_image, estimate_shading, skin_mean
from headcast.methods.uhr_texture.losses import l1_loss, laplacian_loss
from headcast.methods.uhr_texture.network import GDE, HFDR, Config, Predictor, config_named, resized
from headcast.methods.uhr_texture.weights import load_network, to_stored
from headcast.training.config import TrainConfig

__all__ = ["GDERecipe", "HFDRRecipe", "NormalRecipe"]

SEED = 606
"""Of synthetic people made as training goes."""
WHOLE = 0.3
"""How often stage 2 sees a whole view instead of a window, so that it knows necks, too."""
HALVINGS = (1, 1, 1, 2, 4)
"""By which windows are reduced: the guide's ratio lies between 1 and 8."""


@dataclass(frozen=True)
class UhrRecipe:
    """What the three have in common. Adam at 1e-3 (§4.2); the trainer's cooldown is our plateau rule."""

    defaults: ClassVar[TrainConfig] = TrainConfig(
        ema=0.99, warmup=20, cooldown=0.3, clip=5.0, picture_every=0
    )

    size: str = "small"
    """official (the paper's), small (what ships) or tiny (for tests)."""
    folder: str = ""
    """Looks by tools/build_uhr_looks.py; empty: made as it goes."""
    count: int = 8
    """Looks in a batch."""
    rate: float = 1e-3
    """Learning rate."""
    start: str = ""
    """Weights of the same network and size to go on from."""
    pixels: int = 256
    """Side of images made as it goes. texture: of their skin."""
    texture: int = 1024
    """Side of the skin textures made as it goes."""

    @property
    def config(self) -> Config:
        """Sizes."""
        return config_named(self.size)

    def begun(self, network: nn.Module) -> nn.Module:
        """Quick for CPUs, with the weights of ``start``."""
        if self.start:
            kind = self.name.removeprefix("uhr-")  # type: ignore[attr-defined]
            try:
                network.load_state_dict(load_network(kind, self.start).state_dict())
            except RuntimeError as e:
                raise HeadcastError(f"{self.start}: of another size than '{self.size}'; give --size") from e
        return to_channels_last(network)

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Adam over everything."""
        return {"main": torch.optim.Adam([p for n in networks.values() for p in n.parameters()], self.rate)}

    def looks(self, index: int, seed: int, device: torch.device) -> tuple[Looks, torch.Generator]:
        """The batch's looks and its dice."""
        dice = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + SEED)
        if self.folder:
            every = read_looks(self.folder)
            chosen = torch.randperm(len(every), generator=dice)[: self.count]
            return as_float(every[chosen], device), dice
        first = int(torch.randint(0, 2**40, (), generator=dice))
        numbers = np.arange(first, first + self.count)
        return make_looks("train", SEED, numbers, self.pixels, self.texture, device), dice

    def seen(
        self, maps: Float[Tensor, "n 16 h h"], dice: torch.Generator, gain: Tensor | None = None
    ) -> Float[Tensor, "n 16 h h"]:
        """The looks with images a little brighter or darker (or by ``gain``), and noisy."""
        n = len(maps)
        gain = sample_gains(n, dice) if gain is None else gain
        level = 0.012 * torch.rand(n, 1, 1, 1, generator=dice)
        noise = torch.randn(n, 3, *maps.shape[2:], generator=dice) * level
        rgb = (scale_light(maps[:, :3], gain) + noise.to(maps)).clamp(0, 1)
        return torch.cat([rgb, maps[:, 3:]], 1)

    def made_from(self, what: str) -> dict[str, Any]:
        """The card."""
        return {
            "what": what,
            "status": "preview",
            "licence": "Apache-2.0",
            "size": self.size,
            "trained_on": "synthetic heads in PBR mode (headcast.synth, train split); no photograph",
            "paper": "Ultra-High Resolution Facial Texture Reconstruction from a Single Image",
        }


@dataclass(frozen=True)
class NormalRecipe(UhrRecipe):
    """UV and geometry normal of a portrait (§3.1)."""

    name: ClassVar[str] = "uhr-normal"

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """The predictor."""
        torch.manual_seed(seed)
        return {"predictor": self.begun(Predictor(self.config))}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """``rgb`` and ``prior``."""
        looks, dice = self.looks(index, seed, device)
        maps = self.seen(resized(looks.whole, self.config.side, self.config.side), dice)
        return {"rgb": maps[:, :3], "prior": maps[:, 3:8]}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """L1 of UV and of normals, everywhere."""
        off = (networks["predictor"](batch["rgb"]).float() - batch["prior"]).abs()
        return {"uv": 2 * off[:, :2].mean(), "normal": off[:, 2:].mean()}

    def pictures(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Rows: image, UV found and wanted, normals found and wanted."""
        found, wanted = networks["predictor"](batch["rgb"]), batch["prior"]
        blue = torch.zeros_like(found[:, :1])
        rows = [batch["rgb"], torch.cat([found[:, :2], blue], 1), torch.cat([wanted[:, :2], blue], 1)]
        return image_grid([*rows, found[:, 2:], wanted[:, 2:]])

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Half precision."""
        return to_stored(networks["predictor"], self.config)

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return self.made_from("UV and geometry normal of a square about a face, preview")


@dataclass(frozen=True)
class GDERecipe(UhrRecipe):
    """Guide textures of a whole portrait, with their hash encoding (§3.3)."""

    name: ClassVar[str] = "uhr-gde"
    hashed: bool = True
    """With the facial hash encoding."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """The GDE and its tables."""
        torch.manual_seed(seed)
        gde = self.begun(GDE(self.config, self.hashed))
        if self.folder and isinstance(gde.level, Tensor):
            gde.level.copy_(fit_level_to_looks(self.folder))
        return {"gde": gde}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """``rgb``, ``prior`` (worn), ``free`` of the light that both tell, ``mean``, ``wanted``, ``mask``."""
        looks, dice = self.looks(index, seed, device)
        maps = self.seen(resized(looks.whole, self.config.side, self.config.side), dice)
        prior, skin = perturb_prior(maps[:, 3:8], dice), mask_with_holes(maps, dice)
        free = delit_image(maps[:, :3], estimate_shading(maps[:, :3], prior, skin))
        mean = skin_mean(free, prior, skin)
        return {"rgb": maps[:, :3], "prior": prior, "free": free, "mean": mean, **target_maps(maps)}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """L1 and Laplacian, 1 to 1."""
        found = networks["gde"](batch["rgb"], batch["prior"], batch["free"], batch["mean"]).float()
        return {
            "l1": l1_loss(found, batch["wanted"], batch["mask"]),
            "laplacian": laplacian_loss(found, batch["wanted"], batch["mask"]),
        }

    def pictures(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Rows: image; albedo, micronormal, specular found and wanted."""
        return comparison_rows(
            batch, networks["gde"](batch["rgb"], batch["prior"], batch["free"], batch["mean"])
        )

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Half precision."""
        return to_stored(networks["gde"], self.config)

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return self.made_from("guide albedo, micronormal and specular of a portrait, preview") | {
            "hash": self.hashed
        }


@dataclass(frozen=True)
class HFDRRecipe(UhrRecipe):
    """Fine textures of patches, guided by a frozen GDE (§3.4)."""

    name: ClassVar[str] = "uhr-hfdr"
    gde: str = ""
    """Weights of the GDE; empty: the bundled one."""
    window: int = 128
    """Pixels of the crops trained on."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """The HFDR."""
        torch.manual_seed(seed)
        return {"hfdr": self.begun(HFDR(self.config))}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Crops of windows with their part of prior and guide, enlarged."""
        looks, dice = self.looks(index, seed, device)
        n, count = looks.windows.shape[:2]
        which = torch.randint(0, count, (n,), generator=dice)
        rows = torch.arange(n)
        halve = HALVINGS[int(torch.randint(0, len(HALVINGS), (), generator=dice))]
        fine, place = looks.windows[rows, which], looks.place[rows, which]
        if torch.rand((), generator=dice) < WHOLE:
            fine, place = looks.whole, torch.tensor([0.0, 0.0, 1.0]).expand(n, 3).to(place)
        gain = sample_gains(n, dice)
        fine = self.seen(resized(fine, fine.shape[-1] // halve, fine.shape[-1] // halve), dice, gain)
        whole = self.seen(resized(looks.whole, self.config.side, self.config.side), dice, gain)
        rgb, prior = whole[:, :3], perturb_prior(whole[:, 3:8], dice)
        skin = mask_with_holes(whole, dice)
        shading = estimate_shading(rgb, prior, skin)
        free = delit_image(rgb, shading)
        gde = load_network("gde", self.gde or None, device)
        with torch.no_grad():
            guide = gde(rgb, prior, free, skin_mean(free, prior, skin)).clamp(0, 1)
            stage1 = coarse_of(rgb, prior, guide, shading)
        side = min(self.window, fine.shape[-1])
        free = fine.shape[-1] - side
        x, y = (int(torch.randint(0, free + 1, (), generator=dice)) for _ in range(2))
        part = torch.tensor([x, y], device=device) / fine.shape[-1]
        corner = place[:, :2] + part * place[:, 2:]
        coarse = crop_windows(stage1, torch.cat([corner, place[:, 2:] * side / fine.shape[-1]], 1), side)
        fine = fine[..., y : y + side, x : x + side]
        return {"rgb": fine[:, :3], "coarse": coarse, **target_maps(fine)}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """L1 and Laplacian, 1 to 2."""
        found = networks["hfdr"](batch["rgb"], batch["coarse"]).float()
        return {
            "l1": l1_loss(found, batch["wanted"], batch["mask"]),
            "laplacian": 2 * laplacian_loss(found, batch["wanted"], batch["mask"]),
        }

    def pictures(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Rows: image; albedo, micronormal, specular found and wanted."""
        return comparison_rows(batch, networks["hfdr"](batch["rgb"], batch["coarse"]))

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Half precision."""
        return to_stored(networks["hfdr"], self.config)

    def card(self) -> dict[str, Any]:
        """Trained on what."""
        return self.made_from("albedo, micronormal and specular at a portrait's own detail, preview")
