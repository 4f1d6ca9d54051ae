"""Serve the studio on one address until it is interrupted."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

from headcast.errors import HeadcastError

__all__ = ["LOCAL", "Server", "is_local", "serve_studio"]

LOCAL = "127.0.0.1"
MAX_CONNECTIONS = 200
KEEP_ALIVE_S = 30


def is_local(host: str) -> bool:
    """Return whether a server at this address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server:
    """A studio that listens, but does not serve yet.

    Args:
        folder: the project. host, port: address; port 0 takes a free one.

    Raises:
        HeadcastError: the extra is not installed, the address or the project is taken.
    """

    def __init__(self, folder: str | Path, host: str = LOCAL, port: int = 0) -> None:
        try:
            import fastapi  # noqa: F401
            import uvicorn
        except ImportError:
            raise HeadcastError(
                "studio: install the extra 'studio': pip install 'headcast[studio]'"
            ) from None
        from headcast.studio.app import make_app
        from headcast.studio.guard import Keys
        from headcast.studio.jobs import Queue
        from headcast.studio.project import Project

        os.umask(0o077)
        self.socket = listen(host, port)
        self.port = int(self.socket.getsockname()[1])
        try:
            project = Project(folder)
        except HeadcastError:
            self.socket.close()
            raise
        self.keys = Keys(self.port)
        shown = f"[{host}]" if ":" in host else host
        names = {LOCAL, "localhost", "[::1]"} if is_local(host) else {shown.lower()}
        everywhere = self.port if host in ("0.0.0.0", "::") else None
        self.queue = Queue(project, self.closing)
        app = make_app(
            project, self.queue, self.keys, frozenset(f"{n}:{self.port}" for n in names), everywhere
        )
        shown = socket.gethostname() if everywhere else shown
        if everywhere:
            app.hosts |= {f"{socket.gethostname().lower()}:{self.port}"}
        self.address = f"http://{shown}:{self.port}/"
        self.start_address = f"{self.address}start?token={self.keys.token}"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=2,
            proxy_headers=False,
        )
        self.server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until ``stop`` or an interrupt."""
        self.server.run(sockets=[self.socket])

    def closing(self) -> bool:
        """Return whether the server is about to end."""
        return self.server.should_exit

    def stop(self) -> None:
        """End serving within seconds."""
        self.server.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        HeadcastError: the address is unknown or taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError as e:
        raise HeadcastError(
            f"--host {host} --port {port}: cannot be used ({e.strerror or e}); choose another"
        ) from e
    return found


def serve_studio(folder: Path, host: str, port: int, ready: Callable[[Server], None]) -> None:
    """Open a project and serve it; ``ready`` is called before with the server, to show its address."""
    server = Server(folder, host, port)
    ready(server)
    server.run()
