"""What every command takes: an output that exists is kept, and how much is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import Run

from headcast.cli.style import numbered, style, take_style


@pytest.fixture(autouse=True)
def plain() -> None:
    take_style([])


def test_flags_are_taken_wherever_they_stand() -> None:
    assert take_style(["render", "--quiet", "x", "--overwrite"]) == ["render", "x"]
    assert style.quiet and style.overwrite and not style.verbose
    assert take_style(["render"]) == ["render"] and not style.quiet


def test_numbers_go_on(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = numbered(tmp_path / "me.avatar")
        path.write_text("")
        names.append(path.name)
    assert names == ["me.avatar", "me-2.avatar", "me-3.avatar"]


def test_an_output_that_exists_is_kept_unless_it_may_be_replaced(
    run: Run, avatar_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    words = ("render", avatar_file, "--size", "64", "-o", out)
    assert run(*words)[0] == 0
    before = out.read_bytes()
    code, result, said = run(*words, "--yaw", "40")
    assert code == 0 and out.read_bytes() == before
    assert result.strip() == str(tmp_path / "a-2.png") and "a.png: exists; written to" in said
    code, result, said = run(*words, "--yaw", "40", "--overwrite")
    assert code == 0 and result.strip() == str(out) and said == "" and out.read_bytes() != before
    code, result, said = run(*words, "--quiet")
    assert code == 0 and said == "" and result.strip().endswith("a-3.png")


def test_errors_are_said_even_to_the_quiet(run: Run) -> None:
    code, out, err = run("info", "absent.avatar", "--quiet")
    assert code == 2 and out == "" and err.startswith("headcast: absent.avatar")


def test_the_verbose_see_where_an_error_came_from(run: Run) -> None:
    code, _, err = run("info", "absent.avatar", "--verbose")
    assert code == 2 and "Traceback" in err and err.rstrip().splitlines()[-1].startswith("headcast: ")
