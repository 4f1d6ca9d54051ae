"""The set-up of an environment: what it would install, and that a finished one is left alone."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def install(root: Path) -> dict[str, Any]:
    return runpy.run_path(str(root / "tools" / "install.py"))


def test_requirements_leave_torch_to_a_step_of_its_own(install: dict[str, Any]) -> None:
    plain, dev = install["requirements"]([]), install["requirements"](["dev"])
    assert set(plain) < set(dev) and any(r.startswith("pytest") for r in dev)
    assert not [r for r in dev if r.startswith(("torch>", "torch="))]


def test_a_finished_environment_is_left_alone(install: dict[str, Any], root: Path, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "tools" / "install.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    (tmp_path / ".headcast-setup").write_text(install["state_key"](["dev", "metrics"]))
    done = run(str(tmp_path), "dev,metrics")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [p.name for p in tmp_path.iterdir()] == [".headcast-setup"]
    assert install["state_key"](["dev"]) != install["state_key"]([])
    assert run().returncode == 2 and run("--help").returncode == 0
