"""Recipes by name: strings only, so that knowing them costs nothing and the trainer knows no method."""

from __future__ import annotations

from importlib import import_module

from headcast.errors import HeadcastError

__all__ = ["RECIPES", "recipe_class"]

RECIPES: dict[str, str] = {
    "toy": "headcast.training.toy:ToyRecipe",
    "restorer": "headcast.priors.restorer.train:RestorerRecipe",
    "parser": "headcast.priors.parser.train:ParserRecipe",
    "encoder": "headcast.priors.encoder.train:EncoderRecipe",
    "portrait4d.average": "headcast.methods.portrait4d.average:AverageRecipe",
    "portrait4d.static": "headcast.methods.portrait4d.static:StaticRecipe",
    "portrait4d.encoder": "headcast.methods.portrait4d.encoder:EncoderRecipe",
    "portrait4d.motion": "headcast.methods.portrait4d.motion_stage:MotionRecipe",
    "uhr.normal": "headcast.methods.uhr_texture.train:NormalRecipe",
    "uhr.gde": "headcast.methods.uhr_texture.train:GDERecipe",
    "uhr.hfdr": "headcast.methods.uhr_texture.train:HFDRRecipe",
}


def recipe_class(name: str) -> type:
    """The class of a recipe, by its name or as ``package.module:Class``.

    Raises:
        HeadcastError: no such recipe.
    """
    place = RECIPES.get(name, name)
    module, _, attribute = place.partition(":")
    if not attribute:
        raise HeadcastError(f"train: there is no recipe '{name}'; use {', '.join(RECIPES)} or module:Class")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as e:
        if e.name and (module == e.name or module.startswith(e.name + ".")):
            raise HeadcastError(f"train: recipe '{name}' is not there (no module {e.name})") from e
        raise
    except AttributeError as e:
        raise HeadcastError(f"train: {module} has no {attribute}") from e
