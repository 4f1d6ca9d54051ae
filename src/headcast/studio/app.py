"""The studio's routes: what the page asks for, answered from the project and the queue."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Route

from headcast import __version__
from headcast.avatar.export.base import FORMATS
from headcast.avatar.export.html import VIEWER
from headcast.demo import demo_photo
from headcast.errors import HeadcastError
from headcast.files import content_kind
from headcast.motion.presets import PRESETS
from headcast.parsing import check_text
from headcast.studio import bounds
from headcast.studio.guard import PAGE_POLICY, VIEWER_POLICY, Guard, Keys
from headcast.studio.jobs import Queue
from headcast.studio.project import ID, Project, clean_name, now

__all__ = ["make_app"]

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEARTBEAT_S, POLL_S = 15.0, 0.5
Handler = Callable[[Request], Awaitable[Response]]


def make_app(
    project: Project,
    queue: Queue,
    keys: Keys,
    hosts: frozenset[str],
    any_address: int | None = None,
) -> Guard:
    """Return the guarded application; ``keys``, ``hosts`` and ``any_address`` are ``Guard``'s."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(queue.serve())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        project.close()

    table = Routes(project, queue, keys).table()
    routes: list[BaseRoute] = [
        Route(path, answering(handler), methods=[method]) for method, path, handler in table
    ]
    app = FastAPI(lifespan=lifespan, routes=routes, openapi_url=None, docs_url=None, redoc_url=None)
    return Guard(app, keys, hosts, any_address)


