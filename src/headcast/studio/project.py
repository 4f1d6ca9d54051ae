"""The studio's project: a folder that a person can read, and an index of it in SQLite.

``photos/ID/`` holds an uploaded file and what was seen in it, ``heads/ID/`` an avatar with its images and
exports and a ``head.json`` in plain words, ``work/`` what jobs are making. All names are generated; those
that people give are text in the index and in ``head.json``, never parts of a path.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import atomic_path

__all__ = ["ID", "Project", "clean_name"]

ID = re.compile(r"[0-9a-f]{16}")
MAX_NAME = 80
TABLES = """
create table if not exists uploads (id text primary key, use text, name text, file text, created text);
create table if not exists heads (id text primary key, name text, created text, facts text);
create table if not exists parts (head text, upload text, place integer);
create table if not exists exports (id text primary key, head text, label text, file text, created text);
create table if not exists jobs (
    id text primary key, kind text, spec text, state text, fraction real, step text, error text, result text,
    created text, head text, tries integer);
"""
READ_ME = """This folder belongs to headcast studio.

heads/    one folder a head: me.avatar, images, exports, and head.json, which says what it is
photos/   the files that were put in
work/     unfinished work; may be deleted while the studio is not running
studio.sqlite  the list of everything, with the names you gave

Deleting a head in the studio deletes its folder, the photos that no other head uses, and its traces in the
list.
"""
Row = dict[str, Any]


def clean_name(text: str) -> str:
    """Return a name that people give as one line of printable characters, at most 80."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())[:MAX_NAME].strip()


def now() -> str:
    """Return the local time to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open a database that commits every statement, and waits so many seconds for others."""
    data = sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False)
    data.row_factory = sqlite3.Row
    return data


