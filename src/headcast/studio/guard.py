"""Who may speak to the studio: the browser that opened its start address, from the studio's own page."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

__all__ = ["PAGE_POLICY", "VIEWER_POLICY", "Guard", "Keys"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self' blob:; connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src blob:; img-src data: blob:;"
    " media-src blob:; style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'self'"
)
"""The viewer sorts splats in a worker and in WebAssembly that it carries as data; it brings its own style."""
FILE_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
}
OPEN_PATHS = ("/start",)
SAFE = ("GET", "HEAD")


class Keys:
    """The start token, good for one exchange, and the secret of the cookie that it is exchanged for."""

    def __init__(self, port: int) -> None:
        self.token: str | None = secrets.token_urlsafe(32)
        self.secret = secrets.token_urlsafe(32)
        self.cookie = f"headcast-{port}"

    def exchange(self, given: str) -> bool:
        """Return whether the token is right, and use it up if so; compared in constant time."""
        right = hmac.compare_digest(given.encode(), (self.token or "").encode()) and self.token is not None
        if right:
            self.token = None
        return right

    def known(self, cookies: str) -> bool:
        """Return whether a ``Cookie`` header holds the secret; compared in constant time."""
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return False
        return hmac.compare_digest((morsel.value if morsel else "").encode(), self.secret.encode())

    def set_cookie(self) -> str:
        """Return the ``Set-Cookie`` header's value."""
        return f"{self.cookie}={self.secret}; HttpOnly; SameSite=Strict; Path=/"


class Guard:
    """Refuse foreign hosts, origins and browsers before the application sees the request; harden the answers.

    Args:
        app: the ASGI application. keys: token and cookie.
        hosts: ``Host`` values that are this server's own; with ``any_address``, every numeric address with
            this port as well (a name that an attacker controls cannot be one).
    """

    def __init__(self, app: Any, keys: Keys, hosts: frozenset[str], any_address: int | None = None) -> None:
        self.app, self.keys, self.hosts, self.any_address = app, keys, hosts, any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        reason = self.refusal(scope)
        if reason is not None:
            await answer(send, *reason)
            return
        await self.app(scope, receive, harden(send))

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and words of a refusal; None: the request may pass."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        for name in ("host", "origin", "cookie", "content-length", "sec-fetch-site"):
            if len(headers.get(name, ())) > 1:
                return 400, f"The header {name} came twice."
        host = headers.get("host", [""])[0].lower()
        if not self.own_host(host):
            return 421, "This address is not the studio's. Open the one that headcast studio printed."
        origin = headers.get("origin", [None])[0]
        site = headers.get("sec-fetch-site", ["same-origin"])[0]
        own = origin is not None and origin.lower() == f"http://{host}"
        if (origin is not None and not own) or (origin is None and scope["method"] not in SAFE):
            return 403, "Only the studio's own page may ask for this."
        if site not in ("same-origin", "none") and not (
            scope["method"] in SAFE and scope["path"] in ("/", *OPEN_PATHS)
        ):
            return 403, "Only the studio's own page may ask for this."
        if scope["path"] in OPEN_PATHS or self.keys.known("; ".join(headers.get("cookie", ()))):
            return None
        return 401, "This browser is not signed in. Open the address that headcast studio printed."

    def own_host(self, host: str) -> bool:
        """Return whether a ``Host`` header names this server."""
        if host in self.hosts:
            return True
        name, _, port = host.rpartition(":")
        if self.any_address is None or port != str(self.any_address):
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def harden(send: Send) -> Send:
    """Wrap ``send`` so that every answer carries the protective headers that it does not set itself."""

    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            more = {**HEADERS, "content-security-policy": FILE_POLICY, "cache-control": "no-store"}
            added = [(k.encode(), v.encode()) for k, v in more.items() if k.encode() not in given]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return wrapped


async def answer(send: Send, status: int, text: str) -> None:
    """Send a plain text answer."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await harden(send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
