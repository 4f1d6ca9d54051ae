"""Reading weights files: the user's own training, else imported official weights, else the bundled ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.importing import ORIGIN
from headcast.methods.portrait4d.motion_embedding import FACE_SIDE, ExpressionToMotion, MotionEncoder
from headcast.methods.portrait4d.network import OFFICIAL, SMALL, TINY, Config, Synthesizer
from headcast.methods.portrait4d.pdfgc import PDFGC
from headcast.weights import load_tensors, weights_path
from headcast.weights.store import data_folder

__all__ = [
    "OFFICIAL_NAME",
    "OWN",
    "Portrait4DNetworks",
    "check_portrait4d_weights",
    "load_portrait4d",
    "weights_file",
]

OWN = "portrait4d-own"
"""Name of the user's own trained weights in the user's folder for weights."""
OFFICIAL_NAME, ENCODER_NAME = "portrait4d", "pdfgc"
"""Names of imported official weights there."""
LOOK_AT = (0.0, 0.01 / 3, 0.01)
"""What the published network's cameras look at, in its world, metres (supplement A; its script)."""


@dataclass(frozen=True)
class Portrait4DNetworks:
    """Ψ, its motion encoder, and the map from expression codes to motion embeddings; frozen.

    Attributes:
        expression_to_motion: None for official weights, which have no such map (see ``actor``).
        hash: of the weights files.
    """

    psi: Synthesizer
    motion: MotionEncoder | PDFGC
    expression_to_motion: ExpressionToMotion | None
    hash: str = ""

    @property
    def face_side(self) -> int:
        """Pixels of the faces that the motion encoder reads."""
        return FACE_SIDE if isinstance(self.motion, MotionEncoder) else 224


def weights_file() -> Path:
    """Return the path of the user's own weights if there are any, else of imported, else of bundled ones."""
    for name in (OWN, OFFICIAL_NAME):
        path = data_folder() / f"{name}.safetensors"
        if path.is_file():
            return path
    return weights_path("portrait4d")


def check_portrait4d_weights() -> None:
    """Check that weights are installed.

    Raises:
        HeadcastError: there are no weights.
    """
    if not weights_file().is_file():
        raise HeadcastError(
            "portrait4d: no weights are here; train them (headcast train portrait4d.static, then "
            f"portrait4d.motion) and copy portrait4d.safetensors to {data_folder() / OWN}.safetensors, "
            "or headcast weights import portrait4d FILE; or use --method fit"
        )


def load_portrait4d() -> Portrait4DNetworks:
    """Load the installed networks, once a process.

    Raises:
        HeadcastError: no weights are installed.
    """
    check_portrait4d_weights()
    return read_networks(str(weights_file()))


@cache
def read_networks(file: str) -> Portrait4DNetworks:
    """Read the networks that ``headcast train portrait4d.motion`` or ``headcast weights import`` wrote.

    Raises:
        HeadcastError: not such a file; official weights without PD-FGC's beside them.
    """
    tensors, _, content = load_tensors(Path(file))
    config, imported = detect_config(tensors, file), not any(k.startswith("_motion.") for k in tensors)
    build = build_on_meta if config is OFFICIAL else Synthesizer
    placed = imported or ORIGIN in tensors
    psi = build(place_official(config, tensors.get(ORIGIN)) if placed else config)
    load_frozen(psi, {k: v.float() for k, v in tensors.items() if not k.startswith("_")}, file)
    if imported:
        encoder, more = read_encoder(Path(file).parent)
        return Portrait4DNetworks(psi, encoder, None, content[:8] + more[:8])
    motion, expression_to_motion = MotionEncoder(config.motion_dim), ExpressionToMotion(config.motion_dim)
    for prefix, network in (("_motion.", motion), ("_said.", expression_to_motion)):
        part = {k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)}
        load_frozen(network, part, file)
    return Portrait4DNetworks(psi, motion, expression_to_motion, content)


def place_official(config: Config, neck: Tensor | None) -> Config:
    """Place the published network's world in our head frame: its origin is FLAME's neck joint.

    Args:
        neck: (3,) metres, from FLAME's buffers of the pickle; None (a file without them): where its cameras
            look at what ours look at.
    """
    offset = torch.tensor(LOOK_AT)
    origin = torch.tensor(config.centre) - offset if neck is None else neck
    return replace(
        config,
        origin=tuple(origin.tolist()),  # type: ignore[arg-type]
        centre=tuple((origin + offset).tolist()),  # type: ignore[arg-type]
    )


def read_encoder(folder: Path) -> tuple[PDFGC, str]:
    """Read PD-FGC's motion encoder and its file's hash.

    Raises:
        HeadcastError: its file is missing.
    """
    path = folder / f"{ENCODER_NAME}.safetensors"
    if not path.is_file():
        raise HeadcastError(
            "portrait4d: its official weights need PD-FGC's motion encoder beside them; get motion_model.pth "
            f"from its authors, then run: headcast weights import {ENCODER_NAME} motion_model.pth"
        )
    tensors, _, content = load_tensors(path)
    encoder = PDFGC()
    counters = {k: v for k, v in encoder.state_dict().items() if k.endswith("num_batches_tracked")}
    load_frozen(encoder, counters | tensors, str(path))
    return encoder, content


def build_on_meta(config: Config) -> Synthesizer:
    """Build Ψ without allocating memory; it takes over the tensors that are loaded into it."""
    with torch.device("meta"):
        return Synthesizer(config)


def load_frozen(network: nn.Module, state: dict[str, Tensor], file: str) -> None:
    """Load a state dict and freeze the network.

    Raises:
        HeadcastError: it belongs to another network.
    """
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as e:
        raise HeadcastError(f"{file}: not weights of portrait4d.motion ({str(e)[:120]})") from e
    network.eval().requires_grad_(False)


def detect_config(tensors: dict[str, Tensor], file: str) -> Config:
    """Detect the configuration of a file's tensors; earlier files have no expression planes."""
    length = len(tensors["w_avg"]) if "w_avg" in tensors else 0
    for config in (SMALL, TINY, OFFICIAL):
        if length == config.style_dim:
            has_planes = any(k.startswith("moving.") for k in tensors)
            return (
                config if has_planes or not config.expression_planes else replace(config, expression_planes=0)
            )
    raise HeadcastError(f"{file}: not weights of portrait4d.motion")
