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


def test_torch_loses_its_test_programs_and_nothing_else(install: dict[str, Any], tmp_path: Path) -> None:
    gone = ["torch/test/atest", "torch/test/deep/b", "torch/bin/test_jit", "torch/bin/HashStoreTest"]
    stays = ["torch/bin/torch_shm_manager", "torch/testing/__init__.py", "numpy/test/x", "torch/bin/protoc"]
    for name in gone + stays:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    assert install["remove_torch_tests"](tmp_path) == 16
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == set(stays)
    assert install["remove_torch_tests"](tmp_path) == 0 == install["remove_torch_tests"](tmp_path / "none")
