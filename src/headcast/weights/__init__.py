"""Bundled weights and assets: safetensors with a JSON card beside each. Nothing here is a pickle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.parsing import load_json, parsing

__all__ = ["card", "load_tensors", "read_card", "weights_path"]

MAX_WEIGHTS_BYTES = 1 << 34
REMEDY = "get the file again"


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

    Raises:
        HeadcastError: missing, unreadable, damaged, or larger than 16 GB.
    """
    from safetensors import safe_open

    path = source if isinstance(source, Path) or "/" in source or "." in source else weights_path(source)
    path = Path(path)
    if not path.exists():
        raise HeadcastError(f"{path}: no such weights file")
    check_readable(path, "safetensors")
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise HeadcastError(f"{path}: larger than {MAX_WEIGHTS_BYTES >> 30} GB; give a file of weights")
    with parsing(path, "not a readable safetensors file", REMEDY):
        with safe_open(path, framework="pt") as f:
            tensors: dict[str, Tensor] = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
            metadata = dict(f.metadata() or {})
        with path.open("rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()[:16]
    return LoadedTensors(tensors, metadata, digest)


def card(name: str) -> dict:
    """Return the card of a bundled file: what it was made from, how, its licence and figures."""
    return read_card(weights_path(name).with_suffix(".json"))


def read_card(path: Path) -> dict:
    """Read the JSON card beside a weights file; empty: there is none.

    Raises:
        HeadcastError: it is damaged, or no JSON object.
    """
    if not path.is_file():
        return {}
    found = load_json(path, "write it again, or remove it")
    if not isinstance(found, dict):
        raise HeadcastError(f"{path}: not a card of weights; write it again, or remove it")
    return found


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under a temporary name, then rename it."""
    from safetensors.torch import save_file

    tmp = path.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp, metadata)
    tmp.replace(path)
