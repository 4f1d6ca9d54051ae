"""Command lines of ``create`` and ``texture``, whose flags are those of the chosen method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headcast.cli.commands import Animate, Batch, Create, Enhance, Texture
from headcast.cli.forms import Form, find_flag, make_form
from headcast.registry import DEFAULT_METHOD

__all__ = ["animate_form", "batch_form", "create_form", "enhance_form", "texture_form"]


def create_form(arguments: list[str]) -> Form:
    """Return the form of ``headcast create``: common flags, and those of ``--method``.

    Raises:
        HeadcastError: there is no such method.
    """
    from headcast.methods.base import get_method, method_names

    name = find_flag(arguments, "--method") or DEFAULT_METHOD
    method = get_method(name)
    lines = [f"  {n}: {get_method(n).description}" for n in method_names()]
    first = "Create an avatar from one photo, several photos or a video of one person."
    last = f"The options of {name} are listed; for another's: headcast create --method NAME --help."
    text = "\n".join([first, "", "Methods:", *lines, "", last])
    label = name.replace("-", "_")
    form = make_form(Create, method.Options, label, text)

    def build(given: Any) -> Create:
        return replace(given.command, options=getattr(given, label))

    program = "headcast create" if name == DEFAULT_METHOD else f"headcast create --method {name}"
    return Form(form, program, arguments, build)


def batch_form(arguments: list[str]) -> Form:
    """Return the form of ``headcast batch``: common flags, and those of ``--method``.

    Raises:
        HeadcastError: there is no such method.
    """
    from headcast.methods.base import get_method

    name = find_flag(arguments, "--method") or DEFAULT_METHOD
    label = name.replace("-", "_")
    form = make_form(Batch, get_method(name).Options, label, Batch.__doc__ or "")

    def build(given: Any) -> Batch:
        return replace(given.command, options=getattr(given, label))

    return Form(form, "headcast batch", arguments, build)


def animate_form(arguments: list[str]) -> Form | None:
    """Return the form of ``headcast animate --method NAME``; None: an avatar is driven.

    Raises:
        HeadcastError: there is no such image animator.
    """
    from headcast.methods.base import get_animator

    name = find_flag(arguments, "--method")
    if name is None:
        return None
    label = name.replace("-", "_")
    form = make_form(Animate, get_animator(name).Options, label, Animate.__doc__ or "")

    def build(given: Any) -> Animate:
        return replace(given.command, options=getattr(given, label))

    return Form(form, "headcast animate", arguments, build)


def enhance_form(arguments: list[str]) -> Form:
    """Return the form of ``headcast enhance``: common flags, and those of the enhancer."""
    from headcast.methods.base import get_enhancer

    enhancer = get_enhancer()
    form = make_form(Enhance, enhancer.Options, enhancer.name, Enhance.__doc__ or "")

    def build(given: Any) -> Enhance:
        return replace(given.command, options=getattr(given, enhancer.name))

    return Form(form, "headcast enhance", arguments, build)


def texture_form(arguments: list[str]) -> Form:
    """Return the form of ``headcast texture``: common flags, and those of the skin mapper."""
    from headcast.methods.base import get_skin_mapper

    mapper = get_skin_mapper()
    form = make_form(Texture, mapper.Options, "maps", Texture.__doc__ or "")

    def build(given: Any) -> Texture:
        return replace(given.command, options=given.maps)

    return Form(form, "headcast texture", arguments, build)
