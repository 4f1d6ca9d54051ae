"""People in different photographs: who trains the identity network, who sets thresholds, who is reported.

The rule is fixed here, by hash of the person, for ``tools/pack_people.py`` and for the measurement alike.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Literal, NamedTuple

from headcast.parsing import load_table

__all__ = ["PersonPhotos", "Photo", "colour_photos", "held_people", "training_photos"]

Half = Literal["decides", "reported"]
MISLABELLED = ("p0252",)
"""Photographs that show somebody else than their table says: by dlib, by SFace and by eye."""
REMEDY = "take it from the data set again"
COLUMNS = {
    "london": ["file", "person", "split"],
    "canada": ["file", "person", "split"],
    "house118": ["id", "bioguide", "split"],
    "portraits_pd": ["id", "bioguide", "split", "black_and_white"],
    "us_gov": ["id", "person", "split", "black_and_white"],
    "portraits": ["id", "bioguide", "split", "same_photo_as_public_domain"],
}


class Photo(NamedTuple):
    """A photograph in colour.

    Attributes:
        person: the same for all photographs of a person. folder: the data set. path: the file.
        trains: whether its rights and split let it train what ships.
        copied: whether it is, or may be, the same photograph as one of ``portraits_pd``.
    """

    person: str
    folder: str
    path: Path
    trains: bool
    copied: bool


class PersonPhotos(NamedTuple):
    """A person of whom nothing is trained on, in two different photographs or more.

    Attributes:
        same_day: whether they were taken one after the other, in one light.
    """

    person: str
    half: Half
    same_day: bool
    photos: tuple[Path, ...]


def colour_photos(data: Path) -> list[Photo]:
    """List all photographs in colour of the data sets that the folder has."""
    found: list[Photo] = []
    for folder, columns in COLUMNS.items():
        table = data / folder / f"{folder}.csv"
        if not table.is_file():
            continue
        for row in load_table(table, columns, REMEDY):
            if row.get("black_and_white") == "yes":
                continue
            file = row.get("file") or f"{row['id']}.jpg"
            person = row.get("bioguide") or f"{folder} {row.get('person') or row['id']}"
            same = row.get("same_photo_as_public_domain", "no")
            found.append(
                Photo(
                    person=person,
                    folder=folder,
                    path=data / folder / file,
                    trains=folder != "portraits" and row["split"] == "train",
                    copied=same != "no",
                )
            )
    return found


def by_hash(text: str) -> int:
    """Return 0 or 1, by hash: the same on every machine."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2


def photos_by_person(photos: list[Photo]) -> dict[str, list[Photo]]:
    """Group photographs by person."""
    people: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        people[photo.person].append(photo)
    return people


def is_held(photos: list[Photo]) -> bool:
    """Whether a person's photographs are kept out of training.

    Half of those, by hash, who could train with a portrait of house118 alone, and of whom there is another
    photograph without rights: these are the different photographs that measure best and train least.
    """
    trains = {p.folder for p in photos if p.trains}
    other = any(p.folder == "portraits" and not p.copied for p in photos)
    return other and trains == {"house118"} and by_hash(f"held {photos[0].person}") == 0


def training_photos(data: Path) -> list[Photo]:
    """List the photographs that train the identity network."""
    people = photos_by_person(colour_photos(data))
    return [p for found in people.values() if not is_held(found) for p in found if p.trains]


def held_people(data: Path) -> list[PersonPhotos]:
    """List people with different photographs of whom none is trained on."""
    held = []
    for person, every in photos_by_person(colour_photos(data)).items():
        if any(p.trains for p in every) and not is_held(every):
            continue
        public = any(p.folder == "portraits_pd" for p in every)
        kept = [p.path for p in every if not (p.copied and public) and p.path.stem not in MISLABELLED]
        if len(kept) > 1:
            half: Half = "decides" if by_hash(f"half {person}") == 0 else "reported"
            held.append(
                PersonPhotos(
                    person=person,
                    half=half,
                    same_day=all(p.folder == "london" for p in every),
                    photos=tuple(kept),
                )
            )
    return held
