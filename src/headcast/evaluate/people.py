"""Real people of the protocols: tuning and reported splits, groups by skin tone and hair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headcast.evaluate.data import groups_of, skin_thirds
from headcast.evaluate.report import Report
from headcast.parsing import load_table

__all__ = [
    "TUNING",
    "group_people",
    "split_groups",
    "split_note",
    "typology_angles",
    "validation_people",
]

TUNING: dict[str, tuple[str, ...]] = {
    "multiview": tuple(f"{k:03d}" for k in range(25, 33)),
    "smile": ("L002", "L005", "L008", "L009", "L016", "L063"),
}
"""People of FRMDB and of the London set that changes may be tuned on; all others are reported."""

HAIR: dict[str, tuple[str, ...]] = {
    "short": (
        *("025", "026", "027", "030", "031", "032", "034", "035"),
        *("L005", "L008", "L063", "L082", "L132", "L141"),
    ),
    "tied": ("036", "L002", "L009", "L016", "L066", "L099"),
    "long": ("028", "029", "033", "037", "038", "039", "L120"),
}
"""Hair kinds of people of FRMDB and of the London set, labelled by eye once; others: ``groups.csv``."""


def split_groups(names: Iterable[str], tuning: Sequence[str]) -> dict[str, list[str]]:
    """Split people into tuning and reported; only one group where nobody is tuned on."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault("split: tuning" if name in tuning else "split: reported", []).append(name)
    return dict(sorted(found.items()))


def split_note(names: Iterable[str], tuning: Sequence[str]) -> str:
    """Describe who is in which split, as a sentence."""
    groups = split_groups(names, tuning)
    return "; ".join(f"{k.removeprefix('split: ')}: {', '.join(v)}" for k, v in groups.items())


def typology_angles(report: Report) -> dict[str, float]:
    """Collect the individual typology angle (degrees) of people in a report whose rows have it."""
    found: dict[str, float] = {}
    for items in report.rows.values():
        for name, rows in items.items():
            angles = [row["typology"] for row in rows if "typology" in row]
            found |= {name: angles[0]} if angles else {}
    return found


def group_people(
    data: Path, names: Sequence[str], tuning: Sequence[str], angles: Mapping[str, float]
) -> dict[str, list[str]]:
    """Group a report's people, reported ones first; ``groups.csv`` in or above the data adds its traits."""
    hair = {f"hair: {kind}": [n for n in names if n in people] for kind, people in HAIR.items()}
    labelled = {k: v for k, v in hair.items() if v}
    return {
        **split_groups(names, tuning),
        **skin_thirds({n: a for n, a in angles.items() if n in names}),
        **labelled,
        **groups_of(data, list(names)),
    }


def validation_people(table: Path, names: Sequence[str]) -> list[str]:
    """Return people whose ``split`` in a table (``person``, ``split``) is ``validation``; all without one.

    The others may have trained weights.

    Raises:
        HeadcastError: the table has other columns.
    """
    if not table.is_file():
        return list(names)
    lines = load_table(table, ("person", "split"), "take it from the data set again")
    kept = {line["person"] for line in lines if line["split"] == "validation"}
    return [n for n in names if n in kept]
