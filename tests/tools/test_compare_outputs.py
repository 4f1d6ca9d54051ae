"""``tools/compare_outputs.py``: what it finds between two records, and that it records."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tools.outputs.store import Item, flat, load, save

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"
Tool = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """Runs the tool: exit code, standard output, standard error."""
    monkeypatch.syspath_prepend(TOOLS)
    main = importlib.import_module("compare_outputs").main

    def call(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(w) for w in words])
        except SystemExit as e:
            code = 0 if e.code is None else 1
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def item(bump: float = 0.0, pixel: int = 0, word: str = "good", **values: object) -> Item:
    """Made-up results, a little changed."""
    numbers = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6).copy()
    numbers[2, 3] += bump
    pixels = np.zeros((3, 3), np.uint8)
    pixels[1, 2] = pixel
    return Item({"numbers": numbers, "pixels": pixels}, {"word": word, "loss": 0.25, **values})


@pytest.fixture
def records(tmp_path: Path) -> tuple[Path, Path]:
    """Two records that agree in ``create.same``, ``render.same`` and nothing else is in them."""
    for folder in ("before", "after"):
        for name in ("create.same", "render.same"):
            save(tmp_path / folder / "items" / f"{name}.zip", item(), "code")
    return tmp_path / "before", tmp_path / "after"


def put(folder: Path, name: str, what: Item) -> None:
    save(folder / "items" / f"{name}.zip", what, "code")


def test_the_same_is_ok(tool: Tool, records: tuple[Path, Path]) -> None:
    code, out, _ = tool("compare", *records)
    assert code == 0 and out.count(" ok ") == 2 and out.splitlines()[-1] == "2 ok"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (item(bump=1e-3), "numbers: [2, 3]"),
        (item(pixel=1), "pixels: [1, 2] 0 became 1"),
        (item(word="bad"), "word: 'good' became 'bad'"),
        (item(loss=0.2501), "loss: 0.25 became 0.2501"),
        (item(loss=float("nan")), "loss: 0.25 became nan"),
        (item(more=1), "more: value only after"),
        (Item({"numbers": item().arrays["numbers"]}, item().values), "pixels: array only before"),
        (Item({**item().arrays, "pixels": np.zeros((3, 4), np.uint8)}, item().values), "uint8[3, 3] became"),
    ],
)
def test_a_difference_is_found_and_named(
    tool: Tool, records: tuple[Path, Path], changed: Item, words: str
) -> None:
    put(records[1], "render.same", changed)
    code, out, _ = tool("compare", *records)
    assert code == 1 and out.splitlines()[-1] == "1 DIFFERS, 1 ok"
    line = out.splitlines()[1]
    assert line.startswith("render.same") and "DIFFERS" in line and words in line


def test_tolerance(tool: Tool, records: tuple[Path, Path]) -> None:
    put(records[1], "render.same", item(bump=5e-7))
    assert tool("compare", *records)[0] == 0
    assert tool("compare", *records, "--tolerance", 1e-8)[0] == 1


def test_missing_and_new_items(tool: Tool, records: tuple[Path, Path]) -> None:
    put(records[0], "train.gone", item())
    put(records[1], "train.new", item())
    code, out, _ = tool("compare", *records)
    assert code == 1 and out.splitlines()[-1] == "1 MISSING, 1 NEW, 2 ok"
    assert any(x.startswith("train.gone") and "MISSING" in x for x in out.splitlines())
    assert any(x.startswith("train.new") and "NEW" in x for x in out.splitlines())
    assert tool("compare", *records, "--only", "create.*,render.*")[0] == 0
    # a partial record is not blamed for what it was not asked for
    (records[1] / "record.json").write_text('{"threads": 1, "scope": ["create.same", "render.same"]}')
    code, out, _ = tool("compare", *records)
    assert code == 0 and "1 items of" in out and "not asked for" in out


def test_expected_differences_are_listed_with_their_reason(tool: Tool, records: tuple[Path, Path]) -> None:
    put(records[1], "render.same", item(pixel=9))
    code, out, _ = tool("compare", *records, "--expect", "render.*: another rounding")
    assert code == 0 and "expected 0  1 parts differ: another rounding" in out
    assert tool("compare", *records, "--expect", "create.*: another rounding")[0] == 1
    part = ("--expect", "render.*#pixels: another rounding")
    assert tool("compare", *records, *part)[0] == 0
    put(records[1], "render.same", item(pixel=9, word="bad"))  # the excused part does not hide another
    code, out, _ = tool("compare", *records, *part)
    assert code == 1 and "word: 'good' became 'bad'" in out
    assert tool("compare", *records, *part, "--expect", "render.same#wo*: other words")[0] == 0
    put(records[0], "train.gone", item())
    assert tool("compare", *records, "--expect", "render.*: x", "--expect", "train.gone: removed")[0] == 0
    assert tool("compare", *records, "--expect", "render.*")[0] != 0  # a reason is owed


def test_what_passes_is_left_out() -> None:
    facts = {
        "seconds": 3.5,
        "finished": "today",
        "notes": ["10 steps, this run 0.1 minutes; loss 2"],
        "by": "headcast 0.1.0",
        "inner": {"versions": {"torch": "2"}, "seed": 3},
        "empty": [],
    }
    assert flat(facts) == {
        "notes.0": "10 steps, this run; loss 2",
        "by": "headcast",
        "inner.seed": 3,
        "empty": "list",
    }


def test_it_records_and_goes_on(
    tool: Tool, tmp_path: Path, demo_photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(TOOLS.parent / "src")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((source, os.environ.get("PYTHONPATH", ""))))
    words = ("record", tmp_path / "r", "--only", "inputs", "--photos", tmp_path / "none")
    code, _, err = tool(*words)
    assert code == 0 and "1 items recorded" in err and "not here" in err
    found = load(tmp_path / "r/items/inputs.zip")
    assert found.arrays["stills.mp4/frames"].shape == (10, 320, 320, 3)
    assert demo_photo.name == "astronaut.png" and "astronaut.png/pixels" in found.arrays
    code, _, err = tool(*words)
    assert code == 0 and "1 of 1 items are there already" in err
    assert tool(*words, "--threads", 2)[0] == 1  # sums of other threads do not compare
    assert tool("compare", tmp_path / "r", tmp_path / "r")[0] == 0
