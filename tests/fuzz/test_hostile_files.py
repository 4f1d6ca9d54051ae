"""Files made to hang, exhaust or crash a loader give one line, or are read, within a small budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fuzz.hostile import CASES


def test_hostile_files_cost_little(root: Path) -> None:
    # in a process of its own: checks of shapes would multiply the cost of a step
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.hostile"], cwd=root, capture_output=True, text=True
    )
    found = {
        name: text
        for name, text, *_ in (line.split(" | ") for line in done.stdout.splitlines() if " | " in line)
    }
    assert set(found) == set(CASES), done.stderr
    wrong = {
        name: text
        for name, text in found.items()
        if not (text == "read" if CASES[name].is_read else text.startswith("refused: "))
    }
    assert not wrong
