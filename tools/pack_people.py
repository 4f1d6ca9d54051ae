"""Photographs of people, aligned, to train the identity network on.

python tools/pack_people.py --data ../shared/data --out photos

Those that ``headcast.evaluate.identity_people`` lets train: half of the people with a second photograph
without rights are kept out for measurement. The files are private: they hold photographs of real people.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from headcast.evaluate.identity_people import Photo, training_photos
from headcast.evaluate.prior_embedding import reduce_image
from headcast.files import atomic_path
from headcast.image import load_image
from headcast.observe.landmarks import FaceDetector
from headcast.priors.embedding import upright_face_square
from headcast.priors.images import IGNORE

SIDE, ROOM, A_FILE = 320, 1.875, 128


def write_part(path: Path, photos: list[Photo], number: dict[str, int], detector: FaceDetector) -> int:
    """Write one file of aligned crops; return how many faces were found."""
    crops, person = [], []
    for photo in photos:
        rgb = reduce_image(load_image(photo.path).rgb)
        found = detector.detect(rgb)
        if found:
            crops.append(upright_face_square(found[0].points, ROOM).cut(rgb, SIDE).image)
            person.append(number[photo.person])
    n, half = len(crops), SIDE / ROOM / 2
    blank = np.zeros((n, SIDE, SIDE), np.uint8)
    box = np.tile(np.array([-half, -half, half, half], np.float32) + SIDE / 2, (n, 1))
    with atomic_path(path) as temporary, temporary.open("wb") as f:
        np.savez_compressed(
            f,
            rgb=np.stack(crops),
            alpha=blank,
            background=np.zeros((n, SIDE, SIDE, 3), np.uint8),
            label=blank + IGNORE,
            box=box,
            person=np.array(person, np.int64),
        )
    return n


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    photos = training_photos(a.data)
    number = {who: k for k, who in enumerate(sorted({p.person for p in photos}))}
    with FaceDetector() as detector:
        for first in range(0, len(photos), A_FILE):
            path = a.out / f"{first // A_FILE:05d}.npz"
            n = write_part(path, photos[first : first + A_FILE], number, detector)
            print(f"{path}: {n} faces")


if __name__ == "__main__":
    main()
