"""docs/cli.md is what the parser says today."""

from __future__ import annotations

from pathlib import Path

from headcast.cli.commands import COMMANDS
from headcast.cli.reference import flags_of, write_reference


def test_the_reference_is_todays(root: Path) -> None:
    assert (root / "docs" / "cli.md").read_text() == write_reference(), "run: make surface"


def test_every_command_has_its_flags() -> None:
    for name in COMMANDS:
        assert f"## {name}\n" in write_reference()
    create = {n: f for f in flags_of("create") for n in f.names}
    assert create["--representation"].choices == ("gaussians", "mesh") and create["-o"].value == "PATH"
    assert create["--same-person"].value == "" and create["--seed"].default == "0"
