"""Write files atomically; check and describe the files that users name."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from headcast.errors import HeadcastError

__all__ = [
    "VIDEO_SUFFIXES",
    "atomic_path",
    "cache_folder",
    "check_readable",
    "check_writable",
    "content_kind",
    "is_video",
    "quiet_stderr",
    "what_is",
]

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

    After any failure, an interrupt included, neither the temporary file nor a half-written ``path`` remains
    and an older file is untouched.

    Raises:
        HeadcastError: the place cannot be written.
    """
    path = Path(path)
    check_writable(path)
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}")
        temporary.replace(path)
    except OSError as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise HeadcastError(f"{path}: cannot be written ({e.strerror or e}); choose another place") from e
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return the folder of recomputable files: ``HEADCAST_CACHE``, else the system's cache folder."""
    given = os.environ.get("HEADCAST_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "headcast"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headcast"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headcast"


def check_writable(path: str | Path) -> None:
    """Check before long work that a file can be written.

    Raises:
        HeadcastError: it is a folder, its folder is missing, or writing is not allowed there.
    """
    path = Path(path)
    folder = path.parent
    check_name(path)
    if path.is_dir():
        raise HeadcastError(f"{path}: is a folder; give the name of a file")
    if not folder.exists():
        raise HeadcastError(f"{path}: the folder {folder} does not exist; create it or choose another place")
    if not folder.is_dir():
        raise HeadcastError(f"{path}: {folder} is not a folder; choose another place")
    probe = folder / f".{secrets.token_hex(4)}.tmp"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as e:
        raise HeadcastError(f"{path}: cannot be written ({e.strerror}); choose another place") from e


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
