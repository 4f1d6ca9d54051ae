"""Training recipes by name, as strings: listing them imports nothing, and the trainer knows no method."""

from __future__ import annotations

from importlib import import_module

from headcast import registry
from headcast.errors import HeadcastError

__all__ = ["RECIPES", "recipe_class", "recipes"]

RECIPES: dict[str, str] = {
    "toy": "headcast.training.toy:ToyRecipe",
    "restorer": "headcast.priors.restorer.train:RestorerRecipe",
    "parser": "headcast.priors.parser.train:ParserRecipe",
    "encoder": "headcast.priors.encoder.train:IdentityEncoderRecipe",
    "embedding": "headcast.priors.embedding.train:IdentityRecipe",
}
"""Recipes that no method owns; methods declare their own (see ``recipes``)."""


def recipes() -> dict[str, str]:
    """Return where every recipe lives, by name."""
    return {**RECIPES, **registry.collect("recipes")}


def recipe_class(name: str) -> type:
    """Import the class of a recipe, by its name or as ``package.module:Class``.

    Raises:
        HeadcastError: no such recipe.
    """
    places = recipes()
    place = places.get(name, name)
    module, _, attribute = place.partition(":")
    if not attribute:
        raise HeadcastError(f"train: there is no recipe '{name}'; use {', '.join(places)} or module:Class")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as e:
        if e.name and (module == e.name or module.startswith(e.name + ".")):
            raise HeadcastError(f"train: recipe '{name}' is not there (no module {e.name})") from e
        raise
    except AttributeError as e:
        raise HeadcastError(f"train: {module} has no {attribute}") from e
