"""The ``.avatar`` file: one zip of JSON, safetensors and PNG. Written whole or not at all, safe to open."""

from __future__ import annotations

import json
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from headcast.avatar.png import decode_png, encode_texture
from headcast.errors import HeadcastError
from headcast.files import atomic_path, check_readable

__all__ = ["FORMAT", "VERSION", "Package", "read_package", "write_package"]

FORMAT = "headcast-avatar"
VERSION = 2  # 2: shells
MAX_ENTRIES = 32
MAX_TOTAL = 1 << 30
MAX_RATIO = 100
LIMITS = {"avatar.json": 1 << 20, "tensors.safetensors": 1 << 29, "thumbnail.png": 1 << 22}
TEXTURE_LIMIT = 1 << 28
TEXTURE_NAMES = ("albedo", "normal", "roughness", "specular", "ao", "micronormal", "mask")
PART_TEXTURE = re.compile(r"shell-[a-z]{1,16}|lid-left|lid-right")

# What zipfile, zlib and json raise on damaged bytes.
DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    AttributeError,
)


@dataclass(frozen=True)
class Package:
    """What an ``.avatar`` file holds.

    Attributes:
        meta: the content of avatar.json: ``kind``, ``method``, ``head`` and what the kind adds.
        tensors: tensors by name.
        textures: images by map name, (H, W), (H, W, 3) or (H, W, 4).
        thumbnail: a small image for file browsers.
    """

    meta: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    textures: dict[str, UInt8[np.ndarray, "..."]] = field(default_factory=dict)
    thumbnail: UInt8[np.ndarray, "..."] | None = None


def is_texture(name: str) -> bool:
    """Whether an image of this name may be in a package: a map of the head, colours of a shell or lid."""
    return name in TEXTURE_NAMES or PART_TEXTURE.fullmatch(name) is not None


def write_package(path: str | Path, package: Package) -> None:
    """Write a package atomically (temporary name, then rename). The same content gives the same bytes.

    Raises:
        HeadcastError: the place cannot be written.
    """
    from safetensors.torch import save

    unknown = [name for name in package.textures if not is_texture(name)]
    if unknown:
        raise ValueError(f"unknown texture names {sorted(unknown)}")
    meta = {"format": FORMAT, "version": VERSION, **package.meta}
    entries = {
        "avatar.json": json.dumps(meta, indent=1, ensure_ascii=False, allow_nan=False).encode(),
        "tensors.safetensors": save({k: v.detach().cpu().contiguous() for k, v in package.tensors.items()}),
    }
    for name, image in package.textures.items():
        entries[f"textures/{name}.png"] = encode_texture(image)
    if package.thumbnail is not None:
        entries["thumbnail.png"] = encode_texture(package.thumbnail)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as z:
        for name, data in entries.items():
            z.writestr(zipfile.ZipInfo(name), data)


def read_package(path: str | Path) -> Package:
    """Read a package without trusting it: names, sizes and formats are checked before they are read.

    Raises:
        HeadcastError: missing, damaged, suspicious, or of a newer version.
    """
    path = Path(path)
    check_readable(path, "avatar")
    if not zipfile.is_zipfile(path):
        raise HeadcastError(f"{path}: not an avatar file, or damaged; give a file made by 'headcast create'")
    try:
        with zipfile.ZipFile(path) as z:
            meta = _read_meta(path, z)
            infos = _checked_entries(path, z)
            raw = {name: _read(path, z, info) for name, info in infos.items()}
    except DAMAGE as e:
        raise damaged(path, e) from e
    return Package(
        meta=meta,
        tensors=_tensors(path, raw.get("tensors.safetensors")),
        textures={
            name.removeprefix("textures/").removesuffix(".png"): decode_png(path, name, data)
            for name, data in raw.items()
            if name.startswith("textures/")
        },
        thumbnail=decode_png(path, "thumbnail.png", raw["thumbnail.png"]) if "thumbnail.png" in raw else None,
    )


def damaged(path: Path, reason: object) -> HeadcastError:
    """Return the error for an invalid file, with its reason in one line."""
    detail = " ".join(str(reason).split())[:120] or type(reason).__name__
    return HeadcastError(f"{path}: damaged avatar file ({detail}); make it again with 'headcast create'")


def _read_meta(path: Path, z: zipfile.ZipFile) -> dict[str, Any]:
    """Read avatar.json first: a newer version may hold entries that this one would refuse."""
    names = z.namelist()
    if names.count("avatar.json") != 1:
        raise HeadcastError(
            f"{path}: not an avatar file (no avatar.json); give a file made by 'headcast create'"
        )
    try:
        meta = json.loads(
            _read(path, z, z.getinfo("avatar.json")).decode("utf-8"), parse_constant=_no_constant
        )
    except RecursionError as e:
        raise damaged(path, "avatar.json is nested too deeply") from e
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
    if sum(i.file_size for i in infos) > MAX_TOTAL:
        raise damaged(path, "too large when unpacked")
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
    if info.file_size > MAX_RATIO * max(info.compress_size, 1024):
        raise damaged(path, f"entry '{name}' unpacks to {info.file_size} bytes from {info.compress_size}")


def _read(path: Path, z: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read one entry; never more bytes than it declares."""
    _check_entry(path, info)
    with z.open(info) as f:
        data = f.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise damaged(path, f"entry '{info.filename}' has another size than it says")
    return data


def _tensors(path: Path, data: bytes | None) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if data is None:
        raise damaged(path, "no tensors.safetensors")
    try:
        return load(data)
    except (SafetensorError, TypeError, *DAMAGE) as e:
        raise damaged(path, e) from e
