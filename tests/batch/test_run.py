"""A batch: one item's end is its own, runs resume, and nothing is made twice."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.batch.tasks import PNG, task

from headcast.batch import pool
from headcast.batch.items import BatchSettings
from headcast.batch.run import Plan, format_seconds, run_batch
from headcast.errors import HeadcastError

SETTINGS = BatchSettings("fit")
SCRIPT = """
import sys
from tests.batch.test_run import SETTINGS, task
from headcast.batch.run import Plan, run_batch
if __name__ == "__main__":
    run_batch(sys.argv[1], sys.argv[2], SETTINGS, Plan(workers=2), task=task)
"""


def photos(folder: Path, **words: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in words.items():
        (folder / f"{name}.png").write_bytes(PNG + text.encode())
    return folder


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "manifest.csv").open(newline="") as f:
        return {r["source"].removesuffix(".png"): r for r in csv.DictReader(f)}


def calls(out: Path) -> Counter[str]:
    return Counter((out / "calls.txt").read_text().split())


def test_what_fails_stops_nothing_and_is_tried_as_often_as_it_makes_sense(tmp_path: Path) -> None:
    folder = photos(
        tmp_path / "in", a="one", b="die SIGKILL", c="refuse", d="break", e="two", f="one", g="sleep 60"
    )
    out, said = tmp_path / "out", []
    plan = Plan(workers=2, timeout=15)
    summary = run_batch(folder, out, SETTINGS, plan, lambda f, w: said.append((f, w)), task=task)
    assert (summary.done, summary.kept, summary.refused, summary.failed) == (2, 0, 1, 3)
    found = rows(out)
    assert {k: r["status"] for k, r in found.items()} == {
        **dict.fromkeys("aef", "done"),
        **{"c": "refused", "b": "failed", "d": "failed", "g": "failed"},
    }
    assert "signal 9" in found["b"]["error"] and "--timeout" in found["g"]["error"]
    assert found["f"]["output"] == found["a"]["output"] and found["a"]["warnings"] == "the face is small"
    assert all((out / found[k]["output"]).is_file() for k in "aef")
    assert calls(out)["b.png"] == 2 and calls(out)["f.png"] == 0
    assert said[-1][0] == 1.0 and said[0][1].startswith("1 of 6, ")
    before = calls(out)
    photos(folder, b="three", g="four")
    again = run_batch(folder, out, SETTINGS, Plan(workers=1), task=task)
    assert (again.done, again.kept, again.refused, again.failed) == (2, 3, 0, 1)
    assert calls(out) - before == Counter({"b.png": 1, "g.png": 1, "d.png": 1})
    assert run_batch(folder, out, SETTINGS, Plan(workers=1, retry=True), task=task).refused == 1


def test_a_deleted_avatar_is_made_again(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="one"), tmp_path / "out"
    run_batch(folder, out, SETTINGS, Plan(), task=task)
    (out / rows(out)["a"]["output"]).unlink()
    assert run_batch(folder, out, SETTINGS, Plan(), task=task).done == 1


def test_a_renamed_photo_is_not_made_again(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="one"), tmp_path / "out"
    run_batch(folder, out, SETTINGS, Plan(), task=task)
    (folder / "a.png").rename(folder / "z.png")
    summary = run_batch(folder, out, SETTINGS, Plan(), task=task)
    assert (summary.done, summary.kept) == (0, 1)
    assert rows(out)["z"]["output"].startswith("a-")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_is_resumed_and_its_workers_end(tmp_path: Path, root: Path) -> None:
    folder = photos(tmp_path / "in", **{f"p{i}": f"sleep 0.{i}" for i in range(1, 9)}, z="sleep 30")
    out = tmp_path / "out"
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(folder), str(out)]
    env = {"PYTHONPATH": f"{root}:{root / 'src'}", "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, env=env, cwd=root)
    lines, deadline = out / "manifest.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and not (lines.is_file() and lines.read_text().count("\n") >= 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = lines.read_text().count("\n")
    assert made >= 3
    (folder / "z.png").write_bytes(PNG + b"quick")
    summary = run_batch(folder, out, SETTINGS, Plan(workers=2), task=task)
    assert summary.kept >= made and summary.done == 9 - summary.kept and not summary.failed
    twice = {name for name, n in calls(out).items() if n > 1}
    assert len(twice) <= 2  # those that were being worked on
    assert len(list(out.glob("*.avatar"))) == 9


def test_workers_fit_processors_memory_and_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "free_memory", lambda: 3 * pool.WORKER_BYTES)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [pool.pool_size(w, n) for w, n in ((None, 100), (None, 2), (5, 100), (5, 0))] == [3, 2, 5, 1]
    monkeypatch.setattr(pool, "free_memory", lambda: 0)
    assert pool.pool_size(None, 100) == 1


def test_durations_in_words() -> None:
    assert [format_seconds(s) for s in (40, 420, 12_000)] == ["40 s", "7 min", "3 h 20 min"]


def test_an_output_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(HeadcastError, match="name a folder"):
        run_batch(photos(tmp_path / "in", a="one"), tmp_path / "out", SETTINGS, Plan(), task=task)
