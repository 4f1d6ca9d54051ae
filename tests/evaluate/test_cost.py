"""Peak memory counts a command's helping processes; mistakes of the command come through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from headcast.errors import HeadcastError
from headcast.evaluate import cost
from headcast.evaluate.cost import Cost, Options, megabytes, process_cost, tree
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_memory_of_a_process_and_its_child() -> None:
    child = "x = bytearray(60 << 20); print(1, flush=True); input()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline()  # the child holds its memory now
        family = tree(parent.pid)
        held = [megabytes(p) for p in family]
        parent.communicate(b"go on\n")
    assert len(family) == 2 and family[0] == parent.pid
    assert held[0] < 40 and 60 <= held[1] < 120
    assert megabytes(parent.pid) == 0 and tree(parent.pid) == [parent.pid]
    assert megabytes(os.getpid()) > 10


def test_cost_of_a_command_and_its_failure(tmp_path: Path) -> None:
    cost = process_cost(["create", "--help"])
    assert 0.02 < cost.seconds < 120 and cost.megabytes > 5
    with pytest.raises(HeadcastError, match="no such file"):
        process_cost(["info", str(tmp_path / "none.avatar")])


def test_methods_are_timed_warm_and_the_first_time(
    demo_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[list[str], bool]] = []

    def timed(arguments: list[str], environment: dict[str, str] | None = None) -> Cost:
        ran.append((arguments, bool(environment)))
        if "mesh" in arguments:
            raise HeadcastError("create: broken")
        return Cost(9.0 if environment else 1.0 + len(ran), 500.0)

    monkeypatch.setattr(cost, "process_cost", timed)
    setting = Setting(
        subjects=("fit", "fit:mesh"),
        data=demo_photo,
        out=tmp_path,
        networks=EvaluationNetworks(),
        device=torch.device("cpu"),
        options=Options(runs=3),
    )
    report, _ = evaluate("cost", setting)
    cells = report.cells("fit")
    assert [first for _, first in ran[:5]] == [False] * 4 + [True]  # one that doesn't count, three, the first
    assert cells["seconds"].median == 4 and cells["seconds"].count == 3 and cells["first_seconds"].mean == 9
    assert ran[0][0][:2] == ["create", str(demo_photo)] and ran[0][0][-2:] == ["--method", "fit"]
    assert ran[5][0][-2:] == ["--representation", "mesh"]
    assert list(report.skipped) == [f"{demo_photo.stem}, fit:mesh"]
    assert evaluate("cost", setting)[0].rows == report.rows and len(ran) == 7  # the broken one is tried again
