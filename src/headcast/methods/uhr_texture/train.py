"""How the three networks are trained (§4.2): predictor; hash and GDE; then, with those frozen, the HFDR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.limits import POSITIVE, RATE, Limit
from headcast.methods.uhr_texture.batches import (
    comparison_rows,
    crop_windows,
    fit_level_to_looks,
    image_grid,
    mask_with_holes,
    perturb_prior,
    sample_gains,
    scale_image_light,
    target_maps,
    to_channels_last,
)
from headcast.methods.uhr_texture.data import HeadViews, as_float, make_looks, read_looks
from headcast.methods.uhr_texture.light import coarse_of, delit_image, estimate_shading, skin_mean
from headcast.methods.uhr_texture.losses import l1_loss, laplacian_loss
from headcast.methods.uhr_texture.network import (
    GDE,
    HFDR,
    Predictor,
    SkinNetworkConfig,
    config_named,
    resize_maps,
)
from headcast.methods.uhr_texture.weights import load_network, to_stored
from headcast.training.config import TrainConfig

__all__ = ["GDERecipe", "HFDRRecipe", "NormalRecipe"]

SEED = 606
"""Seed of the synthetic people that are rendered during training."""
WHOLE = 0.3
"""How often stage 2 gets a whole view instead of a window, so that it learns necks, too."""
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
    count: Annotated[int, POSITIVE] = 8
    """Looks in a batch."""
    rate: Annotated[float, RATE] = 1e-3
    """Learning rate."""
    start: str = ""
    """Weights of the same network and size to go on from."""
    pixels: Annotated[int, Limit(16, 4096)] = 256
    """Side of images that are rendered during training. texture: of their skin."""
    texture: Annotated[int, Limit(16, 8192)] = 1024
    """Side of the skin textures made as it goes."""

    @property
    def config(self) -> SkinNetworkConfig:
        """Return the network sizes by name."""
        return config_named(self.size)

    def prepare(self, network: nn.Module) -> nn.Module:
        """Prepare a network for CPUs and load the weights of ``start``."""
        if self.start:
            kind = self.name.removeprefix("uhr-")  # type: ignore[attr-defined]
            try:
                network.load_state_dict(load_network(kind, self.start).state_dict())
            except RuntimeError as e:
                raise HeadcastError(f"{self.start}: of another size than '{self.size}'; give --size") from e
        return to_channels_last(network)

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return Adam over all parameters."""
        return {"main": torch.optim.Adam([p for n in networks.values() for p in n.parameters()], self.rate)}

    def looks(self, index: int, seed: int, device: torch.device) -> tuple[HeadViews, torch.Generator]:
        """Return the batch's looks and its random generator."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + index) * 512 + SEED)
        if self.folder:
            every = read_looks(self.folder)
            chosen = torch.randperm(len(every), generator=generator)[: self.count]
            return as_float(every[chosen], device), generator
        first = int(torch.randint(0, 2**40, (), generator=generator))
        numbers = np.arange(first, first + self.count)
        return make_looks("train", SEED, numbers, self.pixels, self.texture, device), generator

    def augment(
        self, maps: Float[Tensor, "n 16 h h"], generator: torch.Generator, gain: Tensor | None = None
    ) -> Float[Tensor, "n 16 h h"]:
        """Make images a little brighter or darker (or by ``gain``), and noisy."""
        n = len(maps)
        gain = sample_gains(n, generator) if gain is None else gain
        level = 0.012 * torch.rand(n, 1, 1, 1, generator=generator)
        noise = torch.randn(n, 3, *maps.shape[2:], generator=generator) * level
        rgb = (scale_image_light(maps[:, :3], gain) + noise.to(maps)).clamp(0, 1)
        return torch.cat([rgb, maps[:, 3:]], 1)

    def made_from(self, what: str) -> dict[str, Any]:
        """Return the card of the weights file."""
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
        """Build the predictor, UV and normals."""
        torch.manual_seed(seed)
        return {"predictor": self.prepare(Predictor(self.config))}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Return ``rgb`` and the true ``prior``."""
        looks, generator = self.looks(index, seed, device)
        maps = self.augment(resize_maps(looks.whole, self.config.side, self.config.side), generator)
        return {"rgb": maps[:, :3], "prior": maps[:, 3:8]}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return L1 losses of UV and of normals, over all pixels."""
        off = (networks["predictor"](batch["rgb"]).float() - batch["prior"]).abs()
        return {"uv": 2 * off[:, :2].mean(), "normal": off[:, 2:].mean()}

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Lay out rows: image, UV predicted and true, normals predicted and true."""
        found, wanted = networks["predictor"](batch["rgb"]), batch["prior"]
        blue = torch.zeros_like(found[:, :1])
        rows = [batch["rgb"], torch.cat([found[:, :2], blue], 1), torch.cat([wanted[:, :2], blue], 1)]
        return image_grid([*rows, found[:, 2:], wanted[:, 2:]])

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the tensors to store, in half precision."""
        return to_stored(networks["predictor"], self.config)

    def card(self) -> dict[str, Any]:
        """Describe training data and purpose of the weights."""
        return self.made_from("UV and geometry normal of a square about a face, preview")


@dataclass(frozen=True)
class GDERecipe(UhrRecipe):
    """Guide textures of a whole portrait, with their hash encoding (§3.3)."""

    name: ClassVar[str] = "uhr-gde"
    hashed: bool = True
    """With the facial hash encoding."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the GDE with its hash tables."""
        torch.manual_seed(seed)
        gde = self.prepare(GDE(self.config, self.hashed))
        if self.folder and isinstance(gde.level, Tensor):
            gde.level.copy_(fit_level_to_looks(self.folder))
        return {"gde": gde}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Return ``rgb``, bent ``prior``, de-lit ``free``, its ``mean``, true maps ``wanted``, ``mask``."""
        looks, generator = self.looks(index, seed, device)
        maps = self.augment(resize_maps(looks.whole, self.config.side, self.config.side), generator)
        prior, skin = perturb_prior(maps[:, 3:8], generator), mask_with_holes(maps, generator)
        delit = delit_image(maps[:, :3], estimate_shading(maps[:, :3], prior, skin))
        mean = skin_mean(delit, prior, skin)
        return {"rgb": maps[:, :3], "prior": prior, "free": delit, "mean": mean, **target_maps(maps)}

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return L1 and Laplacian losses, weighted 1 to 1."""
        found = networks["gde"](batch["rgb"], batch["prior"], batch["free"], batch["mean"]).float()
        return {
            "l1": l1_loss(found, batch["wanted"], batch["mask"]),
            "laplacian": laplacian_loss(found, batch["wanted"], batch["mask"]),
        }

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Lay out rows: image; albedo, micronormal, specular predicted and true."""
        return comparison_rows(
            batch, networks["gde"](batch["rgb"], batch["prior"], batch["free"], batch["mean"])
        )

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the tensors to store, in half precision."""
        return to_stored(networks["gde"], self.config)

    def card(self) -> dict[str, Any]:
        """Describe training data and purpose of the weights."""
        return self.made_from("guide albedo, micronormal and specular of a portrait, preview") | {
            "hash": self.hashed
        }


