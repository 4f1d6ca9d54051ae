"""``headcast evaluate``: mistakes are one line and exit code 2, before anything heavy is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import Run

from headcast.cli.evaluate import evaluate_form, parse_pairs, split_names
from headcast.cli.main import parse
from headcast.errors import HeadcastError


def test_lists_and_pairs() -> None:
    assert split_names(" fit, me.avatar,,fit ") == ("fit", "me.avatar")
    assert parse_pairs("a:b,c:d") == (("a", "b"), ("c", "d")) and parse_pairs("") == ()
    with pytest.raises(HeadcastError, match="source:driver"):
        parse_pairs("a-b")


def test_a_protocol_has_options_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "evaluate",
        "fit",
        "--protocol=synthetic",
        "--views",
        "30",
        "-30",
        "--photos",
        "1",
        "5",
        "--limit",
        "2",
    ]
    command = parse(line)
    assert command.options.views == (30.0, -30.0) and command.options.photos == (1, 5)  # type: ignore[union-attr]
    assert command.limit == 2 and command.data is None  # type: ignore[union-attr]
    form = evaluate_form(["fit", "--protocol"])
    assert form.arguments == ["fit", "--protocol"] and form.program == "headcast evaluate"
    assert parse(["evaluate", "--protocol", "synthetic", "--help"]) is None
    assert "--shared-background" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more,words",
    [
        (["--protocol", "guess"], "guess"),
        (["--protocol", "texture", "--data", "nowhere"], "nowhere: no such folder"),
        (["--protocol", "texture", "--data", ".", "-o", "a.file"], "a.file: is a file"),
        (["--protocol", "texture", "--data", ".", "--frames", "0"], "--frames 0: give a number from 1"),
        (["--protocol", "texture", "--data", ".", "--pairs", "x"], "--pairs x"),
        (["--protocol", "texture"], "give --data"),
        (["--protocol", "texture", "--data", ".", "--size", "64"], "--size"),
        (["--protocol", "synthetic", "--photos", "6"], "from 1 to 5"),
    ],
)
def test_mistakes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.file").write_text("x")
    code, out, err = run("evaluate", "fit", *more)
    assert (code, out) == (2, "") and words in err and len(err.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.file"]
