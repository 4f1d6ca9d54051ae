"""A cluster of two nodes on this machine: one is killed in mid-run; nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.batch.tasks import PNG, task_bytes

from headcast.batch import cluster
from headcast.batch.items import BatchSettings, find_items
from headcast.errors import HeadcastError

COUNT = 12


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HeadcastError, match=r"headcast\[cluster\]"):
        next(cluster.run_cluster([], BatchSettings("fit"), tmp_path, "auto"))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.2", 0))
        return int(s.getsockname()[1])


def start_node(address: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A node on a loopback address of its own, as ``ray start`` makes one on every machine of a cluster."""
    code = "from ray.scripts.scripts import main; main()"
    given = ["start", "--block", "--disable-usage-stats", "--num-cpus=2", "--object-store-memory=100000000"]
    with (folder / f"{address}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, *given, f"--node-ip-address={address}", *arguments],
            start_new_session=True,
            stdout=log,
            stderr=log,
        )


def kill(node: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the cluster did not come up in time"
        time.sleep(0.5)


@contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[Any, subprocess.Popen[bytes]]]:
    """Ray, connected to a head node, and the process of a second node."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
    port, short = free_port(), tempfile.mkdtemp(prefix="ray")  # its sockets' paths must be short
    head = start_node(
        "127.0.0.2", folder, "--head", f"--port={port}", f"--temp-dir={short}", "--include-dashboard=false"
    )
    nodes = [head]
    try:
        wait_for(lambda: "runtime started" in (folder / "127.0.0.2.log").read_text())
        nodes.append(start_node("127.0.0.3", folder, f"--address=127.0.0.2:{port}"))
        ray.init(address=f"127.0.0.2:{port}", _node_ip_address="127.0.0.2", log_to_driver=False)
        wait_for(lambda: ray.cluster_resources().get("CPU", 0) == 4)
        yield ray, nodes[1]
    finally:
        ray.shutdown()
        for node in nodes:
            kill(node)
        shutil.rmtree(short, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses")
def test_a_node_that_dies_loses_nothing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", ":".join([str(root), *filter(None, sys.path)]))
    monkeypatch.setattr(cluster, "WORKER_BYTES", 1 << 20)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for i in range(COUNT):
        (folder / f"p{i:02}.png").write_bytes(PNG + str(i).encode())
    items = find_items(folder, BatchSettings("fit"))
    ended: Counter[str] = Counter()
    with two_nodes(tmp_path) as (ray, second):
        for item, outcome in cluster.run_cluster(items, BatchSettings("fit"), out, "auto", task_bytes):
            ended[item.name] += 1
            assert outcome.status == "done", outcome
            if sum(ended.values()) == 3:
                kill(second)
        wait_for(lambda: sum(n["Alive"] for n in ray.nodes()) == 1)
    assert ended == Counter({f"p{i:02}.png": 1 for i in range(COUNT)})
    assert {p.read_bytes() for p in out.iterdir()} == {
        b"an avatar of " + PNG + str(i).encode() for i in range(COUNT)
    }
