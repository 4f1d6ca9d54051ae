"""Every numeric option of every command and method: nonsense is refused early, or allowed by a table here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from tests.command import Run

from headcast.cli import main
from headcast.cli.commands import COMMANDS
from headcast.cli.evaluate import NoOptions
from headcast.errors import HeadcastError
from headcast.evaluate.protocols import options_of, protocols
from headcast.limits import Limit, check_fields, check_numbers
from headcast.methods.base import (
    animator_names,
    get_animator,
    get_method,
    get_skin_mapper,
    make_options,
    method_names,
    skin_mapper_names,
)
from headcast.registry import DEFAULT_METHOD
from headcast.training import TrainConfig
from headcast.training.recipes import recipe_class, recipes

VALUES = (0, -3, math.nan, math.inf, -math.inf, 1e30)

ALLOWED: dict[str, tuple[set[str], set[float]]] = {
    "angles in degrees": ({"yaw", "pitch", "roll", "evaluate synthetic views"}, {0, -3}),
    "a seed, a weight, a fraction, a number of extras: 0 is none or the first": (
        {
            *("seed", "strength", "sh_degree", "subdivide", "ema", "clip", "warmup", "cooldown"),
            *("picture_every", "checkpoint_seconds", "workers", "steps", "seams", "resize"),
            *("sharp", "native", "synth", "fresh", "edges", "perceptual", "solve", "veil", "dropout"),
            *("restoration", "clean", "mixed"),
            *(
                "real",
                "cut",
                "guided",
                "company",
                "adversarial_from",
                "grow_from",
                "clip_share",
                "difference_weight",
                "blocks",
            ),
        },
        {0},
    ),
    "0: the default of the option": ({"synth texture", "train parser window", "studio port"}, {0}),
}


def numeric_fields(options: type) -> Iterator[tuple[str, type, bool]]:
    """Yield name, kind and whether it is a tuple of numbers, of a dataclass's options."""
    hints = get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        while get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        kinds = set(get_args(hint)) or {hint}
        for kind in (int, float):
            if kind in kinds:
                yield field.name, kind, get_origin(hint) is tuple


def walked() -> dict[str, list[str]]:
    """Return the command lines whose options are walked, by a name."""
    lines = {name: [name, "x.avatar"] for name in COMMANDS if name not in ("train", "evaluate", "weights")}
    lines["synth"] = ["synth", "--identities", "1", "--out", "x"]
    lines |= {name: [name] for name in ("doctor", "studio", "completion")}
    lines |= {f"create {n}": ["create", "x.jpg", "--method", n] for n in method_names()}
    lines |= {f"animate {n}": ["animate", "x.jpg", "--method", n] for n in animator_names()}
    lines |= {f"evaluate {n}": ["evaluate", "fit", "--protocol", n] for n in protocols()}
    lines |= {f"train {n}": ["train", n] for n in recipes()}
    return lines


LINES = walked()


def options_in(name: str) -> Iterator[tuple[str, type, bool]]:
    """Yield the numeric options of one of the command lines; those that several share, for one of them."""
    command, _, choice = name.partition(" ")
    if choice in ("", DEFAULT_METHOD, "cost"):
        yield from numeric_fields(COMMANDS[command].flags)
    if command == "create":
        yield from numeric_fields(get_method(choice or DEFAULT_METHOD).Options)
    if command == "animate" and choice:
        yield from numeric_fields(get_animator(choice).Options)
    if command == "texture":
        yield from numeric_fields(get_skin_mapper().Options)
    if command == "evaluate" and (own := options_of(choice)) is not None:
        yield from numeric_fields(own)
    if command == "train":
        yield from numeric_fields(TrainConfig if choice == "toy" else NoOptions)
        yield from numeric_fields(recipe_class(choice))


def allowed(line: str, option: str, value: float) -> bool:
    return any(
        not names.isdisjoint((option, f"{line} {option}")) and value in values
        for names, values in ALLOWED.values()
    )


@pytest.mark.parametrize("name", LINES)
def test_nonsense_is_refused_before_work_begins(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(main, "run", started.append)
    for option, kind, several in options_in(name):
        for value in VALUES:
            text = str(int(value)) if kind is int and math.isfinite(value) else str(value)
            arguments = [a for a in LINES[name] if f"--{option}" != a]
            count = 3 if several and option in ("widths", "blocks") else 1
            line = [*arguments, f"--{option.replace('_', '-')}", *[text] * count]
            if option == "identities":
                line = ["synth", "--identities", text, "--out", "x"]
            started.clear()
            code, out, err = run(*line)
            if allowed(name, option, value):
                assert code == 0 and started, (line, err)
                continue
            assert code == 2 and not started and out == "", line
            assert err.startswith("headcast: ") and err.count("\n") == 1, err
            assert f"--{option.replace('_', '-')}" in err, err


def test_ranges_are_said(run: Run) -> None:
    assert "--fps -5.0: give a number from 0.1 to 1000" in run("animate", "x.avatar", "--fps", "-5")[2]
    assert "--frames 1e30: give a whole number" in run("animate", "x.avatar", "--frames", "1e30")[2]
    assert "--yaw much: give a number" in run("render", "x.avatar", "--yaw", "much")[2]


def test_every_default_is_in_range() -> None:
    for entry in COMMANDS.values():
        check_numbers(
            **{
                f.name: f.default
                for f in dataclasses.fields(entry.flags)
                if f.name not in ("texture", "views")
            }
        )
    for name in recipes():
        recipe = recipe_class(name)
        check_fields(recipe())
        check_fields(getattr(recipe, "defaults", TrainConfig()))
    for name in skin_mapper_names():
        check_fields(get_skin_mapper(name).Options())


@pytest.mark.parametrize("value", [-5, 7, 10**9])
def test_options_from_python_pass_the_same_check(value: int) -> None:
    method = get_method()
    with pytest.raises(HeadcastError, match=f"--texture-size {value}"):
        make_options(method, {"texture_size": value})
    with pytest.raises(HeadcastError, match=f"--texture-size {value}"):
        make_options(method, dataclasses.replace(method.Options(), texture_size=value))


def test_fields_state_their_own_range() -> None:
    @dataclasses.dataclass
    class Inner:
        share: float = 0.5

    @dataclasses.dataclass
    class Outer:
        inner: Any
        sides: Annotated[tuple[int, ...], Limit(2, 4)] = (2, 3)
        flag: bool = True
        fps: float | None = None

    check_fields(Outer(Inner()))
    for wrong in (Outer(Inner(math.nan)), Outer(Inner(-1)), Outer(None, (2, 5)), Outer(None, fps=0.0)):
        with pytest.raises(HeadcastError, match="give a number from"):
            check_fields(wrong)
    check_numbers(fps=None, anything="x")
