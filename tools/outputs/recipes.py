"""Ten steps of every recipe, as small as they come: losses, and fingerprints of weights and checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

from outputs.files import fingerprint, read
from outputs.product import Failed, Product
from outputs.store import Item

__all__ = ["RECIPES", "recipe_names", "trained"]

STEPS = 10
TINY = ("--size", "tiny")
LOOKS = (*TINY, "--count", "2", "--pixels", "64", "--texture", "128")
RECIPES: dict[str, tuple[str, ...]] = {
    "toy": (),
    "restorer": (
        "--fresh",
        "1",
        "--fresh-size",
        "128",
        "--crop",
        "32",
        "--size",
        "2",
        "--solve",
        "4",
    ),
    "parser": ("--people", "1", "--frames", "1", "--side", "64"),
    "encoder": ("--people", "2", "--frames", "2", "--size", "64", "--finer", "1"),
    "portrait4d.average": (*TINY, "--people", "1"),
    "portrait4d.static": (*TINY, "--people", "1"),
    "portrait4d.encoder": (*TINY, "--people", "2"),
    "portrait4d.motion": (*TINY, "--people", "1", "--static", "{portrait4d.static}"),
    "portrait4d.static+adversarial": (*TINY, "--people", "2", "--adversarial-from", "6"),
    "portrait4d.motion+adversarial": (
        *TINY,
        "--people",
        "2",
        "--adversarial-from",
        "6",
        "--static",
        "{portrait4d.static}",
    ),
    "restorer+perceptual": (
        "--fresh",
        "1",
        "--fresh-size",
        "128",
        "--crop",
        "48",
        "--size",
        "1",
        "--solve",
        "0",
        "--perceptual",
        "0.1",
    ),
    "toy+averages": ("--accumulate", "2", "--warmup", "3", "--cooldown", "0.5", "--clip", "0.1"),
    "uhr.normal": LOOKS,
    "uhr.gde": LOOKS,
    "uhr.hfdr": (*LOOKS, "--window", "32", "--gde", "{uhr.gde}"),
}
"""Smallest settings by recipe; what follows a + is another way to train the same. ``{NAME}`` stands for the
weights that ten steps of NAME left."""


def recipe_names(product: Product) -> list[str]:
    """What ``headcast train`` offers: the complaint about an unknown name lists it."""
    try:
        product("train", "?")
    except Failed as complaint:
        if found := re.search(r"; use (.*) or module:Class", str(complaint)):
            return found[1].split(", ")
    return list(RECIPES)


def weights_of(product: Product, name: str) -> Path:
    """The weights file that a recipe left."""
    folder = product.work / f"train-{name}"
    if not (folder / "run.json").is_file():
        words = [
            weights_of(product, w[1:-1]).relative_to(product.work) if w[:1] == "{" else w
            for w in RECIPES.get(name, ())
        ]
        trainer = ("--steps", STEPS, "--log-every", 1, "--picture-every", 0, "--seed", 1)
        product("train", name.partition("+")[0], *trainer, *words, "-o", folder.name)
    (found,) = folder.glob("*.safetensors")
    return found


def trained(product: Product, name: str) -> Item:
    """Log, card, weights and checkpoint of ten steps."""
    path = weights_of(product, name)
    item = read(path.parent / "log.jsonl").under("log") | read(path.parent / "run.json").under("run")
    item |= read(path.with_suffix(".json")).under("card") | fingerprint(path).under("weights")
    last = max((path.parent / "checkpoints").iterdir())  # others are written by the clock
    for part in sorted(last.rglob("*")):
        if part.is_file():
            place = f"{part.parent.name}/{part.name}"
            item |= (fingerprint(part) if part.suffix == ".safetensors" else read(part)).under(place)
    return item
