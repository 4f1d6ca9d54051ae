"""Jobs of a server that was killed, and the jobs that start from an avatar, served from end to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.avatar.export.heads import synthetic_avatar
from tests.studio.serving import Client, serving, wait_for

from headcast.image import save_png
from headcast.studio.jobs import MAX_TRIES, Queue
from headcast.studio.project import Project

SERVE = """
import sys
from headcast.studio.serve import Server
server = Server(sys.argv[1])
print(server.port, server.keys.token, flush=True)
server.run()
"""


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("avatar") / "me.avatar"
    synthetic_avatar().save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("studio") / "project") as found:
        found.sign_in()
        wait_for(lambda: found.state()["methods"], 120)
        yield found


@pytest.fixture(scope="module")
def head(client: Client, avatar: bytes) -> str:
    """An avatar that was made elsewhere, taken into the project."""
    upload = client.upload(avatar, "me.avatar", "avatar").json
    job = client.ask("POST", "/api/jobs", {"kind": "import", "uploads": [upload["id"]], "name": "Guest"})
    found = client.finish(job.json["id"])
    assert found["state"] == "done", found
    return found["result"]["head"]


def run(client: Client, **spec: object) -> bytes:
    """Do a job that ends in a file; return the file."""
    found = client.finish(client.ask("POST", "/api/jobs", spec).json["id"])
    assert found["state"] == "done", found
    return client.ask("GET", f"/api/heads/{spec['head']}/exports/{found['result']['export']}").body


def test_an_avatar_from_elsewhere_is_taken_in(client: Client, head: str) -> None:
    listed = next(h for h in client.state()["heads"] if h["id"] == head)
    assert listed["name"] == "Guest"
    assert client.ask("GET", f"/api/heads/{head}/viewer.bin").status == 200
    assert client.ask("GET", f"/api/heads/{head}/front.jpg").body.startswith(b"\xff\xd8")
    assert client.ask("GET", f"/api/heads/{head}/avatar").body[:2] == b"PK"


def test_a_damaged_avatar_ends_its_job_alone(client: Client, avatar: bytes) -> None:
    upload = client.upload(avatar[: len(avatar) // 2], "half.avatar", "avatar").json
    job = client.ask("POST", "/api/jobs", {"kind": "import", "uploads": [upload["id"]]})
    found = client.finish(job.json["id"])
    assert found["state"] == "failed" and found["error"] and "Traceback" not in found["error"]


def test_an_avatar_is_exported_and_animated(client: Client, head: str) -> None:
    assert run(client, kind="export", head=head, format="glb").startswith(b"glTF")
    video = run(client, kind="animate", head=head, preset=client.state()["presets"][0])
    assert video[4:8] == b"ftyp"


def test_a_job_that_a_killed_server_did_is_done_by_the_next_one(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra 'studio' is not installed")
    photo, project = tmp_path / "grey.png", tmp_path / "project"
    save_png(photo, np.random.default_rng(0).integers(90, 160, (96, 96, 3)).astype(np.uint8))
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, project], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        port, token = killed.stdout.readline().split()
        first = Client(type("Remote", (), {"port": int(port), "keys": type("K", (), {"token": token})})())
        wait_for(lambda: answers(first), 60)
        first.sign_in()
        wait_for(lambda: first.state()["methods"], 120)
        upload = first.upload(photo.read_bytes()).json["id"]
        job = first.ask("POST", "/api/jobs", {"kind": "observe", "uploads": [upload]}).json["id"]
        wait_for(lambda: first.job(job)["state"] == "running", 60)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(30)
    with serving(project) as second:
        second.sign_in()
        found = second.finish(job)
        assert found["state"] == "failed" and "no face found" in found["error"]
        assert not list((project / "work").iterdir())


def answers(client: Client) -> bool:
    try:
        return client.ask("GET", "/").status > 0
    except OSError:
        return False


@pytest.mark.parametrize(("tries", "state"), [(MAX_TRIES - 1, "queued"), (MAX_TRIES, "failed")])
def test_what_took_the_server_down_twice_is_not_tried_again(tmp_path: Path, tries: int, state: str) -> None:
    project = Project(tmp_path / "project")
    facts = {"kind": "observe", "spec": "{}", "fraction": 0.5, "step": "", "error": "", "result": "{}"}
    project.put("jobs", id="0" * 16, state="running", created="", head=None, tries=tries, **facts)
    Queue(project)
    row = project.row("jobs", "0" * 16)
    assert row is not None and row["state"] == state
    assert ("ended twice" in row["error"]) == (state == "failed")
    project.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory limits hold on Linux")
def test_a_worker_gets_no_more_memory_than_its_bound() -> None:
    program = (
        "from headcast.studio import worker\n"
        "worker.WORKER_BYTES = 1 << 30\n"
        "worker.limit_process()\n"
        "small = bytearray(1 << 28)\n"
        "try:\n    bytearray(1 << 31)\nexcept MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "refused", done.stderr
