"""Official checkpoints to safetensors, once, without running anything that they carry."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.pickles.load import load_restricted
from headcast.weights import load_tensors
from headcast.weights.importers import importers
from headcast.weights.store import save_imported

__all__ = ["checkpoint_content", "import_weights"]


def import_weights(network: str, file: Path) -> Path:
    """Convert a checkpoint into the user's folder of weights; return the new path.

    Args:
        network: a name of ``weights.importers.importers``.
        file: a torch checkpoint (.pth, .ckpt, .pt, .pkl) or a safetensors file.

    Raises:
        HeadcastError: unknown network, unreadable file, or one of another network.
    """
    if network not in importers():
        raise HeadcastError(f"weights import {network}: unknown network; use {', '.join(importers())}")
    content = checkpoint_content(file)
    module, _, function = importers()[network].convert.partition(":")
    convert = getattr(import_module(module), function)
    try:
        tensors, card = convert(content)
    except HeadcastError as e:
        raise HeadcastError(f"{file}: {e}") from e
    provenance = {"imported_from": file.name, "sha256": digest(file), **card}
    return save_imported(network, tensors, {"name": network, **provenance})


def checkpoint_content(file: Path) -> Any:
    """Return a checkpoint's content: containers, arrays and tensors."""
    check_readable(file, "checkpoint")
    return (
        load_tensors(file)[0] if file.suffix == ".safetensors" else load_restricted(file, keep_unknown=True)
    )


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