def answering(handler: Handler) -> Handler:
    """Turn what the user can mend into an answer of one sentence."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except HeadcastError as e:
            return JSONResponse({"error": str(e)}, status_code=400)
        except OSError as e:
            reason = e.strerror or str(e)
            return JSONResponse({"error": f"the project's disk: {reason}; free some space"}, status_code=507)

    return wrapped


class Routes:
    """The handlers of one project."""

    def __init__(self, project: Project, queue: Queue, keys: Keys) -> None:
        self.project, self.queue, self.keys = project, queue, keys

    def table(self) -> list[tuple[str, str, Handler]]:
        """Return method, path and handler of every route."""
        head = "/api/heads/{id}"
        return [
            ("GET", "/start", self.start),
            ("GET", "/", self.page),
            ("GET", "/page/{name}", self.page_file),
            ("GET", "/viewer.js", self.viewer_program),
            ("GET", "/view/{id}", self.viewer_page),
            ("GET", "/api/state", self.state),
            ("GET", "/api/events", self.events),
            ("POST", "/api/uploads", self.upload),
            ("POST", "/api/uploads/demo", self.upload_demo),
            ("GET", "/api/uploads/{id}/{name}", self.upload_image),
            ("DELETE", "/api/uploads/{id}", self.delete_upload),
            ("POST", "/api/jobs", self.add_job),
            ("POST", "/api/jobs/{id}/cancel", self.cancel_job),
            ("GET", "/api/jobs/{id}/{name}", self.job_image),
            ("PATCH", head, self.rename),
            ("DELETE", head, self.delete_head),
            ("GET", f"{head}/avatar", self.avatar),
            ("GET", f"{head}/viewer.bin", self.viewer_data),
            ("GET", f"{head}/exports/{{export}}", self.export),
            ("GET", f"{head}/{{name}}", self.head_image),
        ]

    async def start(self, request: Request) -> Response:
        """Exchange the start token for the cookie, once, and go to an address without it."""
        if not self.keys.exchange(request.query_params.get("token", "")):
            words = "This start address was used already. Start headcast studio again to get a new one."
            return PlainTextResponse(words, status_code=403)
        response = RedirectResponse("/", status_code=303)
        response.headers["set-cookie"] = self.keys.set_cookie()
        return response

    async def page(self, request: Request) -> Response:
        """Return the page."""
        return file_of(PAGE / "index.html", {"content-security-policy": PAGE_POLICY})

    async def page_file(self, request: Request) -> Response:
        """Return a program, style or font of the page."""
        name = request.path_params["name"]
        known = {p.name for p in PAGE.iterdir()} - {"index.html", "view.html"}
        return file_of(PAGE / name) if name in known else missing()

    async def viewer_program(self, request: Request) -> Response:
        """Return the viewer's program, which the HTML export carries too."""
        headers = {"content-encoding": "gzip", "cache-control": "no-cache"}
        return Response((VIEWER / "viewer.js.gz").read_bytes(), media_type=TYPES[".js"], headers=headers)

    async def viewer_page(self, request: Request) -> Response:
        """Return the frame that shows a head; it reads the head's id from its own address."""
        return file_of(PAGE / "view.html", {"content-security-policy": VIEWER_POLICY})

    async def state(self, request: Request) -> Response:
        """Return everything that the page shows."""
        return JSONResponse(self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """Return methods, uploads, heads and jobs."""
        heads = self.project.rows("select * from heads order by created desc, rowid desc")
        exports = self.project.rows("select * from exports order by created")
        return {
            "version": __version__,
            "change": self.queue.version,
            "methods": self.queue.methods,
            "presets": list(PRESETS),
            "formats": list(FORMATS),
            "limits": {"photos": bounds.MAX_PHOTOS, "bytes": dict(bounds.UPLOAD_BYTES)},
            "uploads": self.project.rows("select id, use, name, created from uploads order by created"),
            "heads": [
                {
                    "id": h["id"],
                    "name": h["name"],
                    "created": h["created"],
                    "facts": json.loads(h["facts"]),
                    "photos": self.project.photos_of(h["id"]),
                    "exports": [
                        {k: e[k] for k in ("id", "label", "created")} for e in exports if e["head"] == h["id"]
                    ],
                }
                for h in heads
            ],
            "jobs": self.queue.listing(),
        }

    async def events(self, request: Request) -> Response:
        """Stream the state whenever it changes (server-sent events)."""

        return StreamingResponse(self.stream(), media_type="text/event-stream")

    async def stream(self) -> AsyncIterator[str]:
        """Yield the state whenever it changes, and a sign of life when it does not."""
        seen = -1
        while True:
            if seen != self.queue.version:
                seen = self.queue.version
                yield f"data: {json.dumps(self.snapshot())}\n\n"
            silent = 0.0
            while not self.queue.closing() and not await self.queue.wait_after(seen, POLL_S):
                silent += POLL_S
                if silent >= HEARTBEAT_S:
                    yield ": still here\n\n"
                    silent = 0.0
            if self.queue.closing():
                return

    async def upload(self, request: Request) -> Response:
        """Store a file from the body, as it arrives, within bounds."""
        use = request.query_params.get("use", "photo")
        if use not in bounds.UPLOAD_BYTES:
            raise HeadcastError("a file is a photo, a driver or an avatar")
        self.check_room()
        name = clean_name(unquote(request.headers.get("x-name", ""), errors="replace")) or use
        suffix = Path(name).suffix.lower()
        with self.project.filling("photos") as (key, folder):
            path = folder / f"{use}{suffix if suffix in bounds.SUFFIXES[use] else ''}"
            await receive(request, path, bounds.UPLOAD_BYTES[use])
            if use == "photo" and content_kind(path) is None:
                raise HeadcastError("this is neither a photo nor a video that headcast knows")
            self.enter_upload(key, use, name, path)
        await self.queue.touch()
        return JSONResponse({"id": key})

    async def upload_demo(self, request: Request) -> Response:
        """Store the demo photo."""
        self.check_room()
        photo = demo_photo()
        with self.project.filling("photos") as (key, folder):
            path = folder / f"photo{photo.suffix}"
            shutil.copyfile(photo, path)
            self.enter_upload(key, "photo", "Demo portrait", path)
        await self.queue.touch()
        return JSONResponse({"id": key})

    def enter_upload(self, key: str, use: str, name: str, path: Path) -> None:
        """Enter a stored file into the index."""
        path.chmod(0o600)
        self.project.put("uploads", id=key, use=use, name=name, file=path.name, created=now())

    def check_room(self) -> None:
        """Refuse more files where the disk is nearly full or too many wait.

        Raises:
            HeadcastError: no room.
        """
        if self.project.free_bytes() < bounds.MIN_FREE_BYTES:
            raise HeadcastError("the project's disk is nearly full; free some space")
        count = self.project.rows(
            "select count(*) as n from uploads where id not in (select upload from parts)"
        )[0]["n"]
        if count >= bounds.MAX_UPLOADS:
            raise HeadcastError(f"{count} photos wait already; delete some first")

    async def upload_image(self, request: Request) -> Response:
        """Return an image of what was seen in a photo."""
        key = id_of(request)
        folder = self.project.folder / "photos" / key if self.project.row("uploads", key) else None
        return image_of(folder, request.path_params["name"])

    async def delete_upload(self, request: Request) -> Response:
        """Delete a photo that no head was made from."""
        key = id_of(request)
        if self.project.rows("select head from parts where upload = ?", key):
            raise HeadcastError("a head was made from this photo; delete the head")
        for job in self.project.rows("select * from jobs where state in ('queued', 'running')"):
            if key in json.loads(job["spec"]).get("uploads", ()):
                await self.queue.cancel(job["id"])
        self.project.delete_upload(key)
        await self.queue.touch()
        return JSONResponse({})

    async def add_job(self, request: Request) -> Response:
        """Queue a job."""
        given = await read_json(request)
        kind = given.get("kind")
        spec, head = job_spec(self.project, kind, given, [m["name"] for m in self.queue.methods])
        return JSONResponse({"id": await self.queue.add(str(kind), spec, head)})

    async def cancel_job(self, request: Request) -> Response:
        """Cancel a job that waits or runs."""
        await self.queue.cancel(id_of(request))
        return JSONResponse({})

    async def job_image(self, request: Request) -> Response:
        """Return an image that a running job has made."""
        return image_of(self.queue.folders.get(id_of(request)), request.path_params["name"])

    async def rename(self, request: Request) -> Response:
        """Give a head another name."""
        key = id_of(request)
        self.project.head_folder(key)
        name = (await read_json(request)).get("name")
        if not isinstance(name, str) or not clean_name(name):
            raise HeadcastError("give the head a name")
        self.project.change("heads", key, name=clean_name(name))
        self.project.write_facts(key)
        await self.queue.touch()
        return JSONResponse({})

    async def delete_head(self, request: Request) -> Response:
        """Delete a head with everything that belongs to it, queued jobs included."""
        key = id_of(request)
        for job in self.project.rows("select * from jobs where state in ('queued', 'running')"):
            if job["head"] == key or json.loads(job["spec"]).get("head") == key:
                await self.queue.cancel(job["id"])
        self.project.delete_head(key)
        await self.queue.touch()
        return JSONResponse({})

    async def avatar(self, request: Request) -> Response:
        """Return a head's own file."""
        key = id_of(request)
        return attachment(self.project.head_folder(key) / "me.avatar", self.name_of(key))

    async def export(self, request: Request) -> Response:
        """Return an exported file."""
        key, row = id_of(request), self.project.row("exports", id_of(request, "export"))
        if row is None or row["head"] != key:
            return missing()
        return attachment(self.project.head_folder(key) / row["file"], self.name_of(key))

    def name_of(self, key: str) -> str:
        """Return a head's name, for downloads."""
        return str((self.project.row("heads", key) or {}).get("name", "head"))

    async def viewer_data(self, request: Request) -> Response:
        """Return what the viewer shows of a head."""
        path = self.project.head_folder(id_of(request)) / "viewer.bin.gz"
        if not path.is_file():
            return missing()
        headers = {"content-encoding": "gzip"}
        return Response(path.read_bytes(), media_type="application/octet-stream", headers=headers)

    async def head_image(self, request: Request) -> Response:
        """Return an image of a head."""
        return image_of(self.project.head_folder(id_of(request)), request.path_params["name"])


def job_spec(
    project: Project, kind: Any, given: dict[str, Any], methods: list[str]
) -> tuple[dict[str, Any], str | None]:
    """Check what a page asks a job for; return its facts and the head that it belongs to.

    Raises:
        HeadcastError: something is missing or unknown.
    """
    uploads = given.get("uploads", [])
    if not isinstance(uploads, list) or not all(isinstance(u, str) and ID.fullmatch(u) for u in uploads):
        raise HeadcastError("unknown photos")
    if len(uploads) > bounds.MAX_PHOTOS:
        raise HeadcastError(f"give at most {bounds.MAX_PHOTOS} photos")
    for upload in uploads:
        project.upload_path(upload)
    head = given.get("head")
    if kind in ("enhance", "export", "animate"):
        if not isinstance(head, str) or not ID.fullmatch(head):
            raise HeadcastError("unknown head")
        project.head_folder(head)
    name = clean_name(str(given.get("name", ""))) or "Head"
    if kind in ("observe", "import") and len(uploads) == 1:
        return {"uploads": uploads, "name": name, **chosen_face(given)}, None
    if kind == "create" and uploads:
        method, representation = given.get("method"), given.get("representation") or None
        consent = given.get("consent") or None
        if method not in methods or representation not in (None, "gaussians", "mesh"):
            raise HeadcastError("this method is not known here")
        if consent is not None and not isinstance(consent, str):
            raise HeadcastError("consent is a sentence")
        check_text(consent, "consent", 2000)
        spec = {"uploads": uploads, "name": name, "method": method, "consent": consent}
        return {
            **spec,
            "representation": representation,
            "same_person": given.get("same_person") is True,
        }, None
    if kind == "enhance":
        return {"head": head, "name": name}, None
    if kind == "export" and given.get("format") in FORMATS:
        return {"head": head, "format": given["format"]}, head
    if kind == "animate" and (len(uploads) == 1 or given.get("preset") in PRESETS):
        label = "video" if uploads else given["preset"]
        return {"head": head, "uploads": uploads, "preset": given.get("preset"), "label": label}, head
    raise HeadcastError("this cannot be asked for")


def chosen_face(given: dict[str, Any]) -> dict[str, int]:
    """Return which face is meant, where one is."""
    face = given.get("face")
    return {"face": face} if isinstance(face, int) and 1 <= face <= 99 else {}


def id_of(request: Request, name: str = "id") -> str:
    """Return an id from a request's path.

    Raises:
        HeadcastError: it is none.
    """
    key = str(request.path_params[name])
    if not ID.fullmatch(key):
        raise HeadcastError("unknown")
    return key


async def read_json(request: Request) -> dict[str, Any]:
    """Read a small JSON object from a request.

    Raises:
        HeadcastError: too large, or something else.
    """
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > bounds.MAX_BODY:
            raise HeadcastError("this request is too large")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HeadcastError("this request is no JSON object")
    return found


async def receive(request: Request, path: Path, limit: int) -> None:
    """Write a request's body to a file.

    Raises:
        HeadcastError: empty, or longer than ``limit`` bytes.
    """
    total = 0
    with path.open("xb") as f:
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                raise HeadcastError(f"this file is larger than {limit >> 20} MB")
            f.write(chunk)
    if not total:
        raise HeadcastError("this file is empty")


def file_of(path: Path, headers: dict[str, str] | None = None) -> Response:
    """Return a file of the page."""
    if not path.is_file():
        return missing()
    return FileResponse(
        path, media_type=TYPES.get(path.suffix), headers={"cache-control": "no-cache", **(headers or {})}
    )


def image_of(folder: Path | None, name: str) -> Response:
    """Return one of the images that workers make."""
    if folder is None or name not in bounds.IMAGES or not (folder / name).is_file():
        return missing()
    return Response((folder / name).read_bytes(), media_type="image/jpeg")


def attachment(path: Path, name: str) -> Response:
    """Return a file to be saved, never shown, under a name made of the head's."""
    if not path.is_file():
        return missing()
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "head"
    words = (
        f"attachment; filename=\"{plain}{path.suffix}\"; filename*=UTF-8''{quote(name, safe='')}{path.suffix}"
    )
    return FileResponse(path, media_type="application/octet-stream", headers={"content-disposition": words})


def missing() -> Response:
    """Return the answer for what does not exist."""
    return JSONResponse({"error": "there is nothing here"}, status_code=404)
