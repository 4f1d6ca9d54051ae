"""Checkpoints: folders of safetensors and JSON that are complete or absent.

``checkpoints/00001200/`` holds ``networks``, ``averages``, ``optimizers`` (``.safetensors``), ``state.json``.
It is written under a temporary name, flushed to the disk and renamed; only then the oldest are removed, so
that a full disk destroys none.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.parsing import load_json, parsing

__all__ = ["KEPT", "Checkpoint", "load_checkpoint", "save_checkpoint", "saved_checkpoints", "write_tensors"]

KEPT = 2
"""Number of checkpoints that are kept."""
PARTS = ("networks", "averages", "optimizers")


@dataclass
class Checkpoint:
    """State that a run resumes from; ``optimizers`` is None where its file is missing or unreadable."""

    step: int
    networks: dict[str, Tensor]
    averages: dict[str, Tensor]
    optimizers: dict[str, Tensor] | None
    state: dict[str, Any] = field(default_factory=dict)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, complete or absent.

    Raises:
        HeadcastError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_bytes(temporary, to_bytes(tensors, metadata))
        temporary.replace(path)
    except OSError as e:
        raise HeadcastError(f"{path}: cannot be written ({e.strerror or e}); make room") from e
    finally:
        temporary.unlink(missing_ok=True)


def saved_checkpoints(folder: Path) -> list[Path]:
    """List complete checkpoints below a run's folder, oldest first."""
    return sorted(p for p in (folder / "checkpoints").glob("[0-9]*") if p.is_dir() and p.name.isdigit())


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the last ``KEPT``.

    Raises:
        HeadcastError: the disk is full or not writable; older checkpoints are untouched.
    """
    place = folder / "checkpoints" / f"{checkpoint.step:08d}"
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        for old in place.parent.glob(".[0-9]*"):  # left by a run that was killed while writing
            shutil.rmtree(old, ignore_errors=True)
        temporary.mkdir(parents=True)
        for part in PARTS:
            write_bytes(temporary / f"{part}.safetensors", to_bytes(getattr(checkpoint, part) or {}))
        state = {"step": checkpoint.step, **checkpoint.state}
        write_bytes(temporary / "state.json", json.dumps(state, indent=1).encode())
        shutil.rmtree(place, ignore_errors=True)
        temporary.replace(place)
    except OSError as e:
        last = [p.name for p in saved_checkpoints(folder)][-1:]
        whole = f"; the checkpoint of step {int(last[0])} is whole" if last else ""
        raise HeadcastError(f"{place}: cannot be written ({e.strerror or e}){whole}; make room, rerun") from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in saved_checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def load_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Load the newest readable checkpoint, if any; also return messages on what could not be read.

    Raises:
        HeadcastError: there are checkpoints and none can be read.
    """
    words: list[str] = []
    places = saved_checkpoints(folder)
    for place in reversed(places):
        try:
            state = load_state(place / "state.json")
            networks, averages = (read_tensors(place / f"{part}.safetensors") for part in PARTS[:2])
        except HeadcastError as e:
            words.append(f"{place}: damaged, the one before it is taken ({e})")
            continue
        optimizers = None
        try:
            optimizers = read_tensors(place / "optimizers.safetensors")
        except HeadcastError:
            words.append(f"{place}: the optimizers' state is gone; going on from the weights alone")
        return Checkpoint(
            step=state["step"], networks=networks, averages=averages, optimizers=optimizers, state=state
        ), words
    if places:
        raise HeadcastError(f"{places[-1]}: no checkpoint can be read; remove the folder to start anew")
    return None, words


def load_state(path: Path) -> dict[str, Any]:
    """Load a checkpoint's facts, among them its step.

    Raises:
        HeadcastError: damaged, or without a step.
    """
    state = load_json(path, "remove the checkpoint")
    step = state.get("step") if isinstance(state, dict) else None
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise HeadcastError(f"{path}: says no step; remove the checkpoint")
    return state


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Raises:
        HeadcastError: missing or damaged.
    """
    with parsing(path, "not a readable safetensors file", "remove the checkpoint"):
        return from_bytes(path.read_bytes())
