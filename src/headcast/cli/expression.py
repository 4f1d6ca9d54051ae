"""Parse expression weights from the command line."""

from __future__ import annotations

import math
from pathlib import Path

from headcast.errors import HeadcastError
from headcast.head.names import check_names
from headcast.parsing import load_json, parsing

__all__ = ["LIMIT", "parse_expression"]

LIMIT = 2.0  # largest absolute weight accepted: 1 is the full expression, more exaggerates


def parse_expression(text: str) -> dict[str, float]:
    """Parse ``jawOpen=.5,mouthSmileLeft=1``, or read a JSON file {"jawOpen": 0.5}.

    Raises:
        HeadcastError: an unknown name (the message suggests the nearest), no number, a weight out of range,
            a duplicate.
    """
    if not text.strip():
        return {}
    if "=" not in text:
        return check_weights(read_json(Path(text)), text)
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, equals, value = item.partition("=")
        name = name.strip()
        if not name or not equals:
            raise HeadcastError(
                f"--expression: '{item}' is not name=weight; write jawOpen=.5,mouthSmileLeft=1"
            )
        if name in weights:
            raise HeadcastError(f"--expression: '{name}' is given twice; give it once")
        try:
            weights[name] = float(value)
        except ValueError:
            raise HeadcastError(f"--expression: '{value}' is not a number; write {name}=.5") from None
    return check_weights(weights, "--expression")


def read_json(path: Path) -> dict[str, float]:
    """Read expression weights by ARKit name from a JSON file."""
    remedy = "give name=weight,... or a JSON file of names and numbers"
    if not path.exists():
        raise HeadcastError(f"--expression {path}: no such file; {remedy}")
    data = load_json(path, remedy)
    with parsing(path, "not an object of names and numbers", remedy):
        return {str(name): float(value) for name, value in data.items()}


def check_weights(weights: dict[str, float], where: str) -> dict[str, float]:
    """Return the weights; raise HeadcastError on unknown names and values out of range."""
    check_names(weights, where)
    for name, w in weights.items():
        if not math.isfinite(w) or abs(w) > LIMIT:
            raise HeadcastError(f"{where}: {name}={w:g}: give a weight from 0 to 1")
    return weights
