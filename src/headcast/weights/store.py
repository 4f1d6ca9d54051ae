"""Weights that the user brought: converted once, kept in the user's data folder, never bundled."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from headcast.errors import HeadcastError
from headcast.owner import home_folder
from headcast.weights import load_tensors, read_card, save_tensors

__all__ = ["data_folder", "imported", "load_imported", "save_imported"]


def data_folder() -> Path:
    """Return ``HEADCAST_WEIGHTS``, else ``headcast/weights`` in the folder for user data."""
    given = os.environ.get("HEADCAST_WEIGHTS")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home_folder() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home_folder() / ".local" / "share")
    return base / "headcast" / "weights"


def imported() -> dict[str, dict[str, Any]]:
    """Return the cards of the imported weights, by name.

    Raises:
        HeadcastError: one is damaged.
    """
    return {
        path.stem: read_card(path.with_suffix(".json"))
        for path in sorted(data_folder().glob("*.safetensors"))
    }


def load_imported(name: str, where_from: str = "its authors") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load tensors and card of imported weights.

    Raises:
        HeadcastError: they are not there; says how to get them.
    """
    path = data_folder() / f"{name}.safetensors"
    if not path.is_file():
        raise HeadcastError(
            f"{name}: its weights are not here; get the checkpoint from {where_from}, "
            f"then run: headcast weights import {name} FILE"
        )
    return load_tensors(path)[0], read_card(path.with_suffix(".json"))


def save_imported(name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> Path:
    """Write weights and their card into the user's folder.

    Raises:
        HeadcastError: the folder can't be written.
    """
    path = data_folder() / f"{name}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, tensors, {"name": name, "licence": str(card.get("licence", "unknown"))})
        path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    except OSError as e:
        path.with_suffix(".tmp").unlink(missing_ok=True)
        raise HeadcastError(
            f"{path}: cannot be written ({e.strerror or e}); set HEADCAST_WEIGHTS to another folder"
        ) from e
    return path
