"""The notebook's cells run, in order, and make what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "notebooks" / "first_head.ipynb"


def cells() -> list[str]:
    found = json.loads(NOTEBOOK.read_text())
    assert found["nbformat"] == 4
    assert not any(c.get("outputs") for c in found["cells"])
    return ["".join(c["source"]) for c in found["cells"] if c["cell_type"] == "code"]


def test_every_cell_is_python() -> None:
    for text in cells():
        compile(text, str(NOTEBOOK), "exec")


@pytest.mark.slow
def test_the_cells_run(demo_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in cells():
        if "IPython" not in text:
            exec(compile(text, str(NOTEBOOK), "exec"), names)
    assert {"me.avatar", "me.glb", "talk.mp4"} <= {p.name for p in tmp_path.iterdir()}
