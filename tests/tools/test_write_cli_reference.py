"""The writer of docs/cli.md writes what the reference says."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcast.cli.reference import write_reference
from tools import write_cli_reference


def test_it_writes_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_cli_reference, "FILE", tmp_path / "cli.md")
    write_cli_reference.main()
    assert (tmp_path / "cli.md").read_text() == write_reference()
