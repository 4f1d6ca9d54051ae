"""Ψ and its companions from a weights file: the user's own training, else what is bundled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.motion import MotionEncoder, WeightsToMotion
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, TINY, Config, Synthesizer
from headcast.weights import load_tensors, weights_path
from headcast.weights.store import data_folder

__all__ = ["OWN", "Networks", "check_available", "load_networks", "weights_file"]

OWN = "portrait4d-own"
"""Name of the user's own trained weights in the user's folder for weights."""


@dataclass(frozen=True)
class Networks:
    """Ψ, its motion encoder, and the map from expression weights to motion; frozen.

    Attributes:
        hash: of the weights file.
    """

    psi: Synthesizer
    motion: MotionEncoder
    said: WeightsToMotion
    hash: str = ""


def weights_file() -> Path:
    """The user's own weights if there are any, else where the bundled ones lie."""
    own = data_folder() / f"{OWN}.safetensors"
    return own if own.is_file() else weights_path("portrait4d")


def check_available() -> None:
    """Refuses early.

    Raises:
        HeadcastError: there are no weights.
    """
    if not weights_file().is_file():
        raise HeadcastError(
            "portrait4d: no weights are here; train them (headcast train portrait4d.static, then "
            f"portrait4d.motion) and copy portrait4d.safetensors to {data_folder() / OWN}.safetensors; "
            "or use --method fit"
        )


def load_networks() -> Networks:
    """The installed networks, once a process.

    Raises:
        HeadcastError: there are none.
    """
    check_available()
    return read_networks(str(weights_file()))


@cache
def read_networks(file: str) -> Networks:
    """Networks of a file that ``headcast train portrait4d.motion`` wrote.

    Raises:
        HeadcastError: not such a file.
    """
    tensors, _, content = load_tensors(Path(file))
    config = config_of(tensors, file)
    rest = {k: v.float() for k, v in tensors.items() if not k.startswith("_")}
    parts: dict[str, nn.Module] = {
        "": Synthesizer(config), "_motion.": MotionEncoder(config.motion),
        "_said.": WeightsToMotion(config.motion),
    }  # fmt: skip
    for start, network in parts.items():
        state = {k.removeprefix(start): v.float() for k, v in tensors.items() if k.startswith(start)}
        try:
            network.load_state_dict(state if start else rest)
        except RuntimeError as e:
            raise HeadcastError(f"{file}: not weights of portrait4d.motion ({str(e)[:120]})") from e
        network.eval().requires_grad_(False)
    psi, motion, said = parts.values()
    assert isinstance(psi, Synthesizer)
    assert isinstance(motion, MotionEncoder) and isinstance(said, WeightsToMotion)
    return Networks(psi, motion, said, content)


def config_of(tensors: dict[str, Tensor], file: str) -> Config:
    """Which configuration a file's tensors belong to."""
    length = len(tensors["w_avg"]) if "w_avg" in tensors else 0
    for config in (SMALL, TINY, OFFICIAL):
        if length == config.styles:
            return config
    raise HeadcastError(f"{file}: not weights of portrait4d.motion")
