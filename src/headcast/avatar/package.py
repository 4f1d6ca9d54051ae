"""The ``.avatar`` file: one zip of JSON, safetensors and PNG. Written whole or not at all, safe to open."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from headcast.avatar.entries import FORMAT, PROBLEM, REMEDY, VERSION, damaged, is_texture, read_entries
from headcast.avatar.png import StoredImages, decode_png, encode_texture
from headcast.files import atomic_path
from headcast.parsing import parsing

__all__ = ["Package", "read_package", "write_package"]

MAX_THUMBNAIL_SIDE = 1024


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
    meta, raw = read_entries(path)
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


def _tensors(path: Path, data: bytes | None) -> dict[str, Tensor]:
    from safetensors.torch import load

    if data is None:
        raise damaged(path, "no tensors.safetensors")
    with parsing(path, PROBLEM, REMEDY):
        return load(data)