class Project:
    """An opened project folder; one process at a time.

    Raises:
        HeadcastError: the folder cannot be used, or another studio has it open.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for name in ("heads", "photos", "work"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            # opened here, used by the thread that serves: by one at a time
            self.lock = connect(self.folder / "studio.lock", 0.5)
            self.lock.execute("pragma journal_mode=off")
            self.lock.execute("begin exclusive")  # held until this process ends, however it ends
            for left in (self.folder / "work").iterdir():
                shutil.rmtree(left, ignore_errors=True)
            self.data = connect(self.folder / "studio.sqlite", 5)
            self.data.execute("pragma secure_delete=on")
            self.data.execute("pragma journal_mode=delete")
            self.data.executescript(TABLES)
            (self.folder / "studio.sqlite").chmod(0o600)
            (self.folder / "READ-ME.txt").write_text(READ_ME, encoding="utf-8")
        except sqlite3.OperationalError as e:
            raise HeadcastError(f"{self.folder}: another studio has it open ({e}); close that one") from e
        except sqlite3.DatabaseError as e:
            raise HeadcastError(f"{self.folder / 'studio.sqlite'}: damaged ({e}); move it away") from e
        except OSError as e:
            raise HeadcastError(
                f"{self.folder}: cannot be used ({e.strerror}); give another --project"
            ) from e

    def close(self) -> None:
        """Close the index and let others open the project."""
        self.data.close()
        self.lock.close()

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return the rows of a query."""
        return [dict(r) for r in self.data.execute(query, values)]

    def row(self, table: str, key: str) -> Row | None:
        """Return one row by id; None: there is none."""
        return next(iter(self.rows(f"select * from {table} where id = ?", key)), None)

    def put(self, table: str, **values: Any) -> None:
        """Insert or replace a row."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.data.execute(
            f"insert or replace into {table} ({names}) values ({marks})", tuple(values.values())
        )

    def change(self, table: str, key: str, **values: Any) -> None:
        """Change fields of a row."""
        words = ", ".join(f"{name} = ?" for name in values)
        self.data.execute(f"update {table} set {words} where id = ?", (*values.values(), key))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """While open, changes are kept all or not at all."""
        self.data.execute("begin")
        try:
            yield
        except BaseException:
            self.data.execute("rollback")
            raise
        self.data.execute("commit")

    @contextmanager
    def filling(self, kind: str) -> Iterator[tuple[str, Path]]:
        """Make a folder as ``new_folder`` does; it is removed again where filling it fails."""
        key, path = self.new_folder(kind)
        try:
            yield key, path
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def new_folder(self, kind: str) -> tuple[str, Path]:
        """Make a folder of a new id in ``photos``, ``heads`` or ``work``."""
        key = secrets.token_hex(8)
        path = self.folder / kind / key
        path.mkdir(mode=0o700)
        return key, path

    def upload_path(self, key: str) -> Path:
        """Return the file of an upload.

        Raises:
            HeadcastError: there is none.
        """
        row = self.row("uploads", key)
        if row is None:
            raise HeadcastError("this photo is no longer here; add it again")
        return self.folder / "photos" / key / row["file"]

    def head_folder(self, key: str) -> Path:
        """Return the folder of a head.

        Raises:
            HeadcastError: there is none.
        """
        if self.row("heads", key) is None:
            raise HeadcastError("this head is no longer here")
        return self.folder / "heads" / key

    def photos_of(self, head: str) -> list[str]:
        """Return the ids of the uploads that a head was made from."""
        found = self.rows("select upload from parts where head = ? order by place", head)
        return [r["upload"] for r in found]

    def add_head(self, work: Path, name: str, facts: Mapping[str, Any], uploads: Sequence[str]) -> str:
        """Move a finished folder among the heads and enter it; return its id."""
        key = secrets.token_hex(8)
        created = now()
        with self.transaction():
            self.put("heads", id=key, name=name, created=created, facts=json.dumps(facts))
            for place, upload in enumerate(uploads):
                self.put("parts", head=key, upload=upload, place=place)
            work.replace(self.folder / "heads" / key)
        self.write_facts(key)
        return key

    def write_facts(self, key: str) -> None:
        """Write what the index knows of a head into its folder, for people."""
        row = self.row("heads", key)
        if row is None:
            return
        files = {u: self.row("uploads", u) for u in self.photos_of(key)}
        facts = {
            "name": row["name"],
            "created": row["created"],
            **json.loads(row["facts"]),
            "photos": [f"photos/{u}/{r['file']} ({r['name']})" for u, r in files.items() if r],
        }
        with atomic_path(self.folder / "heads" / key / "head.json") as path:
            path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def delete_head(self, key: str) -> None:
        """Delete a head: folder, rows, jobs, and the uploads that no other head uses."""
        shutil.rmtree(self.head_folder(key))
        uploads = self.photos_of(key)
        with self.transaction():
            for query in (
                "delete from heads where id = ?",
                "delete from parts where head = ?",
                "delete from exports where head = ?",
                "delete from jobs where head = ?",
            ):
                self.data.execute(query, (key,))
        for upload in uploads:
            if not self.rows("select head from parts where upload = ?", upload):
                self.delete_upload(upload)

    def delete_upload(self, key: str) -> None:
        """Delete an uploaded file, what was seen in it, and the finished jobs that name it."""
        shutil.rmtree(self.folder / "photos" / key, ignore_errors=True)
        with self.transaction():
            self.data.execute("delete from uploads where id = ?", (key,))
            self.data.execute(
                "delete from jobs where instr(spec, ?) and state not in ('queued', 'running')", (key,)
            )

    def free_bytes(self) -> int:
        """Return the free space of the project's disk."""
        return shutil.disk_usage(self.folder).free

    def trim_exports(self, head: str, keep: int) -> None:
        """Delete the oldest exports of a head beyond ``keep``."""
        found = self.rows("select * from exports where head = ? order by created desc, id", head)
        for row in found[keep:]:
            (self.folder / "heads" / head / row["file"]).unlink(missing_ok=True)
            self.data.execute("delete from exports where id = ?", (row["id"],))
