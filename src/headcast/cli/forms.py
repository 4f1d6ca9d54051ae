"""Forms of commands whose flags depend on another argument: options of a method or recipe become flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

__all__ = ["Form", "find_flag", "make_form", "with_metavars"]

METAVARS: dict[Any, str] = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}


class Form(NamedTuple):
    """A command line to be parsed.

    Attributes:
        form: dataclass whose fields become flags.
        program: name in help texts.
        arguments: arguments still to be parsed.
        build: makes the command from an instance of ``form``.
    """

    form: type
    program: str
    arguments: list[str]
    build: Callable[[Any], Any]


def find_flag(arguments: Sequence[str], flag: str) -> str | None:
    """Return the value of a flag (``--flag X`` or ``--flag=X``), the last one; None: not given."""
    value = None
    for k, argument in enumerate(arguments):
        if argument == flag:
            value = arguments[k + 1] if k + 1 < len(arguments) else None
        elif argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
    return value


def make_form(command: type, options: type, label: str, text: str) -> type:
    """Return a dataclass with the fields ``command`` and ``label``, whose own fields all become flags.

    Args:
        options: a method's options; all have defaults.
        label: heading of these options in the help text.
        text: the help text's first lines.
    """
    options_with_metavars = with_metavars(options)
    form = dataclasses.make_dataclass(
        "form",
        [
            ("command", command),
            (label, options_with_metavars, dataclasses.field(default_factory=options_with_metavars)),
        ],
        frozen=True,
    )
    form.__doc__ = text
    return form


def with_metavars(options: type) -> type:
    """Return a subclass whose optional fields show ``INT`` or ``PATH`` in help texts, not ``{None}|INT``."""
    hints = get_type_hints(options, include_extras=True)
    changed = []
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        kinds = get_args(get_args(hint)[0] if get_origin(hint) is Annotated else hint)
        types = [k for k in kinds if k is not type(None)]
        if len(types) == 1 and types[0] in METAVARS and len(kinds) == 2:
            changed.append((field.name, _named(hints[field.name], METAVARS[types[0]]), field.default))
    fields = [(name, hint, dataclasses.field(default=default)) for name, hint, default in changed]
    return dataclasses.make_dataclass(
        options.__name__, fields, bases=(options,), frozen=True, namespace={"__doc__": options.__doc__}
    )


def _named(hint: Any, metavar: str) -> Any:
    from tyro.conf import arg

    return Annotated[hint, arg(metavar=metavar)]
