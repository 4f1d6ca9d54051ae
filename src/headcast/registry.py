"""Collect what the method packages declare: names and lazy strings, so that listing them costs nothing.

A method is one folder and one line in ``METHOD_PACKAGES``. The package's ``__init__`` holds a constant
``DECLARATION``; everything that lists methods, avatar kinds, training recipes, weights importers, known
checkpoints or camera framings asks this module, so no other file names a method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from headcast.errors import HeadcastError

__all__ = [
    "DEFAULT_METHOD",
    "METHOD_PACKAGES",
    "Declaration",
    "Importer",
    "OfficialCheckpoint",
    "collect",
    "declarations",
    "load_entry",
]

METHOD_PACKAGES: list[str] = [
    "headcast.methods.fit",
    "headcast.methods.portrait4d",
    "headcast.methods.uhr_texture",
    "headcast.methods.facevid2vid",
    "headcast.methods.invertavatar",
    "headcast.methods.superhead",
    "headcast.methods.ohpavatars",
]
"""The packages whose ``DECLARATION`` is collected, in the order in which users see them."""

DEFAULT_METHOD = "fit"
"""Used when no method is named; the baseline of every evaluation table."""


class Importer(NamedTuple):
    """A published network whose official checkpoint can be imported.

    Attributes:
        convert: ``module:function``, takes what the restricted loader returned and gives tensors (by the
            names of our network) and a card with at least ``licence``; raises HeadcastError for another.
        files: file names under which the authors published the checkpoint.
        what: what it is used for, in a few words.
    """

    convert: str
    files: str
    what: str


@dataclass(frozen=True)
class OfficialCheckpoint:
    """An official checkpoint and the tensors by which it is recognised.

    Attributes:
        within: keys under which its state dict may stand in the file; empty string: at the top.
        shapes: shapes of a few distinctive tensors by name.
    """

    name: str
    licence: str
    within: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What one method's folder brings along. Strings are ``module:attribute``, imported when asked for.

    Attributes:
        methods: ``Method`` classes by name (see ``headcast.methods.base``).
        animators: ``ImageAnimator`` classes by name.
        skin_mappers: ``SkinMapper`` classes by name.
        avatar_kinds: classes that open an ``.avatar`` of this kind.
        recipes: training recipes.
        importers: official checkpoints that can be imported, by our name of the network.
        checkpoints: official checkpoints that ``headcast doctor`` recognises; the more specific first.
        protocols: modules of evaluation protocols that measure this method alone, in its sub-package
            ``protocols``, which stands on the evaluator's floor.
        framings: camera distributions of synthetic heads (``headcast.synth``), by name.
    """

    methods: Mapping[str, str] = field(default_factory=dict)
    animators: Mapping[str, str] = field(default_factory=dict)
    skin_mappers: Mapping[str, str] = field(default_factory=dict)
    avatar_kinds: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)
    importers: Mapping[str, Importer] = field(default_factory=dict)
    checkpoints: tuple[OfficialCheckpoint, ...] = ()
    framings: Mapping[str, str] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)


def declarations() -> dict[str, Declaration]:
    """Import the packages' light ``__init__`` modules and return their declarations by package name."""
    return {name: import_module(name).DECLARATION for name in METHOD_PACKAGES}


def collect(what: str) -> dict[str, Any]:
    """Merge one mapping (a ``Declaration`` field's name) of all methods.

    Raises:
        ValueError: two folders declare the same name.
    """
    merged: dict[str, Any] = {}
    for package, declaration in declarations().items():
        entries: Mapping[str, Any] = getattr(declaration, what)
        twice = sorted(merged.keys() & entries.keys())
        if twice:
            raise ValueError(
                f"{package} declares {what} {', '.join(twice)}, which another method has already"
            )
        merged.update(entries)
    return merged


def load_entry(place: str) -> Any:
    """Import what a lazy string ``module:attribute`` stands for."""
    module, _, attribute = place.partition(":")
    if not attribute:
        raise HeadcastError(f"{place}: write module:attribute")
    return getattr(import_module(module), attribute)
