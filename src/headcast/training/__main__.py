"""``python -m headcast.training NAME FOLDER key=value …``: needs only torch, numpy and safetensors.

Keys are the flags of ``headcast train NAME`` with underscores; values are numbers, true, false, none, words.
"""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.training import Recipe, TrainConfig, train
from headcast.training.lines import Lines
from headcast.training.recipes import recipe_class

__all__ = ["main"]


def parse_settings(name: str, pairs: list[str]) -> tuple[Recipe, TrainConfig]:
    """Create recipe and settings from ``key=value`` words.

    Raises:
        HeadcastError: an unknown key, or a value of the wrong type.
    """
    kind = recipe_class(name)
    config: TrainConfig = getattr(kind, "defaults", TrainConfig())
    of_recipe, of_config = {f.name for f in fields(kind)}, {f.name for f in fields(TrainConfig)}
    given: dict[str, Any] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        if key not in of_recipe | of_config:
            raise HeadcastError(
                f"train: {name} has no setting '{key}'; {', '.join(sorted(of_recipe | of_config))}"
            )
        given[key] = text if key == "precision" else parse_value(text)
    try:
        recipe = kind(**{k: v for k, v in given.items() if k in of_recipe})
        return recipe, replace(config, **{k: v for k, v in given.items() if k in of_config})
    except TypeError as e:
        raise HeadcastError(f"train: {' '.join(pairs)}: a value of the wrong type ({e})") from e


def parse_value(text: str) -> Any:
    """Parse a number, true, false or none, else return the text itself."""
    known = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def main(words: list[str]) -> int:
    """Train a recipe and return the exit code."""
    if len(words) < 2:
        sys.stderr.write("usage: python -m headcast.training NAME FOLDER key=value ...\n")
        return 2
    try:
        result = train(*parse_settings(words[0], words[2:]), Path(words[1]), Lines(10))
    except HeadcastError as e:
        sys.stderr.write(f"headcast: {e}\n")
        return 2
    sys.stderr.write(f"{result.weights}: {result.step} steps, stopped by {result.stopped}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
