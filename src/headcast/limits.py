"""Ranges of numeric options: checked before work begins, in one place for the command line and for Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from headcast.errors import HeadcastError

__all__ = ["ANGLE", "FRACTION", "LIMITS", "POSITIVE", "RATE", "Limit", "check_fields", "check_numbers"]


@dataclass(frozen=True)
class Limit:
    """Least and largest value of an option, both allowed: ``size: Annotated[int, Limit(16, 4096)]``."""

    low: float
    high: float


LARGE = 1e9
NOT_NEGATIVE = Limit(0, LARGE)
"""The limit of numbers that state none."""
POSITIVE = Limit(1, 1_000_000)
FRACTION = Limit(0, 1)
RATE = Limit(1e-9, 100)
ANGLE = Limit(-360, 360)

LIMITS: Mapping[str, Limit] = {
    "face": Limit(1, 1000),
    "fps": Limit(0.1, 1000),
    "frames": POSITIVE,
    "identities": Limit(1, LARGE),
    "limit": POSITIVE,
    "measured": POSITIVE,
    "pitch": ANGLE,
    "seed": Limit(0, 2**63 - 1),
    "sh_degree": Limit(0, 3),
    "sources": POSITIVE,
    "strength": FRACTION,
    "subdivide": Limit(0, 3),
    "texture_size": Limit(16, 8192),
    "yaw": ANGLE,
}
"""Limits of the options that commands and the Python interface share, by name."""


def check_numbers(limits: Mapping[str, Limit] = LIMITS, **values: Any) -> None:
    """Check numbers by the names of their options; what is no number, None for example, is left alone.

    Raises:
        HeadcastError: one is not finite or out of range; the message names the option and the range.
    """
    for name, value in values.items():
        limit = limits.get(name, NOT_NEGATIVE)
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if not math.isfinite(number) or not limit.low <= number <= limit.high:
                raise HeadcastError(
                    f"--{name.replace('_', '-')} {number}: give a number from {_words(limit.low)}"
                    f" to {_words(limit.high)}"
                )


def check_fields(options: Any) -> None:
    """Check all numbers of a dataclass and of the dataclasses in it.

    A field's range is its ``Limit`` annotation, else that of its name in ``LIMITS``, else 0 to a billion.

    Raises:
        HeadcastError: as ``check_numbers``.
    """
    hints = get_type_hints(type(options), include_extras=True)
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            check_fields(value)
            continue
        stated = [x for x in getattr(hints[field.name], "__metadata__", ()) if isinstance(x, Limit)]
        check_numbers({field.name: stated[0]} if stated else LIMITS, **{field.name: value})


def _words(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
