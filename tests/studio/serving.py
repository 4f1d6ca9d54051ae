"""A studio that serves while a test runs, and a plain client that says exactly what the test tells it to."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Client", "Reply", "serving", "wait_for"]


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Headers are those given and no others, so that a test can leave out or forge each."""

    server: Any
    cookie: str = ""
    base: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str | None
    ) -> Reply:
        given: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie or None}
        if method not in ("GET", "HEAD"):
            given["Origin"] = f"http://{self.host}"
        given |= {k.replace("_", "-").title(): v for k, v in headers.items()}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def sign_in(self) -> Client:
        reply = self.ask("GET", f"/start?token={self.server.keys.token}")
        assert reply.status == 303, reply
        self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return self

    def state(self) -> Any:
        return self.ask("GET", "/api/state").json

    def job(self, key: str) -> Any:
        return next(j for j in self.state()["jobs"] if j["id"] == key)

    def upload(self, data: bytes, name: str = "photo.png", use: str = "photo") -> Reply:
        return self.ask("POST", f"/api/uploads?use={use}", data, x_name=name)

    def finish(self, key: str, seconds: float = 240) -> Any:
        wait_for(lambda: self.job(key)["state"] not in ("queued", "running"), seconds)
        return self.job(key)


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@contextmanager
def serving(folder: Path) -> Iterator[Client]:
    """A studio on a free port of this machine; the test is skipped where the extra is not installed."""
    pytest.importorskip("fastapi", reason="the extra 'studio' is not installed")
    pytest.importorskip("uvicorn", reason="the extra 'studio' is not installed")
    from headcast.studio.serve import Server

    server = Server(folder)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    client = Client(server)
    try:
        wait_for(lambda: server.server.started)
        yield client
    finally:
        server.stop()
        thread.join(30)
