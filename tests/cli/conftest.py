"""One avatar of the demo photo for all tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headcast.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="session")
def avatar_file(demo_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar of the demo photo."""
    path = tmp_path_factory.mktemp("avatar") / "me.avatar"
    assert (
        main(["create", str(demo_photo), "-o", str(path), "--texture-size", "512", "--consent", "public"])
        == 0
    )
    return path
