"""Files made to hang, exhaust or crash a loader give one line, or are read, within a small budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.hostile import CASES, outcome


@pytest.mark.parametrize("name", CASES)
def test_hostile_files_cost_little(name: str, tmp_path: Path) -> None:
    found, _ = outcome(CASES[name], tmp_path)
    assert found == "read" if CASES[name].is_read else found.startswith("refused: "), found
    if not CASES[name].is_read and not name.startswith(("consent", "output: a name")):
        assert str(tmp_path) in found
