"""What an archive must hold and must not; the build itself is ``make dist``."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_what_is_missing_and_what_is_too_much_is_named(root: Path) -> None:
    tool = runpy.run_path(str(root / "tools" / "make_dist.py"))
    needed = list(tool["check_names"].__globals__["NEEDED"])
    assert tool["check_names"](needed) == []
    assert tool["check_names"]([f"x/src/{n}" for n in needed], "x/src/") == []
    wrong = tool["check_names"]([*needed[1:], "web/node_modules/x.js", "a/model.pkl"])
    assert wrong == [f"it lacks {needed[0]}", "it holds web/node_modules/x.js", "it holds a/model.pkl"]


def test_what_must_be_inside_exists_here(root: Path) -> None:
    tool = runpy.run_path(str(root / "tools" / "make_dist.py"))
    needed = tool["check_names"].__globals__["NEEDED"]
    assert not [n for n in needed if not (root / "src" / n).is_file()]
