"""Export of the weights file and its card."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headcast import __version__
from headcast.errors import HeadcastError
from headcast.training.checkpoint import write_tensors

__all__ = ["ship"]


def ship(
    folder: Path, name: str, tensors: dict[str, Tensor], card: dict[str, Any], facts: dict[str, Any]
) -> Path:
    """Write ``<name>.safetensors``, and ``<name>.json``: the recipe's card and how it was trained."""
    path = folder / f"{name}.safetensors"
    write_tensors(path, tensors, {"name": name, "licence": str(card.get("licence", ""))})
    full_card = {
        "name": name,
        **card,
        "trained": {
            **facts,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "headcast": __version__,
            "torch": torch.__version__,
            "commit": commit(),
        },
        "parameters": sum(v.numel() for v in tensors.values()),
        "bytes": path.stat().st_size,
    }
    temporary = folder / f".{name}.json.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(full_card, indent=1) + "\n")
        temporary.replace(path.with_suffix(".json"))
    except OSError as e:
        raise HeadcastError(f"{path.with_suffix('.json')}: cannot be written ({e.strerror})") from e
    finally:
        temporary.unlink(missing_ok=True)
    return path


def commit() -> str | None:
    """Return the commit of the sources, if they are in a git checkout."""
    try:
        run = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None
