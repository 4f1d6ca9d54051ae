"""The ``.avatar`` file: one zip of JSON, safetensors and PNG. Written whole or not at all, safe to open."""

from __future__ import annotations

import json
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from headcast.avatar.png import StoredImages, decode_png, encode_texture
from headcast.errors import HeadcastError
from headcast.files import atomic_path, check_readable
from headcast.parsing import open_zip, parse_json, parsing, short_reason

__all__ = ["FORMAT", "VERSION", "Package", "read_package", "write_package"]

FORMAT = "headcast-avatar"
VERSION = 2  # 2: shells
MAX_ENTRIES = 32
MAX_DIRECTORY_BYTES = 1 << 16
MAX_TOTAL = 1 << 30
MAX_RATIO = 20
MIN_TOTAL = 1 << 25  # unpacked bytes that any file may have, however small it is
MAX_THUMBNAIL_SIDE = 1024
LIMITS = {"avatar.json": 1 << 20, "tensors.safetensors": 1 << 29, "thumbnail.png": 1 << 22}
TEXTURE_LIMIT = 1 << 28
TEXTURE_NAMES = ("albedo", "normal", "roughness", "specular", "ao", "micronormal", "mask")
PART_TEXTURE = re.compile(r"shell-[a-z]{1,16}|lid-left|lid-right")

PROBLEM, REMEDY = "damaged avatar file", "make it again with 'headcast create'"


@dataclass(frozen=True)
class Package:
    """What an ``.avatar`` file holds.

    Attributes:
        meta: the content of avatar.json: ``kind``, ``method``, ``head`` and what the kind adds.
        tensors: tensors by name.
        textures: images by map name, (H, W), (H, W, 3) or (H, W, 4); of a file, decoded when asked for.
        thumbnail: a small image for file browsers.
    """

    meta: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    textures: Mapping[str, Any] = field(default_factory=dict)
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
        "avatar.json": json.dumps(meta, indent=1, ensure_ascii=False, allow_nan=False).encode(
            errors="replace"  # names of files may hold bytes that are no text
        ),
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
    with parsing(path, PROBLEM, REMEDY):
        is_zip = zipfile.is_zipfile(path)
    if not is_zip:
        raise HeadcastError(f"{path}: not an avatar file, or damaged; give a file made by 'headcast create'")
    with parsing(path, PROBLEM, REMEDY), open_zip(path, MAX_DIRECTORY_BYTES) as z:
        meta = _read_meta(path, z)
        infos = _checked_entries(path, z)
        raw = {name: _read(path, z, info) for name, info in infos.items()}
    images = {
        name.removeprefix("textures/").removesuffix(".png"): data
        for name, data in raw.items()
        if name.startswith("textures/")
    }
    return Package(
        meta=meta,
        tensors=_tensors(path, raw.get("tensors.safetensors")),
        textures=StoredImages(path, images),
        thumbnail=decode_png(path, "thumbnail.png", raw["thumbnail.png"], MAX_THUMBNAIL_SIDE)
        if "thumbnail.png" in raw
        else None,
    )


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


def _tensors(path: Path, data: bytes | None) -> dict[str, Tensor]:
    from safetensors.torch import load

    if data is None:
        raise damaged(path, "no tensors.safetensors")
    with parsing(path, PROBLEM, REMEDY):
        return load(data)
