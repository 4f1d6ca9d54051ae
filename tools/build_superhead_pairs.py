"""Photos and where they show the face's texels: what SuperHead's UV restorer is trained on.

python tools/build_superhead_pairs.py --data ../shared/data --out pairs

Photos whose rights are clear, split ``train`` alone: London, Canada, us_gov, and larger copies of portraits
in the public domain. Each is observed once, sharp; training reduces it. One file a photo; those there stay.
The files are private: they hold photographs of real people.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2

from headcast import api
from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.head.model import HeadModel
from headcast.image import load_image, save_png
from headcast.methods.superhead.pairs import make_pair, pack_pair
from headcast.observe.types import Observation

FACE = 320
"""Pixels of the height of a sharp photo's face: about a texel of 512² a pixel."""
MIN_FACE = 230


class Photo(NamedTuple):
    """A photo of a set, who it shows and how high the face is in it, pixels."""

    path: Path
    person: str
    face: float


def photos(data: Path, split: str = "train") -> list[Photo]:
    """List a split's photos whose rights are clear, the sets in turns."""
    london, canada, gov = (csv_rows(data / n / f"{n}.csv", split) for n in ("london", "canada", "us_gov"))
    allowed = set(json.loads((data / "splits.json").read_text())[split])
    neutral, smile = (
        [
            Photo(data / "london" / r["file"], r["person"], float(r["face_h"]))
            for r in london
            if r["expression"] == e
        ]
        for e in ("neutral", "smile")
    )
    students = [Photo(data / "canada" / r["file"], r["person"], float(r["face_h"])) for r in canada]
    officials = [
        Photo(data / "us_gov" / f"{r['id']}.jpg", r["person"], float(r["face_h"]))
        for r in gov
        if r["black_and_white"] == "no"
    ]
    copies = [
        Photo(
            data / "portraits" / f"{r['id']}.jpg",
            r["bioguide"],
            (float(r["face_y1"]) - float(r["face_y0"])) * float(r["width"]) / 1024,
        )
        for r in csv_rows(data / "portraits" / "portraits.csv", split=None)
        if r["id"] in allowed and r["same_photo_as_public_domain"] == "yes"
    ]
    rows = zip_longest(neutral, smile, students + officials, copies)
    return [p for row in rows for p in row if p is not None and p.face >= MIN_FACE]


def csv_rows(path: Path, split: str | None) -> list[dict[str, str]]:
    """Read the rows of a split."""
    with path.open() as f:
        return [r for r in csv.DictReader(f) if split is None or r["split"] == split]


def observe_sharp(photo: Photo, head: HeadModel) -> Observation:
    """Observe a photo, reduced to the sharp size."""
    rgb = load_image(photo.path).rgb
    k = min(1.0, FACE / photo.face)
    if k < 1:
        size = (round(rgb.shape[1] * k), round(rgb.shape[0] * k))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{photo.path.stem}.png"
        save_png(path, rgb)
        return api.observe(path, head=head)[0]


def main() -> None:
    """Write the pairs."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train", choices=("train", "validation"))
    parser.add_argument("--limit", type=int, default=None)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    head = HeadModel.load()
    everything = photos(a.data, a.split)[: a.limit]
    began = time.monotonic()
    for k, photo in enumerate(everything):
        path = a.out / f"{photo.person}_{photo.path.stem}.safetensors"
        if path.exists():
            continue
        try:
            pair = pack_pair(make_pair(observe_sharp(photo, head), head))
        except HeadcastError as e:
            print(f"{photo.path.name}: left out ({e})", flush=True)
            continue
        with atomic_path(path) as temporary:
            save_file(pair, temporary, {"person": photo.person})
        left = (time.monotonic() - began) / (k + 1) * (len(everything) - k - 1)
        print(f"{k + 1} of {len(everything)} photos, {left / 60:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
