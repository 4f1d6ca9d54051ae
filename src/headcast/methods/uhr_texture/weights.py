"""Trained networks by file or as they are bundled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.uhr_texture.network import CONFIGS, GDE, HFDR, Predictor, SkinNetworkConfig
from headcast.weights import load_tensors, weights_path
from headcast.weights.store import data_folder

__all__ = [
    "NAMES",
    "SkinNetworks",
    "available",
    "check_skin_weights",
    "load_network",
    "load_skin_networks",
    "network_file",
    "to_stored",
    "untrained_networks",
]

NAMES = {"normal": "uhr-normal", "gde": "uhr-gde", "hfdr": "uhr-hfdr"}
"""Bundled files by network."""


@dataclass(frozen=True)
class SkinNetworks:
    """All three, in evaluation mode, on one device."""

    config: SkinNetworkConfig
    predictor: Predictor
    gde: GDE
    hfdr: HFDR


def available() -> bool:
    """Tell whether all three are in the package or the user's folder for weights."""
    return all(network_file(kind).is_file() for kind in NAMES)


def to_stored(network: nn.Module, config: SkinNetworkConfig) -> dict[str, Tensor]:
    """Return half-precision tensors for a weights file; ``side`` identifies the sizes."""
    state = {k: v.detach().to("cpu", torch.float16) for k, v in network.state_dict().items()}
    return state | {"side": torch.tensor(float(config.side))}


def network_file(kind: str, folder: Path | None = None) -> Path:
    """Find the file of a network: in a folder, else in the package, else in the user's folder for weights."""
    name = f"{NAMES[kind]}.safetensors"
    if folder is not None:
        found = [p for p in (folder / name, *sorted(folder.glob(f"*/{name}"))) if p.is_file()]
        return found[0] if found else folder / name
    bundled = weights_path(NAMES[kind])
    return bundled if bundled.is_file() else data_folder() / name


def check_skin_weights(folder: Path | None = None) -> None:
    """Check before any work that all three are there.

    Raises:
        HeadcastError: one is missing; how to get it.
    """
    for kind in NAMES:
        if not (path := network_file(kind, folder)).is_file():
            raise HeadcastError(
                f"{path}: no such weights; leave out --weights to use the package's, or train them "
                f"(headcast train uhr.{kind}, see docs/texture.md)"
            )


def load_network(kind: str, file: str | Path | None = None, device: torch.device | str = "cpu") -> nn.Module:
    """Load ``normal``, ``gde`` or ``hfdr``.

    Args:
        file: a weights file of a recipe ``uhr.*``; None: the bundled one.

    Raises:
        HeadcastError: it is not there or of another network.
    """
    source = Path(file) if file else network_file(kind)
    return _loaded(kind, str(source), str(device))


@cache
def _loaded(kind: str, source: str, device: str) -> nn.Module:
    if not Path(source).is_file():
        raise HeadcastError(f"{source}: no such weights; train them with: headcast train uhr.{kind}")
    tensors, _, _ = load_tensors(Path(source))
    side = float(tensors.pop("side", torch.tensor(0.0)))
    sizes = {float(c.side): c for c in CONFIGS.values()}
    if side not in sizes:
        raise HeadcastError(f"{source}: not weights of uhr.{kind}")
    config = sizes[side]
    hashed = any(k.startswith("hash.") for k in tensors)
    network = {"normal": Predictor, "hfdr": HFDR}.get(kind, lambda c: GDE(c, hashed))(config)
    try:
        network.load_state_dict({k: v.float() for k, v in tensors.items()})
    except RuntimeError as e:
        raise HeadcastError(f"{source}: not weights of uhr.{kind}") from e
    network.config = config  # type: ignore[assignment]
    return network.to(device).eval().requires_grad_(False)


def load_skin_networks(
    device: torch.device | str = "cpu",
    normal: str | Path | None = None,
    gde: str | Path | None = None,
    hfdr: str | Path | None = None,
) -> SkinNetworks:
    """Load the bundled networks, or those of files.

    Raises:
        HeadcastError: one is missing, or they are not of one size.
    """
    nets = [load_network(k, f, device) for k, f in (("normal", normal), ("gde", gde), ("hfdr", hfdr))]
    sides = {n.config.side for n in nets}  # type: ignore[union-attr]
    if len(sides) > 1:
        raise HeadcastError("uhr texture: the three networks have different sizes; use those of one size")
    predictor, g, h = nets
    assert isinstance(predictor, Predictor) and isinstance(g, GDE) and isinstance(h, HFDR)
    return SkinNetworks(g.config, predictor, g, h)  # type: ignore[arg-type]


def untrained_networks(networks: SkinNetworks) -> SkinNetworks:
    """Return both stages as they are before training; only the level of skin, a linear fit, is kept."""
    gde, hfdr = GDE(networks.config, networks.gde.hash is not None), HFDR(networks.config)
    gde.register_buffer("level", networks.gde.get_buffer("level"))
    for network in (gde, hfdr):
        network.eval().requires_grad_(False)
    return SkinNetworks(networks.config, networks.predictor, gde, hfdr)
