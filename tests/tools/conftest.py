"""Tools run in this process, as their command lines would run them."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tools.portraits import write_portraits

__all__ = ["Tool"]

Tool = Callable[..., str]
"""Name and arguments to what the tool printed on standard output."""


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of synthetic portraits laid out like the shared one."""
    return write_portraits(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tool(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """Runs ``python tools/NAME.py ARGUMENTS``; a tool that ends with an error raises it."""

    def call(name: str, *arguments: object) -> str:
        monkeypatch.syspath_prepend(str(root / "tools"))
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(root / "tools" / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return call
