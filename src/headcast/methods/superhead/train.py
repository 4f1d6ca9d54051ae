"""Training recipe of the UV restorer: ``headcast train superhead.uv_prior --data PAIRS``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import conv2d

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.limits import FRACTION, POSITIVE, RATE, Limit
from headcast.methods.superhead.pairs import Pair, load_pairs, reduced_copy, textures_of
from headcast.methods.superhead.solve import solve_filters
from headcast.methods.superhead.uv_maps import LABELS, SIDE, covered_texels, covered_triangles, label_maps
from headcast.methods.superhead.uv_network import CHANNELS, WEIGHTS, UVRestorer
from headcast.priors.encoder.infer import load_encoder
from headcast.training import TrainConfig

__all__ = ["UVPriorRecipe", "restored_albedo"]

CAREFUL = ("lips", "lids", "brows", "iris", "sclera", "nose")
"""Labels around which crops are drawn more often."""
CARE = 8.0  # how much more often
SOLVE_SEED = 7_000_003  # added to the seed of the batches on which filters are solved
LOG_FLOOR = 0.06  # added to display values before their logarithm, so that noise of black counts little
GAIN, GAMMA = 0.25, 0.4  # of the change of colours of a whole pair: factor 1 ± GAIN, exponent 2^±GAMMA


@dataclass(frozen=True)
class UVPriorRecipe:
    """Recipe of the UV restorer from photos, reduced on the fly, over one geometry each."""

    name: ClassVar[str] = WEIGHTS
    defaults: ClassVar[TrainConfig] = TrainConfig(ema=0.995, cooldown=0.35, warmup=50, clip=1.0)

    data: Path | None = None
    """Folder of pairs, made by tools/build_superhead_pairs.py."""
    crop: Annotated[int, Limit(32, 512)] = 176
    """Side of the crops, texels of 512."""
    size: Annotated[int, POSITIVE] = 4
    """Crops in a batch, of one photo."""
    rate: Annotated[float, RATE] = 1.5e-3
    """Learning rate of Adam."""
    edges: Annotated[float, Limit(0, 100)] = 0.5
    """Weight of the difference of gradients."""
    perceptual: Annotated[float, Limit(0, 100)] = 4.0
    """Weight of the distance of the bundled encoder's features."""
    smallest: Annotated[float, Limit(1, 16)] = 2.5
    """Least reduction of a photo."""
    largest: Annotated[float, Limit(1, 16)] = 5.5
    """Largest reduction of a photo."""
    clean: Annotated[float, FRACTION] = 0.5
    """Fraction of photos that are reduced by area means and nothing else."""
    mixed: Annotated[float, FRACTION] = 0.15
    """Fraction of textures that are mixed with the sharp one, so that good ones stay as they are."""
    solve: Annotated[int, Limit(0, 100_000)] = 150
    """Batches on which the linear filters are solved before training; 0: they start at zero."""

    def networks(self, seed: int) -> dict[str, nn.Module]:
        """Build the UV restorer: its filters solved, its U-Net zero."""
        torch.manual_seed(seed)
        network = UVRestorer()
        if self.solve:
            cpu = torch.device("cpu")
            solve_filters(network, (self.batch(i, seed + SOLVE_SEED, cpu) for i in range(self.solve)), seed)
        return {"uv": network}

    def optimizers(self, networks: dict[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """Return one optimizer: Adam, whose second moment forgets soon."""
        return {"main": torch.optim.Adam(networks["uv"].parameters(), self.rate, (0.9, 0.98))}

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Crop a pair's maps: a function of seed and index.

        Raises:
            HeadcastError: no folder of pairs is given.
        """
        if self.data is None:
            raise HeadcastError(
                "train superhead.uv_prior: give --data, made by tools/build_superhead_pairs.py"
            )
        rng = np.random.default_rng([seed, index])
        pairs = load_pairs(self.data)
        pair = pairs[int(rng.integers(len(pairs)))]
        factor = self.smallest * (self.largest / self.smallest) ** rng.random()
        low, sharp = pair_textures(
            pair, factor, None if rng.random() < self.clean else int(rng.integers(2**31))
        )
        if rng.random() < self.mixed:
            low = low + float(rng.random()) * (sharp - low)
        low, sharp = recoloured(low, sharp, rng)
        maps = network_inputs(low, pair.surface)
        weight = pair.weight.float()[None] / 255
        corners = self.corners(weight[0], rng)

        def cut(m: Tensor) -> Tensor:
            return torch.stack([m[:, b : b + self.crop, a : a + self.crop] for a, b in corners]).to(device)

        return {
            "maps": cut(maps),
            "low": cut(low),
            "sharp": cut(sharp),
            "weight": cut(weight),
            "corner": torch.tensor(corners),
        }

    def corners(self, weight: Float[Tensor, "s s"], rng: np.random.Generator) -> list[tuple[int, int]]:
        """Draw upper left texels (x, y) of crops, even, where the photo shows the face, most at features."""
        chance = (weight * (1 + CARE * careful())).flatten().numpy().astype(np.float64)
        places = rng.choice(SIDE * SIDE, self.size, p=chance / chance.sum())
        half, top = self.crop // 2, SIDE - self.crop
        shift = rng.integers(-half // 2, half // 2 + 1, (self.size, 2))
        y, x = (np.stack(np.divmod(places, SIDE)) - half + shift.T).clip(0, top) // 2 * 2
        return list(zip(x.tolist(), y.tolist(), strict=True))

    def losses(
        self, optimizer: str, networks: dict[str, nn.Module], batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Return the weighted loss terms."""
        found, sharp, weight = restored(networks["uv"], batch), batch["sharp"], batch["weight"]
        count = weight.sum().clamp(min=1) * 3
        off = ((found + LOG_FLOOR).log() - (sharp + LOG_FLOOR).log()) * weight
        shown = sharp + (found - sharp) * weight
        terms = {
            "log_albedo": (off.square() + 1e-6).sqrt().sum() / count,
            "edges": self.edges * gradients(off).abs().sum() / (2 * count),
        }
        if self.perceptual:
            encoder = load_encoder("losses").to(shown.device)
            terms["perceptual"] = self.perceptual * encoder.distance(shown * 2 - 1, sharp * 2 - 1).mean()
        return terms

    def preview(self, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> UInt8[np.ndarray, "h w 3"]:
        """Return an image with rows of reduced, restored and sharp crops."""
        with torch.no_grad():
            found = restored(networks["uv"], batch)
        rows = torch.stack([batch["low"], found, batch["sharp"]])
        sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        return (sheet.clamp(0, 1) * 255).round().byte().cpu().numpy()

    def shipped(self, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return the network's weights in fp16."""
        return {k: v.detach().to(torch.float16).cpu() for k, v in networks["uv"].state_dict().items()}

    def card(self) -> dict[str, Any]:
        """Return the card of the weights."""
        return {
            "name": WEIGHTS,
            "what": "detail of a face's albedo in UV, from what a reduced photo shows of it",
            "status": "preview",
            "licence": "Apache-2.0",
            "trained_on": {
                "photos": len(load_pairs(self.data)) if self.data else 0,
                "source": "train split of: Face Research Lab London Set (DeBruine & Jones 2017, CC BY 4.0), "
                "Canadian set of the same authors (CC BY 4.0), portraits by US federal photographers",
                "note": "the sets' consent text speaks of research; their later release is CC BY 4.0",
            },
            "settings": {k: v for k, v in vars(self).items() if k != "data"},
        }


def recoloured(low: Tensor, sharp: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Change the colours (3, s, s) of both textures in the same way."""
    exponent = 2 ** float(rng.uniform(-GAMMA, GAMMA))
    gain = torch.from_numpy(1 + rng.uniform(-GAIN, GAIN, 3)).float()[:, None, None]
    return tuple((x.clamp(min=1e-3) ** exponent * gain).clamp(0, 1) for x in (low, sharp))  # type: ignore[return-value]


def restored(network: nn.Module, batch: dict[str, Tensor]) -> Float[Tensor, "b 3 s s"]:
    """Run the network on a batch's crops, each at its own place in UV."""
    out = []
    for k, corner in enumerate(batch["corner"].tolist()):
        maps = batch["maps"][k : k + 1]
        latent = maps.new_zeros(1, CHANNELS, *maps.shape[-2:])
        residual = network(torch.cat([maps, latent], 1), tuple(corner), SIDE)
        out.append(restored_albedo(batch["low"][k : k + 1], residual))
    return torch.cat(out)


def restored_albedo(
    low: Float[Tensor, "b 3 s s"], residual: Float[Tensor, "b 6 s s"]
) -> Float[Tensor, "b 3 s s"]:
    """Apply the residual of log albedo to display values."""
    return low.clamp(min=0.02) * residual[:, :3].exp()


def gradients(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """Return differences to the right and downwards, the size kept."""
    kernel = x.new_tensor([[[0, 0, 0], [0, -1, 1], [0, 0, 0]], [[0, 0, 0], [0, -1, 0], [0, 1, 0]]])
    return conv2d(x, kernel[:, None].repeat(x.shape[1], 1, 1, 1), padding=1, groups=x.shape[1])


def pair_textures(pair: Pair, factor: float, seed: int | None) -> tuple[Tensor, Tensor]:
    """Return the textures (3, s, s) of the reduced and of the full photo."""
    photo = pair.photo.permute(2, 0, 1).float() / 255
    return textures_of(pair, reduced_copy(photo, factor, seed)), textures_of(pair, photo)


def network_inputs(albedo: Float[Tensor, "3 s s"], surface: Tensor) -> Float[Tensor, "c s s"]:
    """Return the network's maps from albedo (display values) and stored surface maps."""
    return torch.cat([albedo * 2 - 1, surface.float() / 127, labels()])


@cache
def labels() -> Float[Tensor, "10 s s"]:
    """Return the label maps of the bundled head."""
    head = HeadModel.load()
    return label_maps(head, covered_texels(head, covered_triangles(head)))


@cache
def careful() -> Float[Tensor, "s s"]:
    """Return 1 at texels where detail is seen most."""
    return labels()[[LABELS.index(n) for n in CAREFUL]].amax(0)
