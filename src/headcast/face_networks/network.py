"""Run bundled TensorFlow Lite networks by LiteRT, checked against the hashes in their card."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from headcast.errors import HeadcastError
from headcast.files import quiet_stderr
from headcast.parsing import load_json

__all__ = ["CARD", "FOLDER", "TfliteNetwork", "checked_bytes", "known_digests"]

FOLDER = Path(__file__).resolve().parent.parent / "weights" / "face_networks"
CARD = FOLDER.with_suffix(".json")
THREADS = 1
"""The networks take 1 to 6 ms on one thread; more threads cost more in waiting than they save."""


@cache
def known_digests() -> dict[str, str]:
    """Return the SHA-256 of every bundled network by name, from the card."""
    files: dict[str, dict[str, str]] = load_json(CARD, "install headcast again")["files"]
    return {name: entry["sha256"] for name, entry in files.items()}


def checked_bytes(name: str) -> bytes:
    """Read a bundled network and compare it with its card.

    Raises:
        HeadcastError: the file is missing or is not the one that the card describes.
    """
    path = FOLDER / f"{name}.tflite"
    try:
        content = path.read_bytes()
    except OSError as e:
        raise HeadcastError(f"{path}: cannot be read ({e.strerror or e}); install headcast again") from e
    if hashlib.sha256(content).hexdigest() != known_digests().get(name):
        raise HeadcastError(f"{path}: not the network that its card describes; install headcast again")
    return content


class TfliteNetwork:
    """One network on one thread of the CPU. An instance must not be called from two threads at once."""

    def __init__(self, name: str, scale: float = 1.0, offset: float = 0.0) -> None:
        """Load a bundled network, which sees ``scale`` times the input plus ``offset``.

        Raises:
            HeadcastError: its file is missing or damaged, or LiteRT cannot be imported.
        """
        content = checked_bytes(name)
        with quiet_stderr():  # the runtime reports its delegate there
            try:
                from ai_edge_litert.interpreter import Interpreter
            except ImportError as e:
                raise HeadcastError(f"LiteRT cannot be loaded ({e}); run: pip install ai-edge-litert") from e
            self.interpreter: Any = Interpreter(model_content=content, num_threads=THREADS)
            self.interpreter.allocate_tensors()
        wanted = self.interpreter.get_input_details()[0]
        self.input: int = wanted["index"]
        self.shape: tuple[int, ...] = tuple(wanted["shape"][1:].tolist())
        self.scale, self.offset = np.float32(scale), np.float32(offset)
        self.outputs: list[int] = [d["index"] for d in self.interpreter.get_output_details()]

    def __call__(self, x: Shaped[np.ndarray, "..."]) -> list[Float[np.ndarray, "..."]]:
        """Run the network on one input without its batch axis; return its outputs, with theirs."""
        self.fill(x)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(i) for i in self.outputs]

    def fill(self, x: Shaped[np.ndarray, "..."]) -> None:
        """Write an input into the network's own memory; a view of that must not outlive this call."""
        own = self.interpreter.tensor(self.input)()[0]
        np.multiply(x, self.scale, out=own, casting="unsafe")
        if self.offset:
            own += self.offset
