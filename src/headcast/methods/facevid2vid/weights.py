"""Weights files of face-vid2vid: imported official weights, or those of one's own training."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.facevid2vid.config import CONFIGS, NetworkSizes
from headcast.methods.facevid2vid.generator import Generator
from headcast.methods.facevid2vid.keypoints import KeypointDetector
from headcast.methods.facevid2vid.pose import PoseNetwork
from headcast.weights import load_tensors
from headcast.weights.store import data_folder

__all__ = [
    "PARTS",
    "FaceNetworks",
    "build_networks",
    "join_states",
    "networks_file",
    "read_face_networks",
    "require_weights",
    "tensor_shapes",
]

NAME = "facevid2vid"
"""Of the imported weights in the user's folder."""
PARTS: dict[str, type[nn.Module]] = {
    "generator": Generator,
    "kp_detector": KeypointDetector,
    "he_estimator": PoseNetwork,
}
"""The networks by the names that official checkpoints give them; files have them before tensors' names."""


class FaceNetworks(NamedTuple):
    """The networks of one weights file, frozen, and the hash of the file."""

    config: NetworkSizes
    generator: Generator
    detector: KeypointDetector
    pose: PoseNetwork
    hash: str


def build_networks(config: NetworkSizes) -> dict[str, nn.Module]:
    """Build the networks of a configuration, by the names of ``PARTS``."""
    return {part: kind(config) for part, kind in PARTS.items()}


@cache
def tensor_shapes(config: NetworkSizes) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the tensors in a file of this configuration, without counters."""
    with torch.device("meta"):
        networks = build_networks(config)
    return {k: tuple(v.shape) for k, v in join_states(networks).items()}


def join_states(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Join the networks' state dicts as files hold them: batch norms' counters are left out."""
    return {
        f"{part}.{k}": v
        for part in PARTS
        for k, v in networks[part].state_dict().items()
        if not k.endswith("num_batches_tracked")
    }


def networks_file(given: Path | None = None) -> Path:
    """Return the file that a user gave, else that of the imported weights."""
    return given if given is not None else data_folder() / f"{NAME}.safetensors"


def require_weights(given: Path | None = None) -> None:
    """Check that there are weights.

    Raises:
        HeadcastError: there are none; says how to get them.
    """
    path = networks_file(given)
    if path.is_file():
        return
    if given is not None:
        raise HeadcastError(f"--weights {given}: is not there; give a file of headcast train {NAME}")
    raise HeadcastError(
        f"{NAME}: no weights are here, and none are bundled (CC BY-NC); get the Vox-256 checkpoint from its "
        f"authors (docs/facevid2vid.md), then run: headcast weights import {NAME} FILE"
    )


def read_face_networks(given: Path | None = None, device: torch.device | str = "cpu") -> FaceNetworks:
    """Read the networks of a file; those read last are kept.

    Raises:
        HeadcastError: there is no file, or it is of something else.
    """
    require_weights(given)
    return _read_cached(str(networks_file(given)), str(device))


@lru_cache(maxsize=1)
def _read_cached(file: str, device: str) -> FaceNetworks:
    tensors, _, content = load_tensors(Path(file))
    shapes = {k: tuple(v.shape) for k, v in tensors.items()}
    config = next((c for c in CONFIGS if tensor_shapes(c) == shapes), None)
    if config is None:
        raise HeadcastError(f"{file}: not weights of {NAME}; give a file of headcast train {NAME}")
    with torch.device("meta"):
        networks = build_networks(config)
    for part, network in networks.items():
        state = {
            k.removeprefix(f"{part}."): v.float() for k, v in tensors.items() if k.startswith(f"{part}.")
        }
        counters = {k: torch.zeros((), dtype=torch.long) for k in network.state_dict() if k not in state}
        network.load_state_dict(state | counters, assign=True)
        network.to(device).eval().requires_grad_(False)
    generator, detector, pose = networks.values()
    assert isinstance(generator, Generator) and isinstance(detector, KeypointDetector)
    assert isinstance(pose, PoseNetwork)
    return FaceNetworks(config, generator, detector, pose, content)
