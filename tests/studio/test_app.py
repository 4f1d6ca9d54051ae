"""The routes against hostile clients: names, paths, sizes, many at once, a killed job, a full disk."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.studio.serving import Client, Reply, serving, wait_for

from headcast.image import save_png
from headcast.studio import bounds

HOSTILE = (
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "/etc/passwd",
    "a\0b.png",
    "CON.png",
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.jpg',
    "photo.php.jpg",
    "photo.jpg.php",
    ".htaccess",
    "x" * 5000 + ".png",
    "\u202egnp.exe",
    "a\r\nSet-Cookie: b=c.png",
    "%2e%2e%2f%2e%2e%2fx.png",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio") / "project"


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with serving(folder) as found:
        found.sign_in()
        wait_for(lambda: found.state()["methods"], 120)
        yield found


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A photo of nobody."""
    path = tmp_path_factory.mktemp("photo") / "grey.png"
    save_png(path, np.random.default_rng(0).integers(90, 160, (96, 96, 3)).astype(np.uint8))
    return path.read_bytes()


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def test_no_name_becomes_a_path(client: Client, folder: Path, photo: bytes) -> None:
    before = files(folder.parent)
    for name in HOSTILE:
        reply = client.upload(photo, quoted(name))
        assert reply.status == 200, (name, reply.body)
        assert "set-cookie" not in reply.headers
        key = reply.json["id"]
        assert client.ask("DELETE", f"/api/uploads/{key}").status == 200
    assert {f for f in files(folder.parent) - before if "journal" not in f} == set()
    with pytest.raises(ValueError):  # the client's library refuses such a header; so does the server's
        client.upload(photo, "a\r\nSet-Cookie: b=c")


def test_stored_names_are_ours(client: Client, folder: Path, photo: bytes) -> None:
    key = client.upload(photo, quoted("../<b>.php.png")).json["id"]
    assert [p.name for p in (folder / "photos" / key).iterdir()] == ["photo.png"]
    key = client.upload(photo, quoted("x.php")).json["id"]
    assert [p.name for p in (folder / "photos" / key).iterdir()] == ["photo"]
    for upload in client.state()["uploads"]:
        client.ask("DELETE", f"/api/uploads/{upload['id']}")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page/index.html",
        "/api/heads/../../studio.sqlite/front.jpg",
        "/api/heads/0123456789abcdef/..%2f..%2fstudio.sqlite",
        "/api/uploads/0123456789abcdef/view.jpg",
        "/api/jobs/0123456789abcdef/front.jpg",
        "/api/heads/0123456789ABCDEF/avatar",
        "/api/heads/0123456789abcdef/exports/0123456789abcdef",
        "//etc/passwd",
        "/view/../../api/state/",
    ],
)
def test_no_path_leads_out(client: Client, path: str) -> None:
    reply = client.ask("GET", path)
    assert reply.status in (400, 404, 307) and b"SQLite" not in reply.body and b"import" not in reply.body


def test_what_is_no_photo_is_refused_before_it_is_stored(client: Client, folder: Path) -> None:
    before = files(folder / "photos")
    for data, words in (
        (b"", "empty"),
        (b"<?php system($_GET[0]); ?>", "neither a photo"),
        (b"<svg onload=alert(1) xmlns='http://www.w3.org/2000/svg'/>", "neither a photo"),
        (b"<html><script>alert(1)</script>", "neither a photo"),
        (b"MZ" + bytes(1000), "neither a photo"),
    ):
        reply = client.upload(data, "x.png")
        assert reply.status == 400 and words in reply.json["error"]
    assert client.upload(b"x", use="evil").status == 400
    assert files(folder / "photos") == before


