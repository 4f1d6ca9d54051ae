"""Portraits whose rights are clear, as crops to train on.

python tools/pack_portraits.py --data ../shared/data --out portraits

Split ``train`` of splits.json: the public-domain set (colour only) and larger copies of the same photographs.
Faces are at 1/2.6 of the crop. The files are private: they hold photographs of real people.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from headcast.crops.square import Square, square_around
from headcast.files import atomic_path
from headcast.priors.images import IGNORE

SIDE, ROOM, A_FILE = 256, 2.6, 64
Row = tuple[Path, str, tuple[float, float, float, float]]


def rows_of(data: Path, split: str = "train") -> list[Row]:
    """Picture, person and face box of every portrait that may train what ships."""
    allowed = set(json.loads((data / "splits.json").read_text())[split])
    out: list[Row] = []
    for folder in ("portraits_pd", "portraits"):
        for r in csv.DictReader((data / folder / f"{folder}.csv").open()):
            clear = r.get("black_and_white") == "no" or r.get("same_photo_as_public_domain") == "yes"
            if r["id"] in allowed and clear:
                x0, y0, x1, y1 = (float(r[f"face_{k}"]) for k in ("x0", "y0", "x1", "y1"))
                k = 1.0 if folder == "portraits_pd" else float(r["width"]) / 1024  # boxes are of 1024² there
                out.append(
                    (data / folder / f"{r['id']}.jpg", r["bioguide"], (x0 * k, y0 * k, x1 * k, y1 * k))
                )
    return out


def cut(rgb: np.ndarray, view: Square, flags: int) -> tuple[np.ndarray, np.ndarray]:
    """The square at ``SIDE`` pixels, and where it lies inside the picture."""
    import cv2

    k = SIDE / view.side
    W = np.array([[k, 0, SIDE / 2 - k * view.x], [0, k, SIDE / 2 - k * view.y]])
    W[:, 2] += 0.5 * k - 0.5
    if k < 0.8 and flags != cv2.INTER_NEAREST:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.4 / k)
    inside = cv2.warpAffine(np.full(rgb.shape[:2], 255, np.uint8), W, (SIDE, SIDE), flags=cv2.INTER_NEAREST)
    return cv2.warpAffine(rgb, W, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE), inside > 0


def main() -> None:
    """Writes the folder."""
    import cv2
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rows = rows_of(a.data, a.split)
    people = {p: i for i, p in enumerate(sorted({r[1] for r in rows}))}
    half = SIDE / ROOM / 2
    for first in range(0, len(rows), A_FILE):
        part = rows[first : first + A_FILE]
        crops = []
        for path, _, box in part:
            rgb = np.array(Image.open(path).convert("RGB"))
            crops.append(cut(rgb, square_around(box, ROOM), cv2.INTER_LINEAR)[0])
        n, blank = len(part), np.zeros((len(part), SIDE, SIDE), np.uint8)
        box = np.array([[SIDE / 2 - half, SIDE / 2 - half, SIDE / 2 + half, SIDE / 2 + half]] * n, np.float32)
        with atomic_path(a.out / f"{first // A_FILE:05d}.npz") as temporary, temporary.open("wb") as f:
            np.savez(
                f,
                rgb=np.stack(crops),
                alpha=blank,
                background=np.zeros((n, SIDE, SIDE, 3), np.uint8),
                label=blank + IGNORE,
                box=box,
                person=np.array([people[r[1]] for r in part], np.int64),
                name=np.array([r[0].stem for r in part]),
            )
        print(f"{first + n} of {len(rows)} portraits")


if __name__ == "__main__":
    main()
