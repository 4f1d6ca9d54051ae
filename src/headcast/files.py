"""Write files atomically; check and describe the files that users name.

Temporary files and folders carry the machine and the process that made them in their names, so that those of
a killed process are found and removed by the next one.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from headcast.errors import HeadcastError
from headcast.owner import PRIVATE_PREFIX, home_folder, is_own

__all__ = [
    "VIDEO_SUFFIXES",
    "atomic_path",
    "cache_folder",
    "check_readable",
    "check_writable",
    "content_kind",
    "is_video",
    "private_folder",
    "quiet_stderr",
    "remove_leftovers",
    "what_is",
]

FOREIGN_AGE_S = 86400.0  # age at which temporary files of other machines and containers are taken for dead
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".qt", ".m4v", ".3gp", ".3g2", ".webm", ".mkv", ".avi", ".wmv", ".asf", ".flv", ".mxf"}
    | {".ogv", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"}
)

SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"RIFF", "an AVI, WAV or WebP file of unknown content"),
    (b"\xff\xd8", "a damaged JPEG"),
    (b"\x89PNG", "a damaged PNG"),
    (b"GIF8", "a damaged GIF"),
    (b"II*\0", "a damaged TIFF or a raw photo"),
    (b"MM\0*", "a damaged TIFF or a raw photo"),
)

IMAGE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"GIF8",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"BM",
    b"8BPS",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
)
VIDEO_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"\0\0\x01\xba",  # MPEG programme stream
    b"\0\0\x01\xb3",  # MPEG video
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"OggS",
    b"\x06\x0e\x2b\x34",  # MXF
    b"YUV4MPEG2",
)
QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
IMAGE_BRANDS = ("heic", "heix", "heim", "heis", "mif1", "msf1", "avif", "avis", "crx ")
TS_PACKETS = (188, 192, 204)  # bytes of a transport stream's packet: plain, with time code, with checksum
TS_SYNC, TS_REPEATS = 0x47, 8


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` (same suffix) to write to; rename it on success.

    Missing folders are created. After any failure, an interrupt included, neither they nor the temporary file
    nor a half-written ``path`` remain, and an older file is untouched.

    Raises:
        HeadcastError: the place cannot be written.
    """
    path = Path(path)
    check_writable(path)
    missing = [folder for folder in path.parents if not folder.exists()]
    name = f".{path.stem[:40]}.{process_tag()}-{secrets.token_hex(4)}{path.suffix}"
    temporary = path.with_name(name)
    done = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent.absolute())
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}")
        temporary.replace(path)
        done = True
    except OSError as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise HeadcastError(f"{path}: cannot be written ({e.strerror or e}); choose another place") from e
    finally:
        temporary.unlink(missing_ok=True)
        for folder in missing if not done else ():
            with suppress(OSError):
                folder.rmdir()


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new temporary folder that only this user can read; removed at the end of the process."""
    return tempfile.TemporaryDirectory(prefix=f"{PRIVATE_PREFIX}{process_tag()}-")


@functools.cache
def machine_tag() -> str:
    """Return a hash of what process numbers are unique in: the machine since its start, or the container."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def process_tag() -> str:
    """Return the part of a temporary name that says which process made it."""
    return f"{machine_tag()}-{os.getpid()}"


@functools.cache
def remove_leftovers(folder: Path, prefix: str = ".") -> None:
    """Remove a folder's temporary files and folders of dead processes; once for each folder and process."""
    pattern = re.compile(re.escape(prefix) + r"(?:.*\.)?([0-9a-f]{8})-(\d+)-\w{8}(?:\.\w+)?")
    with suppress(OSError), os.scandir(folder) as entries:
        found = [(e, m) for e in entries if (m := pattern.fullmatch(e.name))]
        for entry, match in found:
            if is_own(entry.stat(follow_symlinks=False)) and is_left_over(entry, match[1], int(match[2])):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)


def is_left_over(entry: os.DirEntry[str], machine: str, process: int) -> bool:
    """Return whether the process that made a temporary file is dead; elsewhere: whether the file is old."""
    if machine != machine_tag() or os.name != "posix":
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_AGE_S
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def cache_folder() -> Path:
    """Return the folder of recomputable files: ``HEADCAST_CACHE``, else the system's cache folder."""
    given = os.environ.get("HEADCAST_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local") / "headcast"
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "headcast"
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "headcast"


