"""Wheels for other platforms: which packages are asked for; one small one is, where there is an index."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest


def test_compiled_packages_are_asked_for(root: Path) -> None:
    tool = runpy.run_path(str(root / "tools" / "check_platforms.py"))
    names = " ".join(tool["compiled_requirements"]((root / "pyproject.toml").read_text()))
    assert "torch" in names and "numba" in names and "tyro" not in names


@pytest.mark.slow
def test_a_small_package_has_wheels_everywhere(root: Path) -> None:
    tool = runpy.run_path(str(root / "tools" / "check_platforms.py"))
    code = tool["main"](["--only", "safetensors"])
    if code == 3:
        pytest.skip("no package index answers")
    assert code == 0
