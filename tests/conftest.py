"""Fixtures of all tests. Shape annotations of the package are executed while tests run."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook
from tests.command import Run

# An int is a float here, as everywhere in typed Python (PEP 484).
install_import_hook(
    "headcast", "beartype.beartype(conf=__import__('beartype').BeartypeConf(is_pep484_tower=True))"
)

hypothesis.settings.register_profile("headcast", max_examples=30, deadline=None)
hypothesis.settings.load_profile("headcast")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--device``: where device-agnostic tests run."""
    parser.addoption("--device", default="cpu", help="device of device-agnostic tests: cpu, cuda or cuda:N")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> object:
    """The torch device of this run; skips where it is absent."""
    from headcast.device import pick_device
    from headcast.errors import HeadcastError

    try:
        return pick_device(request.config.getoption("--device"))
    except HeadcastError as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material beside the repository; skips without it."""
    path = ROOT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip("the folder 'shared' is not beside the repository")
    return path


@pytest.fixture(scope="session")
def demo_photo() -> Path:
    """The photo of ``make demo``."""
    from headcast.demo import demo_photo as find
    from headcast.errors import HeadcastError

    try:
        return find()
    except HeadcastError as e:
        pytest.skip(str(e))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit code, standard output, standard error."""
    from headcast.cli.main import main

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call
