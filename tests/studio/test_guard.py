"""Who may speak to the studio: hosts, origins, cookies, the start address, and what the answers forbid."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.studio.serving import Client, serving

from headcast.studio.guard import Guard, Keys


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("project")) as found:
        stranger = found.ask("GET", "/api/state")
        assert stranger.status == 401 and b"not signed in" in stranger.body
        yield found.sign_in()


def test_the_start_address_works_once(client: Client) -> None:
    for token in ("", "x", "x" * 5000, "ä"):
        reply = client.ask("GET", f"/start?token={token.encode().hex()}", cookie=None)
        assert reply.status == 403 and "set-cookie" not in reply.headers


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    keys = Keys(1)
    words = keys.set_cookie()
    assert "HttpOnly" in words and "SameSite=Strict" in words and keys.token not in words
    assert keys.known(words.partition(";")[0]) and not keys.known("headcast-1=")
    assert not keys.known("headcast-1=ä") and not keys.known("") and not keys.known("headcast-2=x")
    assert keys.exchange(str(keys.token)) and not keys.exchange("") and keys.token is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1",
        "127.0.0.1.evil.example",
        "127.0.0.2:{port}",
        "",
        "[::1]:1",
    ],
)
def test_dns_rebinding_is_refused(client: Client, host: str) -> None:
    reply = client.ask("GET", "/api/state", host=host.format(port=client.server.port))
    assert reply.status in (400, 421), reply.status
    assert b"heads" not in reply.body


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", ""]
)
def test_foreign_origins_are_refused(client: Client, origin: str) -> None:
    for method, path in (("GET", "/api/state"), ("POST", "/api/uploads/demo"), ("POST", "/api/jobs")):
        reply = client.ask(
            method, path, b"{}" if method == "POST" else None, origin=origin.format(port=client.server.port)
        )
        assert reply.status == 403, (method, path, reply.status)


def test_a_form_of_another_site_is_refused(client: Client) -> None:
    assert client.ask("POST", "/api/uploads/demo", b"", origin=None).status == 403
    assert client.ask("POST", "/api/uploads/demo", b"", sec_fetch_site="cross-site").status == 403
    assert client.ask("GET", "/api/state", sec_fetch_site="cross-site").status == 403
    assert (
        client.ask("GET", "/api/state", sec_fetch_site="same-site").status == 403
    )  # another port of this machine
    assert client.state()["uploads"] == []


def test_double_headers_are_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=20) as s:
        lines = [
            f"Host: {client.host}",
            f"Cookie: {client.cookie}",
            "Origin: http://x",
            f"Origin: http://{client.host}",
        ]
        s.sendall(
            ("GET /api/state HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode()
        )
        assert s.recv(4096).startswith(b"HTTP/1.1 400")


def test_answers_protect_themselves(client: Client) -> None:
    for path in ("/", "/api/state", "/page/studio.js", "/view/0123456789abcdef", "/nothing"):
        headers = client.ask("GET", path).headers
        assert (
            headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        ), path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe-eval" not in policy.replace(
            "wasm-unsafe-eval", ""
        ), path
        assert ("script-src" in policy) == (path == "/" or path.startswith("/view/")), path
        assert "server" not in headers and "access-control-allow-origin" not in headers
    page = client.ask("GET", "/").headers["content-security-policy"]
    assert "wasm" not in page and "unsafe-inline" not in page and "frame-ancestors 'none'" in page


def test_only_numeric_addresses_pass_where_any_may_be_used() -> None:
    guard = Guard(None, Keys(80), frozenset({"box:80"}), 80)
    assert guard.own_host("192.168.1.7:80") and guard.own_host("[fe80::1]:80") and guard.own_host("box:80")
    assert not guard.own_host("evil.example:80") and not guard.own_host("192.168.1.7:81")
    assert not guard.own_host("1.2.3.4.evil.example:80")


def test_a_project_is_opened_by_one_studio_and_by_its_owner(tmp_path: Path) -> None:
    from headcast.errors import HeadcastError
    from headcast.studio.project import Project

    project = Project(tmp_path / "p")
    with pytest.raises(HeadcastError, match="another studio"):
        Project(tmp_path / "p")
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "p" / "studio.sqlite").stat().st_mode & 0o077 == 0
    project.close()
    Project(tmp_path / "p").close()


def test_web_sockets_are_closed(client: Client) -> None:
    for path in ("/", "/api/events", "/api/state"):
        reply = client.ask(
            "GET",
            path,
            connection="Upgrade",
            upgrade="websocket",
            sec_websocket_version="13",
            sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
            origin="http://evil.example",
        )
        assert reply.status != 101 and "sec-websocket-accept" not in reply.headers
        assert b"heads" not in reply.body
