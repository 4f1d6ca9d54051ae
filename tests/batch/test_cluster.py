"""A cluster of two nodes on this machine: one is killed in mid-run; nothing is lost, nothing comes twice."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.batch.tasks import PNG, task_bytes

from headcast.batch import cluster
from headcast.batch.items import Settings, find_items
from headcast.errors import HeadcastError

COUNT = 12


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HeadcastError, match=r"headcast\[cluster\]"):
        next(cluster.run_cluster([], Settings("fit"), tmp_path, "auto"))


@pytest.mark.slow
def test_a_node_that_dies_loses_nothing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", ":".join([str(root), *filter(None, sys.path)]))
    monkeypatch.setattr(cluster, "WORKER_BYTES", 1 << 20)
    from ray.cluster_utils import Cluster

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for i in range(COUNT):
        (folder / f"p{i:02}.png").write_bytes(PNG + str(i).encode())
    small = {
        "num_cpus": 2,
        "memory": 1 << 28,
        "object_store_memory": 100 << 20,
        "node_ip_address": "127.0.0.1",
    }
    nodes = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        second = nodes.add_node(**small)
        items = find_items(folder, Settings("fit"))
        ended: Counter[str] = Counter()
        for item, outcome in cluster.run_cluster(items, Settings("fit"), out, nodes.address, task_bytes):
            ended[item.name] += 1
            assert outcome.status == "done", outcome
            if sum(ended.values()) == 3:
                nodes.remove_node(second, allow_graceful=False)
    finally:
        nodes.shutdown()
    assert ended == Counter({f"p{i:02}.png": 1 for i in range(COUNT)})
    assert {p.read_bytes() for p in out.iterdir()} == {
        b"an avatar of " + PNG + str(i).encode() for i in range(COUNT)
    }
