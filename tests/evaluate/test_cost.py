"""Peak memory counts a command's helping processes; mistakes of the command come through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headcast.errors import HeadcastError
from headcast.evaluate.cost import megabytes, process_cost, tree


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
