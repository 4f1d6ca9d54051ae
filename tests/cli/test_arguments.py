"""Arguments: what is understood, and one line with exit code 2 for what isn't."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import Run

from headcast.cli.expression import parse_expression
from headcast.cli.main import one_line
from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSIONS

MISTAKES = {
    "unknown command": (["crate", "x.jpg"], "crate"),
    "missing argument": (["render"], "PATH"),
    "unknown option": (["render", "x.avatar", "--yaww", "3"], "--yaw"),
    "no number": (["render", "x.avatar", "--yaw", "much"], "much"),
    "unknown choice": (["render", "x.avatar", "--view", "back"], "front"),
    "nothing to drive": (["animate", "x.avatar"], "--preset"),
    "two drivers": (["animate", "x.avatar", "--preset", "speech", "--drive", "a"], "either"),
    "unknown device": (["create", "x.jpg", "--device", "toaster"], "toaster"),
    "no photo": (["create"], "photo"),
    "wrong ending": (["create", "x.jpg", "-o", "x.zip"], ".avatar"),
    "no such avatar": (["info", "absent.avatar"], "absent.avatar"),
    "no format": (["export", "x.avatar"], "--to"),
    "unknown format": (
        ["export", "x.avatar", "--to", "fbx"],
        "'--to'. Give glb, html, mesh-ply, splat-ply or spz;",
    ),
    "bad size": (["render", "x.avatar", "--size", "9"], "--size 9"),
    "bad colour": (["render", "x.avatar", "--background", "#12"], "#12"),
    "bad expression": (["render", "x.avatar", "--expression", "jawOpn=1"], "did you mean 'jawOpen'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_two(
    case: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = MISTAKES[case]
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    assert err.startswith("headcast: ") and err.count("\n") == 1 and words in err
    assert not list(tmp_path.iterdir())


def test_help_shows_defaults(run: Run) -> None:
    code, out, _ = run("animate", "--help")
    words = " ".join(out.replace("│", "").split())
    assert code == 0 and "(default: source)" in words and "--side-by-side" in words
    assert run("--help")[0] == 0 and run()[0] == 0
    assert run("--version")[1].startswith("headcast ")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from headcast.cli.main import main; main(['create', '--help']);"
        "assert not {'torch', 'cv2', 'ai_edge_litert', 'numba', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headcast", "info", "absent.avatar"], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("headcast: ") and done.stderr.count("\n") == 1


@given(st.dictionaries(st.sampled_from(EXPRESSIONS), st.floats(-2, 2), max_size=8))
def test_expression_round_trip(weights: dict[str, float]) -> None:
    text = ",".join(f"{n}={w!r}" for n, w in weights.items())
    assert parse_expression(text) == weights


@given(st.text(max_size=40))
def test_expression_never_fails_otherwise(text: str) -> None:
    try:
        parse_expression(text)
    except HeadcastError as e:
        assert str(e)


@pytest.mark.parametrize(
    "text,words",
    [
        ("smile=1", "unknown expression 'smile'"),
        ("jawOpen", "JSON file"),
        ("jawOpen=", "not a number"),
        ("jawOpen=1,jawOpen=1", "twice"),
        ("jawOpen=nan", "0 to 1"),
        ("jawOpen=7", "0 to 1"),
        ("jawOpen=1,,", "not name=weight"),
    ],
)
def test_bad_expressions(text: str, words: str) -> None:
    with pytest.raises(HeadcastError, match=words):
        parse_expression(text)


def test_expression_from_json(tmp_path: Path) -> None:
    path = tmp_path / "smile.json"
    path.write_text(json.dumps({"mouthSmileLeft": 1, "jawOpen": 0.2}))
    assert parse_expression(str(path)) == {"mouthSmileLeft": 1.0, "jawOpen": 0.2}
    path.write_text('["jawOpen"]')
    with pytest.raises(HeadcastError, match="JSON file"):
        parse_expression(str(path))


def test_framed_messages_become_one_line() -> None:
    framed = "╭─ Parsing error ─╮\n│ Unrecognized: --x │\n│ ──────── │\n│ see y │\n╰──────╯"
    assert one_line(framed) == "Unrecognized: --x see y"
    assert "headcast --help" in one_line("")
