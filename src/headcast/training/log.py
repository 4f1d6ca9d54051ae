"""Logs of a run: ``log.jsonl`` always, TensorBoard when it is installed, preview images as PNG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.image import encode_png

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Log"]


class Log:
    """The log of a run; lines are means over ``log_every`` steps.

    Attributes:
        sums, count: of the line that is being accumulated; they belong into checkpoints.
    """

    def __init__(self, folder: Path, every: int, step: int, sums: dict[str, float], count: int) -> None:
        self.folder, self.every, self.sums, self.count = folder, every, dict(sums), count
        self.last: dict[str, float] = {}
        self.path = folder / "log.jsonl"
        drop_lines_after(self.path, step)
        self.board = open_board(folder / "tensorboard", step)

    def add(self, step: int, values: dict[str, float], more: dict[str, float]) -> bool:
        """Add values of a step; return True if a line was written (the mean of each value, and ``more``)."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if step % self.every:
            return False
        self.last = {name: total / self.count for name, total in self.sums.items()}
        line = {"step": step, **self.last, **more}
        self.sums, self.count = {}, 0
        try:
            with self.path.open("a") as f:
                f.write(json.dumps(line) + "\n")
        except OSError as e:
            raise HeadcastError(f"{self.path}: cannot be written ({e.strerror}); make room, rerun") from e
        if self.board is not None:
            for name, value in {**self.last, **more}.items():
                self.board.add_scalar(name, value, step)
        return True

    def latest(self) -> dict[str, float]:
        """Return the means of the last line; before the first line those accumulated so far."""
        return self.last or {name: total / self.count for name, total in self.sums.items()}

    def save_image(self, step: int, image: UInt8[np.ndarray, "h w 3"]) -> Path:
        """Write a preview image to ``pictures/<step>.png``."""
        path = self.folder / "pictures" / f"{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encode_png(image, {}))
        except OSError as e:
            raise HeadcastError(f"{path}: cannot be written ({e.strerror}); make room, rerun") from e
        if self.board is not None:
            self.board.add_image("pictures", image, step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Close TensorBoard's writer, which flushes its file."""
        if self.board is not None:
            self.board.close()


def drop_lines_after(path: Path, step: int) -> None:
    """Remove lines later than a step: what a killed run did after its last checkpoint is repeated."""
    if not path.is_file():
        return
    lines = []
    for line in path.read_text().splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:  # truncated by a kill
            continue
        if record["step"] <= step:
            lines.append(line)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in lines))
    temporary.replace(path)


def open_board(folder: Path, step: int) -> SummaryWriter | None:
    """Open TensorBoard's writer; None if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
