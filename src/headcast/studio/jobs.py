"""The queue: one job at a time, each in a worker process of its own, kept in the index until it ends.

A worker's reports come from a process that has read a stranger's file: lengths, types and names are checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.studio.bounds import IMAGES, JOB_SECONDS, MAX_EXPORTS, MAX_JOBS
from headcast.studio.project import Project, now

__all__ = ["Queue"]

LINE_BYTES = 1 << 18
MAX_TRIES = 2
"""How often a job starts that a server's end interrupted."""
KEPT_JOBS = 200
ACTIVE = "state in ('queued', 'running')"


class Queue:
    """Jobs of a project, and the worker process that does them.

    Attributes:
        version: rises with every change of a job or a head; ``changed`` wakes who waits for it.
        closing: whether the server is about to end.
        methods: what the worker says of the methods; empty until the first one is ready.
    """

    def __init__(self, project: Project, closing: Callable[[], bool] = lambda: False) -> None:
        self.project, self.closing = project, closing
        self.version = 0
        self.methods: list[dict[str, Any]] = []
        self.images: dict[str, list[str]] = {}
        self.folders: dict[str, Path] = {}
        self.changed = asyncio.Condition()
        self.wake = asyncio.Event()
        self.spare: asyncio.subprocess.Process | None = None
        self.running: tuple[str, asyncio.subprocess.Process] | None = None
        project.data.execute(
            "update jobs set state = 'failed', error = 'the studio ended twice while this was made'"
            " where state = 'running' and tries >= ?",
            (MAX_TRIES,),
        )
        project.data.execute("update jobs set state = 'queued', fraction = 0 where state = 'running'")

    async def touch(self) -> None:
        """Tell everybody who waits that something changed."""
        async with self.changed:
            self.version += 1
            self.changed.notify_all()

    async def wait_after(self, version: int, seconds: float) -> bool:
        """Wait until something has changed since ``version``; return False when the time is up before."""
        try:
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(lambda: self.version != version)
        except TimeoutError:
            return False
        return True

    async def add(self, kind: str, spec: Mapping[str, Any], head: str | None = None) -> str:
        """Queue a job; return its id.

        Raises:
            HeadcastError: too many wait already.
        """
        if self.project.rows(f"select count(*) as n from jobs where {ACTIVE}")[0]["n"] >= MAX_JOBS:
            raise HeadcastError(f"{MAX_JOBS} jobs wait already; let some of them end first")
        key = secrets.token_hex(8)
        self.project.put(
            "jobs",
            id=key,
            kind=kind,
            spec=json.dumps(spec),
            state="queued",
            fraction=0.0,
            step="waiting",
            error="",
            result="{}",
            created=now(),
            head=head,
            tries=0,
        )
        old = f"delete from jobs where not {ACTIVE} and id not in"
        self.project.data.execute(f"{old} (select id from jobs order by created desc limit ?)", (KEPT_JOBS,))
        self.wake.set()
        await self.touch()
        return key

    async def cancel(self, key: str) -> None:
        """Take a job out of the queue, or end its process."""
        row = self.project.row("jobs", key)
        if row is None or row["state"] not in ("queued", "running"):
            return
        self.project.change("jobs", key, state="cancelled", step="cancelled")
        if self.running is not None and self.running[0] == key:
            kill_worker(self.running[1])
        await self.touch()

    def listing(self) -> list[dict[str, Any]]:
        """Return the jobs for the page, the newest last."""
        rows = self.project.rows("select * from jobs order by rowid desc limit 60")
        return [
            {
                **{k: r[k] for k in ("id", "kind", "state", "fraction", "step", "error", "head")},
                "spec": json.loads(r["spec"]),
                "result": json.loads(r["result"]),
                "images": self.images.get(r["id"], []),
            }
            for r in reversed(rows)
        ]

    async def serve(self) -> None:
        """Do jobs until cancelled."""
        try:
            while True:
                if self.spare is None:
                    self.spare = await start_worker()
                    await self.greet(self.spare)
                row = next(
                    iter(self.project.rows("select * from jobs where state = 'queued' order by rowid")), None
                )
                if row is None:
                    self.wake.clear()
                    await self.wake.wait()
                    continue
                process, self.spare = self.spare, None
                if process.returncode is None:
                    await self.work(row, process)
        finally:
            for process in (self.spare, self.running[1] if self.running else None):
                if process is not None:
                    kill_worker(process)
                    await process.wait()

    async def greet(self, process: asyncio.subprocess.Process) -> None:
        """Wait until a worker has loaded what it needs."""
        report = await read_report(process)
        if isinstance(report.get("methods"), list):
            self.methods = report["methods"]
            await self.touch()

    async def work(self, row: Mapping[str, Any], process: asyncio.subprocess.Process) -> None:
        """Do one job; whatever happens to its process, the job ends in a state that says so."""
        key, kind = row["id"], row["kind"]
        self.running = (key, process)
        self.project.change("jobs", key, state="running", step="starting", tries=row["tries"] + 1)
        await self.touch()
        _, folder = self.project.new_folder("work")
        self.folders[key], self.images[key] = folder, []
        try:
            spec = self.resolve(json.loads(row["spec"]))
            line = json.dumps({"kind": kind, "spec": spec, "folder": str(folder)}) + "\n"
            assert process.stdin is not None
            process.stdin.write(line.encode())
            await process.stdin.drain()
            async with asyncio.timeout(JOB_SECONDS[kind]):
                report = await self.follow(key, process)
            if "result" in report and isinstance(report["result"], dict):
                self.keep(row, report["result"], folder)
            else:
                self.keep_view(json.loads(row["spec"]), folder)
                self.fail(key, str(report.get("error") or ending(await process.wait())))
        except TimeoutError:
            self.fail(key, f"this took longer than {JOB_SECONDS[kind] / 60:.0f} minutes")
        except HeadcastError as e:
            self.fail(key, str(e))
        except OSError as e:
            self.fail(key, f"the project's disk: {e.strerror or e}")
        finally:
            kill_worker(process)
            await process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            self.folders.pop(key, None)
            self.running = None
            await self.touch()

    async def follow(self, key: str, process: asyncio.subprocess.Process) -> dict[str, Any]:
        """Read a worker's reports until the last one, and return that; empty: the process ended without."""
        while report := await read_report(process):
            if "result" in report or "error" in report:
                return report
            if (name := report.get("image")) in IMAGES:
                self.images[key] = [*(n for n in self.images[key] if n != name), name]
            elif isinstance(report.get("fraction"), int | float):
                fraction = min(1.0, max(0.0, float(report["fraction"])))
                self.project.change("jobs", key, fraction=fraction, step=str(report.get("step", ""))[:120])
            await self.touch()
        return {}

    def resolve(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Replace the ids in a job's facts by the paths of files.

        Raises:
            HeadcastError: one has been deleted since.
        """
        photos = [str(self.project.upload_path(u)) for u in spec.pop("uploads", ())]
        head = spec.pop("head", None)
        avatar = str(self.project.head_folder(head) / "me.avatar") if head else ""
        return {**spec, "photos": photos, "avatar": avatar}

    def fail(self, key: str, error: str) -> None:
        """End a job with an error, unless it was cancelled."""
        row = self.project.row("jobs", key)
        if row is not None and row["state"] != "cancelled":
            self.project.change("jobs", key, state="failed", error=error[:400])

    def keep(self, row: Mapping[str, Any], result: dict[str, Any], folder: Path) -> None:
        """Take a finished job's files into the project.

        Raises:
            HeadcastError: the head or photo that it belongs to has been deleted since.
        """
        key, kind, spec = row["id"], row["kind"], json.loads(row["spec"])
        current = self.project.row("jobs", key)
        if current is None or current["state"] == "cancelled":
            return
        if kind == "observe":
            place = self.project.upload_path(spec["uploads"][0]).parent
            for name in IMAGES:
                if (folder / name).is_file():
                    (folder / name).replace(place / name)
            (place / "report.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        elif kind in ("export", "animate"):
            result = self.keep_export(row["head"], spec, result, folder)
        else:
            result["head"] = self.keep_head(row, spec, result, folder)
        self.project.change(
            "jobs", key, state="done", fraction=1.0, step="done", result=json.dumps(result)[:LINE_BYTES]
        )

    def keep_view(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Keep the image of a photo in which nothing was found, so that the page can show it."""
        if (folder / "view.jpg").is_file():
            (folder / "view.jpg").replace(self.project.upload_path(spec["uploads"][0]).parent / "view.jpg")

    def keep_head(
        self, row: Mapping[str, Any], spec: Mapping[str, Any], result: Mapping[str, Any], folder: Path
    ) -> str:
        """Enter a new head; return its id."""
        parent = spec.get("head")
        uploads = self.project.photos_of(parent) if parent else spec.get("uploads", [])
        facts = {**result, "kind_of_job": row["kind"], "representation": spec.get("representation") or ""}
        key = self.project.add_head(folder, str(spec.get("name") or "Head"), facts, uploads)
        self.project.change("jobs", row["id"], head=key)
        return key

    def keep_export(
        self, head: str, spec: Mapping[str, Any], result: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        """Move an export into its head's folder under a generated name."""
        made = folder / Path(str(result.get("file", ""))).name
        if not made.is_file():
            raise HeadcastError("the export wrote no file")
        place = self.project.head_folder(head) / "exports"
        place.mkdir(mode=0o700, exist_ok=True)
        key = secrets.token_hex(8)
        name = f"{key}{made.suffix}"
        made.replace(place / name)
        label = str(spec.get("label") or spec.get("format") or "video")
        self.project.put("exports", id=key, head=head, label=label, file=f"exports/{name}", created=now())
        self.project.trim_exports(head, MAX_EXPORTS)
        return {"export": key, "notes": [str(n)[:300] for n in result.get("notes", ())][:20]}


async def start_worker() -> asyncio.subprocess.Process:
    """Start a worker process, in a session of its own: it ends with all that it started."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headcast.studio.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LINE_BYTES,
    )


async def read_report(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Read the next report of a worker; empty: it ended, or wrote something else."""
    assert process.stdout is not None
    with suppress(ValueError, asyncio.LimitOverrunError):
        report = json.loads(await process.stdout.readline() or b"{}")
        return report if isinstance(report, dict) else {}
    return {}


def kill_worker(process: asyncio.subprocess.Process) -> None:
    """Kill a worker and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def ending(code: int) -> str:
    """Say in words how a worker ended without a report."""
    if code == -signal.SIGKILL:
        return (
            "the process that made it was killed; the machine may lack memory. Try again, or a smaller photo"
        )
    return f"the process that made it ended unexpectedly ({code}); try again"