def test_sizes_are_bounded(
    client: Client, folder: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(folder / "photos")
    monkeypatch.setattr(bounds, "UPLOAD_BYTES", {"photo": 1000, "driver": 1000, "avatar": 1000})
    assert "larger" in client.upload(photo).json["error"]
    monkeypatch.setattr(bounds, "UPLOAD_BYTES", {"photo": 1 << 30})
    monkeypatch.setattr(bounds, "MAX_UPLOADS", 0)
    assert "wait already" in client.upload(photo).json["error"]
    monkeypatch.setattr(bounds, "MIN_FREE_BYTES", 1 << 60)
    assert "nearly full" in client.upload(photo).json["error"]
    assert client.ask("POST", "/api/jobs", b"x" * (bounds.MAX_BODY + 1)).status == 400
    assert files(folder / "photos") == before


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    client: Client, folder: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(folder / "photos")
    opened = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return opened(self, mode, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    reply = client.upload(photo)
    assert reply.status == 507 and "No space left" in reply.json["error"]
    assert files(folder / "photos") == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 50_000,
        b'{"kind": "__class__"}',
        b'{"kind": "create", "uploads": ["../../x"], "method": "fit"}',
        b'{"kind": "create", "uploads": [], "method": "fit"}',
        b'{"kind": "export", "head": "../..", "format": "glb"}',
        b'{"kind": "export", "head": "0123456789abcdef", "format": "../x"}',
        b'{"kind": "animate", "head": "0123456789abcdef", "preset": "/etc/passwd"}',
        b'{"kind": "observe", "uploads": {"a": 1}}',
        b'{"kind": ["observe"], "uploads": ["0123456789abcdef"]}',
    ],
)
def test_nonsense_is_one_sentence(client: Client, body: bytes) -> None:
    reply = client.ask("POST", "/api/jobs", body)
    assert reply.status == 400 and 0 < len(reply.json["error"]) < 200
    assert not [j for j in client.state()["jobs"] if j["state"] in ("queued", "running")]


def test_a_photo_without_a_face_and_a_bomb_end_their_job_alone(client: Client, photo: bytes) -> None:
    ids = []
    bomb = photo[:16] + (60_000).to_bytes(4, "big") * 2 + photo[24:]  # says that it is 60,000 x 60,000
    for data in (photo, bomb, photo[:60]):
        key = client.upload(data).json["id"]
        ids.append(client.ask("POST", "/api/jobs", {"kind": "observe", "uploads": [key]}).json["id"])
    found = [client.finish(i) for i in ids]
    assert [j["state"] for j in found] == ["failed"] * 3
    assert "no face found" in found[0]["error"] and "/" not in found[0]["error"]
    assert all(0 < len(j["error"]) < 300 and "Traceback" not in j["error"] for j in found)


def test_a_killed_worker_ends_its_job_and_the_next_one_runs(client: Client, photo: bytes) -> None:
    first, second = (client.upload(photo).json["id"] for _ in range(2))
    jobs = [
        client.ask("POST", "/api/jobs", {"kind": "observe", "uploads": [u]}).json["id"]
        for u in (first, second)
    ]
    wait_for(lambda: client.job(jobs[0])["state"] == "running", 120)
    queue = client.server.queue
    os.killpg(queue.running[1].pid, signal.SIGKILL)
    found = client.finish(jobs[0])
    assert found["state"] == "failed" and "killed" in found["error"]
    assert "no face found" in client.finish(jobs[1])["error"]


def test_a_cancelled_job_ends_at_once_and_leaves_nothing(client: Client, folder: Path, photo: bytes) -> None:
    uploads = [client.upload(photo).json["id"] for _ in range(3)]
    jobs = [client.ask("POST", "/api/jobs", {"kind": "observe", "uploads": [u]}).json["id"] for u in uploads]
    wait_for(lambda: client.job(jobs[0])["state"] == "running", 120)
    for job in jobs:
        assert client.ask("POST", f"/api/jobs/{job}/cancel", b"{}").status == 200
    wait_for(lambda: not list((folder / "work").iterdir()), 30)
    assert [client.job(j)["state"] for j in jobs] == ["cancelled"] * 3


def make_head(client: Client, folder: Path, name: str, consent: str = "") -> str:
    """Enter a head without making one."""
    queue = client.server.queue
    _, work = queue.project.new_folder("work")
    for file in ("me.avatar", "front.jpg", "viewer.bin.gz"):
        (work / file).write_bytes(b"x" * 100)
    upload = client.upload(b"\x89PNG secret photo", quoted(f"{name}.png")).json["id"]
    facts = {
        "facts": {"method": "fit", "consent": consent, "warnings": []},
        "viewable": True,
        "splats": False,
    }
    return queue.project.add_head(work, name, facts, [upload])


