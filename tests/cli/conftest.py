"""One avatar of the demo photo for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcast.cli.main import main


@pytest.fixture(scope="session")
def avatar_file(demo_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar of the demo photo."""
    path = tmp_path_factory.mktemp("avatar") / "me.avatar"
    assert (
        main(["create", str(demo_photo), "-o", str(path), "--texture-size", "512", "--consent", "public"])
        == 0
    )
    return path
