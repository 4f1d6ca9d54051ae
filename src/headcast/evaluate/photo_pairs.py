"""Two different photographs each of people that nothing was trained on: do encoders know them again?"""

from __future__ import annotations

from pathlib import Path

from headcast.evaluate.data import names_of_split
from headcast.parsing import load_table

__all__ = ["photo_pairs"]


def photo_pairs(data: Path) -> list[tuple[str, Path, Path]]:
    """Pair for each person a photograph of ``portraits`` with another one, in colour, of ``portraits_pd``.

    Only people of whom nothing is in the split ``train``, and only where the table says that the two are not
    the same photograph. Empty where the folder does not hold both sets.
    """
    tables = {d: data / d / f"{d}.csv" for d in ("portraits", "portraits_pd")}
    splits = data / "splits.json"
    if not splits.is_file() or not all(t.is_file() for t in tables.values()):
        return []
    large, small = (rows_by_id(t) for t in tables.values())
    people = {i: r["bioguide"] for found in (large, small) for i, r in found.items()}
    known = {people[i] for i in names_of_split(splits, "train") if i in people}
    other = {r["bioguide"]: i for i, r in small.items() if r["black_and_white"] == "no"}
    return [
        (who, data / "portraits" / f"{i}.jpg", data / "portraits_pd" / f"{other[who]}.jpg")
        for i, r in large.items()
        if (who := r["bioguide"]) in other and who not in known and r["same_photo_as_public_domain"] == "no"
    ]


def rows_by_id(path: Path) -> dict[str, dict[str, str]]:
    """Read a table by id."""
    columns = ["id", "bioguide"]
    if path.stem == "portraits_pd":
        columns += ["black_and_white"]
    else:
        columns += ["same_photo_as_public_domain"]
    return {r["id"]: r for r in load_table(path, columns, "take it from the data set again")}
