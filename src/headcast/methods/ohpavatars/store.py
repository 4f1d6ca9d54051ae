"""Finished steps of the loop in a folder, so that a job that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from headcast.files import atomic_path

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.types import Observation

__all__ = ["StepCheckpoint", "StepStore", "fingerprint"]

FACTS = "steps.json"
FRAME = "frame_{:03d}.png"
MAX_SIDE = 2048  # pixels of a stored frame


def fingerprint(observations: Sequence[Observation], facts: Mapping[str, Any]) -> str:
    """Hash all that finished steps depend on: the photos, how they were observed, settings and seed."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for o in observations:
        digest.update(np.ascontiguousarray(o.image).tobytes())
        digest.update(o.camera.K.numpy().tobytes())
        for x in (o.params.identity, o.params.expression, o.params.rotation, o.params.translation):
            digest.update(x.numpy().tobytes())
    return digest.hexdigest()[:16]


class StepCheckpoint(NamedTuple):
    """Where an unfinished step keeps how far it is; the step's result replaces it."""

    path: Path

    def read(self) -> dict[str, Tensor] | None:
        """Return the last state that was written; None: there is none."""
        from safetensors.torch import load_file

        return load_file(self.path) if self.path.is_file() else None

    def write(self, state: Mapping[str, Tensor]) -> None:
        """Write a state, all or nothing."""
        from safetensors.torch import save_file

        with atomic_path(self.path) as temporary:
            save_file({k: v.detach().contiguous() for k, v in state.items()}, temporary)


class StepStore:
    """A folder of finished steps of one job. Everything is written whole or not at all.

    What is read back is what was written: with or without an interruption, later steps see the same.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Open the folder; steps of another job (another ``key``) in it are removed."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if self._facts().get("key") != key:
            self._clear()
            self._write_facts({"key": key})

    def avatar(self, name: str, make: Callable[[], Avatar]) -> Avatar:
        """Return a stored avatar, made and stored first if it is missing."""
        from headcast.avatar.base import load_avatar

        path = self.folder / f"{name}.avatar"
        if not path.is_file():
            make().save(path)
        return load_avatar(path)

    def tensors(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return stored tensors, made and stored first if they are missing."""
        from safetensors.torch import load_file, save_file

        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            made = {k: v.contiguous() for k, v in make().items()}
            with atomic_path(path) as temporary:
                save_file(made, temporary)
        self.checkpoint(name).path.unlink(missing_ok=True)
        return load_file(path)

    def checkpoint(self, name: str) -> StepCheckpoint:
        """Return the place for the state of the step ``name`` while it is not finished."""
        return StepCheckpoint(self.folder / f"{name}.part.safetensors")

    def image(
        self, group: str, number: int, make: Callable[[], UInt8[np.ndarray, "h w 4"]]
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Return a stored image, made and stored first if it is missing."""
        from headcast.avatar.png import decode_png
        from headcast.image import save_png

        path = self.folder / group / FRAME.format(number)
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            save_png(path, make())
        return decode_png(path, path.name, path.read_bytes(), MAX_SIDE)

    def drop_images(self, group: str) -> None:
        """Remove the images of a group: the step after them is finished."""
        folder = self.folder / group
        for path in folder.glob("frame_*.png"):
            path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def has(self, name: str) -> bool:
        """Tell whether tensors of this name are stored."""
        return (self.folder / f"{name}.safetensors").is_file()

    def fact(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a stored JSON value, made and stored first if it is missing."""
        facts = self._facts()
        if name not in facts:
            facts[name] = make()
            self._write_facts(facts)
        return self._facts()[name]

    def _facts(self) -> dict[str, Any]:
        path = self.folder / FACTS
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write_facts(self, facts: Mapping[str, Any]) -> None:
        with atomic_path(self.folder / FACTS) as path:
            path.write_text(json.dumps(facts, indent=1) + "\n")

    def _clear(self) -> None:
        """Remove what this class writes, and nothing else."""
        for folder in self.folder.glob("round*/"):
            self.drop_images(folder.name)
        for pattern in ("coarse.avatar", "animated*.safetensors", "round*.safetensors", FACTS):
            for path in self.folder.glob(pattern):
                path.unlink()
