"""Bundled weights and assets: safetensors with a JSON card beside each. Nothing here is a pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from headcast.errors import HeadcastError

__all__ = ["card", "load_tensors", "weights_path"]


def weights_path(name: str) -> Path:
    """Return the path of the bundled file ``<name>.safetensors``."""
    return Path(__file__).parent / f"{name}.safetensors"


class LoadedTensors(NamedTuple):
    """Tensors, text metadata and content hash of a file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    digest: str


def load_tensors(source: str | Path) -> LoadedTensors:
    """Load tensors, text metadata and content hash (16 hex digits of SHA-256) of a safetensors file.

    Args:
        source: a path, or the bare name of a bundled file.
    """
    from safetensors import SafetensorError, safe_open

    path = source if isinstance(source, Path) or "/" in source or "." in source else weights_path(source)
    path = Path(path)
    if not path.is_file():
        raise HeadcastError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as f:
            tensors: dict[str, Tensor] = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
            metadata = dict(f.metadata() or {})
    except SafetensorError as e:
        raise HeadcastError(f"{path}: not a readable safetensors file ({e})") from e
    return LoadedTensors(tensors, metadata, hashlib.sha256(path.read_bytes()).hexdigest()[:16])


def card(name: str) -> dict:
    """Return the card of a bundled file: what it was made from, how, its licence and figures."""
    path = weights_path(name).with_suffix(".json")
    return json.loads(path.read_text()) if path.is_file() else {}


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under a temporary name, then rename it."""
    from safetensors.torch import save_file

    tmp = path.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp, metadata)
    tmp.replace(path)
