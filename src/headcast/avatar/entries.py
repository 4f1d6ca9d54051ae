"""Entries of an ``.avatar`` file: names, sizes and formats, checked before anything is decoded.

Free of torch, so that what a file says of itself is read at once.
"""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.parsing import open_zip, parse_json, parsing, short_reason

__all__ = ["FORMAT", "PROBLEM", "REMEDY", "VERSION", "Entries", "damaged", "is_texture", "read_entries"]

FORMAT = "headcast-avatar"
VERSION = 2  # 2: shells
MAX_ENTRIES = 32
MAX_DIRECTORY_BYTES = 1 << 16
MAX_TOTAL = 1 << 30
MAX_RATIO = 20
MIN_TOTAL = 1 << 25  # unpacked bytes that any file may have, however small it is
LIMITS = {"avatar.json": 1 << 20, "tensors.safetensors": 1 << 29, "thumbnail.png": 1 << 22}
TEXTURE_LIMIT = 1 << 28
TEXTURE_NAMES = ("albedo", "normal", "roughness", "specular", "ao", "micronormal", "mask")
PART_TEXTURE = re.compile(r"shell-[a-z]{1,16}|lid-left|lid-right")

PROBLEM, REMEDY = "damaged avatar file", "make it again with 'headcast create'"


class Entries(NamedTuple):
    """What an ``.avatar`` file holds: the content of avatar.json, and the bytes of every entry by name."""

    meta: dict[str, Any]
    raw: dict[str, bytes]


def is_texture(name: str) -> bool:
    """Whether an image of this name may be in a package: a map of the head, colours of a shell or lid."""
    return name in TEXTURE_NAMES or PART_TEXTURE.fullmatch(name) is not None


def read_entries(path: str | Path) -> Entries:
    """Read an ``.avatar`` file without trusting it: names, sizes and checksums are checked, nothing decoded.

    Raises:
        HeadcastError: missing, damaged, suspicious, or of a newer version.
    """
    path = Path(path)
    check_readable(path, "avatar")
    with parsing(path, PROBLEM, REMEDY):
        is_zip = zipfile.is_zipfile(path)
    if not is_zip:
        raise HeadcastError(f"{path}: not an avatar file, or damaged; give a file made by 'headcast create'")
    with parsing(path, PROBLEM, REMEDY), open_zip(path, MAX_DIRECTORY_BYTES) as z:
        meta = _read_meta(path, z)
        infos = _checked_entries(path, z)
        return Entries(meta, {name: _read(path, z, info) for name, info in infos.items()})


def damaged(path: Path, reason: object) -> HeadcastError:
    """Return the error for an invalid file, with its reason in one line."""
    return HeadcastError(f"{path}: {PROBLEM} ({short_reason(reason)}); {REMEDY}")


def _read_meta(path: Path, z: zipfile.ZipFile) -> dict[str, Any]:
    """Read avatar.json first: a newer version may hold entries that this one would refuse."""
    names = z.namelist()
    if names.count("avatar.json") != 1:
        raise HeadcastError(
            f"{path}: not an avatar file (no avatar.json); give a file made by 'headcast create'"
        )
    meta = parse_json(_read(path, z, z.getinfo("avatar.json")).decode("utf-8"), _no_constant)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise HeadcastError(f"{path}: not an avatar file; give a file made by 'headcast create'")
    version = meta.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged(path, "no format version")
    if version > VERSION:
        raise HeadcastError(
            f"{path}: avatar format {version} is newer than this program reads ({VERSION}); upgrade headcast"
        )
    return meta


def _no_constant(name: str) -> float:
    raise ValueError(f"avatar.json holds {name}")


def _checked_entries(path: Path, z: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name, after all checks that need no reading."""
    infos = z.infolist()
    if len(infos) > MAX_ENTRIES:
        raise damaged(path, f"{len(infos)} entries")
    out: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        if name in out:
            raise damaged(path, f"entry '{name[:60]}' occurs twice")
        _check_entry(path, info)
        out[name] = info
    total, size = sum(i.file_size for i in infos), path.stat().st_size
    if total > min(MAX_TOTAL, max(MAX_RATIO * size, MIN_TOTAL)):
        raise damaged(path, f"unpacks to {total >> 20} MB from {size >> 10} KB")
    return out


def _check_entry(path: Path, info: zipfile.ZipInfo) -> None:
    """Raise on unknown names, links, encryption, unknown compression, and excessive sizes or ratios."""
    name = info.filename
    texture = name.startswith("textures/") and name.endswith(".png")
    if name not in LIMITS and not (texture and is_texture(name[len("textures/") : -len(".png")])):
        raise damaged(path, f"unexpected entry '{name[:60]}'")
    mode = info.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise damaged(path, f"entry '{name}' is no plain file")
    if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise damaged(path, f"entry '{name}' is encrypted or compressed in an unknown way")
    if info.file_size > LIMITS.get(name, TEXTURE_LIMIT):
        raise damaged(path, f"entry '{name}' is too large")


def _read(path: Path, z: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read one entry; never more bytes than it declares."""
    _check_entry(path, info)
    with z.open(info) as f:
        data = f.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise damaged(path, f"entry '{info.filename}' has another size than it says")
    return data
