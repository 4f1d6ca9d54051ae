"""What a run says of itself: ``log.jsonl`` always, TensorBoard when it is installed, pictures as PNG."""

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
        sums, count: of the line that is being gathered; they belong into checkpoints.
    """

    def __init__(self, folder: Path, every: int, step: int, sums: dict[str, float], count: int) -> None:
        self.folder, self.every, self.sums, self.count = folder, every, dict(sums), count
        self.last: dict[str, float] = {}
        self.path = folder / "log.jsonl"
        forget(self.path, step)
        self.board = board(folder / "tensorboard", step)

    def add(self, step: int, values: dict[str, float], more: dict[str, float]) -> bool:
        """Values of a step; True when a line was written (with the mean of each value, and ``more``)."""
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
        """The last line's means; before the first line those gathered so far."""
        return self.last or {name: total / self.count for name, total in self.sums.items()}

    def picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> Path:
        """Writes ``pictures/<step>.png``."""
        path = self.folder / "pictures" / f"{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encode_png(picture, {}))
        except OSError as e:
            raise HeadcastError(f"{path}: cannot be written ({e.strerror}); make room, rerun") from e
        if self.board is not None:
            self.board.add_image("pictures", picture, step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Flushes TensorBoard's file."""
        if self.board is not None:
            self.board.close()


def forget(path: Path, step: int) -> None:
    """Removes lines later than a step: what a killed run did after its last checkpoint is done again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:  # cut by a kill
            continue
        if record["step"] <= step:
            kept.append(line)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept))
    temporary.replace(path)


def board(folder: Path, step: int) -> SummaryWriter | None:
    """TensorBoard's writer, when it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