@dataclass(frozen=True)
class HFDRRecipe(UhrRecipe):
    """Fine textures of patches, guided by a frozen GDE (§3.4)."""

    name: ClassVar[str] = "uhr-hfdr"
    gde: str = ""
    """Weights of the GDE; empty: the bundled one."""
    window: Annotated[int, Limit(16, 4096)] = 128
    """Pixels of the crops trained on."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the HFDR, untrained or resumed."""
        torch.manual_seed(seed)
        return {"hfdr": self.prepare(HFDR(self.config))}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Crop windows with their part of prior and guide, enlarged."""
        looks, generator = self.looks(index, seed, device)
        n, count = looks.windows.shape[:2]
        which = torch.randint(0, count, (n,), generator=generator)
        rows = torch.arange(n)
        halve = HALVINGS[int(torch.randint(0, len(HALVINGS), (), generator=generator))]
        fine, place = looks.windows[rows, which], looks.place[rows, which]
        if torch.rand((), generator=generator) < WHOLE:
            fine, place = looks.whole, torch.tensor([0.0, 0.0, 1.0]).expand(n, 3).to(place)
        gain = sample_gains(n, generator)
        fine = self.augment(
            resize_maps(fine, fine.shape[-1] // halve, fine.shape[-1] // halve), generator, gain
        )
        whole = self.augment(resize_maps(looks.whole, self.config.side, self.config.side), generator, gain)
        stage1 = self.stage1(whole, generator, device)
        side = min(self.window, fine.shape[-1])
        room = fine.shape[-1] - side
        x, y = (int(torch.randint(0, room + 1, (), generator=generator)) for _ in range(2))
        part = torch.tensor([x, y], device=device) / fine.shape[-1]
        corner = place[:, :2] + part * place[:, 2:]
        coarse = crop_windows(stage1, torch.cat([corner, place[:, 2:] * side / fine.shape[-1]], 1), side)
        fine = fine[..., y : y + side, x : x + side]
        return {"rgb": fine[:, :3], "coarse": coarse, **target_maps(fine)}

    def stage1(
        self, whole: Float[Tensor, "n 16 h h"], generator: torch.Generator, device: torch.device
    ) -> Float[Tensor, "n 15 h h"]:
        """Run the frozen GDE on whole views with a bent prior; return ``light.coarse_of`` of them."""
        rgb, prior = whole[:, :3], perturb_prior(whole[:, 3:8], generator)
        skin = mask_with_holes(whole, generator)
        shading = estimate_shading(rgb, prior, skin)
        delit = delit_image(rgb, shading)
        gde = load_network("gde", self.gde or None, device)
        with torch.no_grad():
            guide = gde(rgb, prior, delit, skin_mean(delit, prior, skin)).clamp(0, 1)
            return coarse_of(rgb, prior, guide, shading)

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: Any, step: int
    ) -> dict[str, Tensor]:
        """Return L1 and Laplacian losses, weighted 1 to 2."""
        found = networks["hfdr"](batch["rgb"], batch["coarse"]).float()
        return {
            "l1": l1_loss(found, batch["wanted"], batch["mask"]),
            "laplacian": 2 * laplacian_loss(found, batch["wanted"], batch["mask"]),
        }

    def preview(self, networks: dict[str, nn.Module], batch: Any) -> UInt8[np.ndarray, "h w 3"] | None:
        """Lay out rows: image; albedo, micronormal, specular predicted and true."""
        return comparison_rows(batch, networks["hfdr"](batch["rgb"], batch["coarse"]))

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the tensors to store, in half precision."""
        return to_stored(networks["hfdr"], self.config)

    def card(self) -> dict[str, Any]:
        """Describe training data and purpose of the weights."""
        return self.made_from("albedo, micronormal and specular at a portrait's own detail, preview")
