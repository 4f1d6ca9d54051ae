"""Labels for portraits where landmarks, matte and colours agree.

python tools/build_parser_labels.py --data ../shared/data --out portraits_labelled [--count 160] [--skip 0]

Skin, hair and clothes are where ``segment`` is sure, parts of the face inside their landmarks; background is
well away from the person, since mattes cut hair off. Everything else stays unknown. Crops are 256² with the
face at 1/2.9. The files hold photographs of real people: private.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from build_mattes import NUMBER, plain_labels
from headcast.crops.square import square_around
from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.image import load_image
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.masks import segment
from headcast.priors.images import IGNORE
from pack_portraits import SIDE, cut, rows_of

ROOM, A_FILE = 2.9, 8
AWAY = 0.12
"""Of the face's larger side, from the person to where background is sure."""

Labelled = tuple[Path, np.ndarray, np.ndarray, tuple[float, ...]]


def portraits(data: Path, split: str) -> list[Path]:
    """Return the portraits of every set that may train what ships, in an order of their own."""
    out = [row[0] for row in rows_of(data, split)]
    for folder in ("house118", "us_gov"):
        if not (data / folder).is_dir():
            continue
        rows = csv.DictReader((data / folder / f"{folder}.csv").open())
        out += [data / folder / f"{r['id']}.jpg" for r in rows if r["split"] == split]
    order = np.random.default_rng(0).permutation(len(out))
    return [out[i] for i in order]


def agreed(rgb: np.ndarray, detector: FaceDetector, name: str) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return labels where the ways agree, ``IGNORE`` elsewhere; also the face's box."""
    import cv2

    found = pick_face(detector.detect(rgb, refine=False), None, name)[0]
    masks = segment(rgb, found)
    out = plain_labels(rgb, found, masks, masks.person, [])
    x0, y0, x1, y1 = found.box
    apart = cv2.distanceTransform((masks.person < 0.04).astype(np.uint8), cv2.DIST_L2, 5)
    out[(out == NUMBER["background"]) & (apart < AWAY * max(x1 - x0, y1 - y0))] = IGNORE
    return out, found.box


def labelled(paths: list[Path], detector: FaceDetector) -> Iterator[Labelled]:
    """Yield crops with labels and boxes; portraits without a face are named and left out."""
    import cv2

    for path in paths:
        rgb = load_image(path).filled()
        try:
            label, box = agreed(rgb, detector, path.name)
        except HeadcastError as e:
            print(e)
            continue
        view = square_around(box, ROOM)
        crop, inside = cut(rgb, view, cv2.INTER_LINEAR)
        label = cut(label, view, cv2.INTER_NEAREST)[0]
        k, (x0, y0, x1, y1) = SIDE / view.side, box
        place = tuple(
            SIDE / 2 + k * (v - c) for v, c in zip((x0, y0, x1, y1), (view.x, view.y) * 2, strict=True)
        )
        yield path, crop, np.where(inside, label, IGNORE).astype(np.uint8), place


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--skip", type=int, default=0)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    every, detector = portraits(a.data, a.split), FaceDetector()
    for first in range(a.skip, a.skip + a.count, A_FILE):
        path = a.out / f"{first:05d}.npz"
        got = [] if path.exists() else list(labelled(every[first : first + A_FILE], detector))
        if not got:
            continue
        rgb, label = np.stack([g[1] for g in got]), np.stack([g[2] for g in got])
        with atomic_path(path) as temporary, temporary.open("wb") as f:
            np.savez(
                f,
                rgb=rgb,
                alpha=np.zeros_like(label),
                background=np.zeros_like(rgb),
                label=label,
                box=np.array([g[3] for g in got], np.float32),
                person=np.arange(first, first + len(got)),
                name=np.array([g[0].stem for g in got]),
            )
        print(f"{first + A_FILE - a.skip} of {a.count} portraits", flush=True)


if __name__ == "__main__":
    main()