def check_writable(path: str | Path) -> None:
    """Check before long work that a file can be written; missing folders can be created.

    Raises:
        HeadcastError: it is a folder, its folder is a file, or writing is not allowed there.
    """
    path = Path(path)
    check_name(path)
    try:
        if path.is_dir():
            raise HeadcastError(f"{path}: is a folder; give the name of a file")
        folder = next(f for f in path.absolute().parents if f.exists())
        if not folder.is_dir():
            raise HeadcastError(f"{path}: {folder} is not a folder; choose another place")
        probe = folder / f".{process_tag()}-{secrets.token_hex(4)}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise HeadcastError(f"{path}: cannot be written ({reason}); choose another place") from e


def check_name(path: Path) -> None:
    """Check that the system takes a name for a file.

    Raises:
        HeadcastError: it is too long, or holds a null character.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise HeadcastError(f"{path}: cannot be written ({reason}); choose another name") from e


def check_readable(path: Path, kind: str) -> None:
    """Check that a file exists, is a regular file, not empty and readable.

    Raises:
        HeadcastError: naming the file and the reason.
    """
    try:
        if not path.exists():
            raise HeadcastError(f"{path}: no such file; check the name")
        if path.is_dir():
            raise HeadcastError(f"{path}: is a folder; give {article(kind)} {kind} file")
        if not path.is_file():
            raise HeadcastError(f"{path}: is not a regular file; give {article(kind)} {kind} file")
        with path.open("rb") as f:
            if not f.read(1):
                raise HeadcastError(f"{path}: the file is empty; save or download it again")
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise HeadcastError(f"{path}: cannot be read ({reason}); check its name and permissions") from e


def content_kind(path: str | Path) -> Literal["image", "video"] | None:
    """Return whether a file's first bytes are those of an image or a video; None: unknown or unreadable."""
    try:
        with Path(path).open("rb") as f:
            head = f.read(4096)
    except (OSError, ValueError):
        return None
    if head.startswith(IMAGE_STARTS):
        return "image"
    if head.startswith(VIDEO_STARTS):
        return "video"
    if head.startswith(b"RIFF"):
        kinds: dict[bytes, Literal["image", "video"]] = {b"WEBP": "image", b"AVI ": "video"}
        return kinds.get(head[8:12])
    if head[4:8] == b"ftyp":
        return "image" if head[8:12].decode("latin-1") in IMAGE_BRANDS else "video"
    return "video" if head[4:8] in QUICKTIME_ATOMS or is_transport_stream(head) else None


def is_transport_stream(head: bytes) -> bool:
    """Whether a file's first 4096 bytes hold the sync bytes of an MPEG transport stream at regular steps."""
    return any(
        len(head) > start + (TS_REPEATS - 1) * step
        and head[start] == TS_SYNC
        and all(head[start + k * step] == TS_SYNC for k in range(TS_REPEATS))
        for step in TS_PACKETS
        for start in range(step)
    ) and bool(head.count(0))


def is_video(path: str | Path) -> bool:
    """Whether a file is a video: by its first bytes, and by its name where those are of no known format."""
    kind = content_kind(path)
    return Path(path).suffix.lower() in VIDEO_SUFFIXES if kind is None else kind == "video"


def article(kind: str) -> str:
    """Return "a" or "an" before a kind of file."""
    return "an" if kind[0] in "aeiouAEIO" or kind.startswith("npz") else "a"


def what_is(path: Path) -> str:
    """Describe a file of the wrong type in plain words, from its first bytes."""
    with path.open("rb") as f:
        head = f.read(4096)
    for signature, words in SIGNATURES:
        if head.startswith(signature):
            return f"is {words}"
    if head[4:8] == b"ftyp":
        heic = head[8:12] in (b"heic", b"heix", b"mif1", b"msf1")
        return "is a HEIC photo" if heic else "is an MP4 or MOV video"
    if content_kind(path) == "video":
        return "is a video"
    text = sum(b in (9, 10, 13) or 32 <= b < 127 or b >= 128 for b in head)
    if text == len(head) and not head.count(0):
        return "is a text file"
    return "is of no known format"


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Redirect file descriptor 2 to the null device. Python's sys.stderr is flushed before, works after."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