def test_deletion_removes_files_jobs_and_database_pages(client: Client, folder: Path) -> None:
    key = make_head(client, folder, "Zebulon-Quux-Unique", "Zebulon agreed, uniquely")
    upload = client.state()["heads"][0]["photos"][0]
    job = client.ask("POST", "/api/jobs", {"kind": "export", "head": key, "format": "glb"}).json["id"]
    assert b"Zebulon" in (folder / "studio.sqlite").read_bytes()
    assert client.ask("DELETE", f"/api/heads/{key}").status == 200
    wait_for(lambda: job not in [j["id"] for j in client.state()["jobs"]], 60)
    left = [p for p in folder.rglob("*") if key in p.name or upload in p.name]
    assert not left
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert b"Zebulon" not in data and key.encode() not in data, path
    assert client.ask("DELETE", f"/api/heads/{key}").status == 400


def test_hostile_names_stay_text_in_downloads_and_files(client: Client, folder: Path) -> None:
    name = '"; filename=evil.exe\r\n<img src=x onerror=alert(1)> Ünï'
    key = make_head(client, folder, "plain")
    assert client.ask("PATCH", f"/api/heads/{key}", {"name": name}).status == 200
    reply = client.ask("GET", f"/api/heads/{key}/avatar")
    words = reply.headers["content-disposition"]
    assert (
        words.startswith('attachment; filename="filename_evil_exe')
        and "\n" not in words
        and ".avatar" in words
    )
    assert reply.headers["content-type"] == "application/octet-stream"
    facts = json.loads((folder / "heads" / key / "head.json").read_text())
    assert "\n" not in facts["name"] and len(facts["name"]) <= 80
    assert client.ask("PATCH", f"/api/heads/{key}", {"name": "  "}).status == 400
    assert client.ask("GET", f"/api/heads/{key}/front.jpg").headers["content-type"] == "image/jpeg"


def test_fifty_clients_at_once_are_all_answered(client: Client, photo: bytes) -> None:
    found: list[Reply] = []

    def one(k: int) -> None:
        found.append(client.ask("GET", "/api/state") if k % 2 else client.upload(photo, f"{k}.png"))

    threads = [threading.Thread(target=one, args=(k,)) for k in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(r.status for r in found) == [200] * 50
    for upload in client.state()["uploads"]:
        client.ask("DELETE", f"/api/uploads/{upload['id']}")


def test_slow_and_broken_clients_hold_nobody_up(client: Client) -> None:
    held = []
    for _ in range(30):
        s = socket.create_connection(("127.0.0.1", client.server.port), timeout=20)
        s.sendall(f"POST /api/uploads HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 99999\r\n".encode())
        held.append(s)
    assert client.ask("GET", "/api/state").status == 200
    for s in held:
        s.close()
    assert client.ask("GET", "/api/state").status == 200


def test_jobs_survive_a_restart(tmp_path: Path, photo: bytes) -> None:
    with serving(tmp_path / "p") as first:
        first.sign_in()
        wait_for(lambda: first.state()["methods"], 120)
        uploads = [first.upload(photo).json["id"] for _ in range(2)]
        jobs = [
            first.ask("POST", "/api/jobs", {"kind": "observe", "uploads": [u]}).json["id"] for u in uploads
        ]
    with serving(tmp_path / "p") as second:
        assert second.ask("GET", "/api/state", cookie=first.cookie).status == 401
        second.sign_in()
        for job in jobs:
            assert "no face found" in second.finish(job)["error"]


def test_events_arrive_without_asking_again(client: Client, photo: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=20) as s:
        s.sendall(
            f"GET /api/events HTTP/1.1\r\nHost: {client.host}\r\nCookie: {client.cookie}\r\n\r\n".encode()
        )
        stream = s.makefile("rb")

        def event() -> Any:
            while not (line := stream.readline()).startswith(b"data: "):
                assert line
            return json.loads(line[6:])

        before = len(event()["uploads"])
        key = client.upload(photo).json["id"]
        after = event()
        assert len(after["uploads"]) == before + 1 and after["uploads"][-1]["id"] == key
