"""Synthetic portraits in a folder laid out like the shared one that tools read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headcast.image import save_png
from headcast.synth import SynthConfig, make_batch

__all__ = ["COUNT", "write_portraits"]

COUNT = 8
SIDE = 256
SEED = 3


def row(number: int, name: str, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    """A line of ``portraits_pd.csv`` and of ``portraits.csv`` (both hold what the other lacks)."""
    box = dict(zip(("face_x0", "face_y0", "face_x1", "face_y1"), (*low, *high), strict=True))
    return {
        "id": name,
        "split": "train",
        "bioguide": f"S{number:06d}",
        "width": SIDE,
        "height": SIDE,
        **box,
        "yaw_deg": 0.0,
        "black_and_white": "no",
        "same_photo_as_public_domain": "yes",
        "sharpness_half_loss": 4.0,
    }


def write_portraits(folder: Path) -> Path:
    """Write ``COUNT`` synthetic portraits, tables, splits; the first is large ("p"), the others small ("g").

    Images are PNG under the name .jpg, which readers don't mind.
    """
    config = SynthConfig(size=SIDE, people=4, framing="front", expression=0.3, layers=2)
    rows: dict[str, list[dict[str, Any]]] = {"portraits": [], "portraits_pd": []}
    for name in rows:
        (folder / name).mkdir(parents=True)
    for first in range(0, COUNT, 4):
        batch = make_batch(config, torch.device("cpu"), SEED, np.arange(first, first + 4))
        for i in range(4):
            number = first + i
            table = "portraits" if number == 0 else "portraits_pd"
            name = f"{'p' if number == 0 else 'g'}{number:04d}"
            marks = batch.landmarks478[i].numpy()
            scale = 1024 / SIDE if number == 0 else 1.0  # boxes of the large ones are of 1024²
            rows[table].append(row(number, name, scale * marks.min(0), scale * marks.max(0)))
            save_png(folder / table / f"{name}.jpg", (batch.rgb[i] * 255).round().byte().numpy())
    for table, lines in rows.items():
        write_table(folder / table / f"{table}.csv", lines)
    names = [r["id"] for lines in rows.values() for r in lines]
    splits = {"train": names, "validation": names[-1:], "evaluation": names[:2]}
    (folder / "splits.json").write_text(json.dumps(splits))
    worn = ("yes", "no")
    write_table(
        folder / "groups.csv", [{"id": n, "glasses": w} for n, w in zip(names[:2], worn, strict=True)]
    )
    return folder


def write_table(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write a CSV file with a header."""
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
