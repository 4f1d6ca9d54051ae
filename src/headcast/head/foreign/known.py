"""Cache of built foreign heads in the user's cache folder, found again by hash."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from headcast.errors import HeadcastError
from headcast.files import cache_folder, check_readable
from headcast.head.foreign.raw import RawHead
from headcast.head.model import HeadModel
from headcast.parsing import parsing

__all__ = ["KINDS", "foreign_head", "placement_of", "read_raw", "stored_head"]

KINDS = ("flame", "ict")
BUILDER = 2
"""Version of the builder; incremented when the output of ``build`` changes."""


def read_raw(kind: str, path: str | Path) -> RawHead:
    """Read a foreign head from its file.

    Raises:
        HeadcastError: an unknown kind, or a file that is not of that kind.
    """
    if kind == "ict":
        from headcast.head.ict import read_ict

        return read_ict(path)
    if kind == "flame":
        from headcast.head.flame import read_flame

        return read_flame(path).raw()
    raise HeadcastError(f"--head {kind}: unknown; there are {', '.join(KINDS)}")


def foreign_head(
    kind: str, path: str | Path, progress: Callable[[float, str], None] | None = None
) -> HeadModel:
    """Return the head model of a foreign file, built at the first use and cached.

    Args:
        kind: ``flame`` or ``ict``. path: the user's file or folder.

    Raises:
        HeadcastError: not a head of that kind, or no place to keep it.
    """
    path = Path(path)
    key = content_key(kind, path)
    for stored in sorted(heads_folder().glob(f"{kind}-{key}-*.safetensors")):
        try:
            return HeadModel.load(stored)
        except HeadcastError:  # damaged: built again
            continue
    if progress:
        progress(0.0, "fitting our head to the foreign one (once)")
    from headcast.head.foreign.build import build_foreign_head

    raw = read_raw(kind, path)
    with torch.no_grad():
        head, registration = build_foreign_head(raw)
    meta = {
        "name": raw.name,
        "licence": raw.licence,
        "file": raw.hash,
        "part_names": head.part_names,
        "region_names": head.region_names,
        "rotation": registration.rotation.tolist(),
        "translation": registration.translation.tolist(),
    }
    return HeadModel.load(_keep(f"{kind}-{key}", head, meta))


def stored_head(made: Any) -> HeadModel:
    """Return the head model that a file was made with (``{"name", "hash"}``): a cached one, or ours."""
    digest = made.get("hash") if isinstance(made, dict) else None
    if isinstance(digest, str) and digest.isalnum():
        found = sorted(heads_folder().glob(f"*-{digest}.safetensors"))
        if found:
            return HeadModel.load(found[0])
    return HeadModel.load()


def placement_of(head: HeadModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rotation and translation from a cached foreign head to our frame: ``ours = R @ theirs + t``."""
    from headcast.weights import load_tensors

    found = sorted(heads_folder().glob(f"*-{head.hash}.safetensors"))
    if not found:
        raise HeadcastError(f"the head '{head.name}' is no foreign head that was built here")
    with parsing(found[0], "not a foreign head", "delete it, then use the head's file again"):
        meta = json.loads(load_tensors(found[0])[1]["head"])
        rotation, translation = (torch.tensor(meta[k]) for k in ("rotation", "translation"))
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise ValueError("no rotation and translation")
    return rotation, translation


def heads_folder() -> Path:
    """Return the folder of built heads."""
    return cache_folder() / "heads"


def content_key(kind: str, path: Path) -> str:
    """Hash a file's bytes (of a folder: of its files' names and sizes), of our head and of the builder."""
    from headcast.weights import weights_path

    h = hashlib.sha256(f"{kind} {BUILDER}".encode())
    h.update(weights_path("head").read_bytes())
    if path.is_dir():
        for p in sorted([*path.glob("*.npz"), *path.glob("*.obj"), *path.glob("FaceXModel/*.obj")]):
            h.update(f"{p.name} {p.stat().st_size}".encode())
    else:
        check_readable(path, "head model")
        with path.open("rb") as f:
            while block := f.read(1 << 22):
                h.update(block)
    return h.hexdigest()[:16]


def _keep(name: str, head: HeadModel, meta: dict[str, Any]) -> Path:
    """Write the head under a name that ends in its own hash."""
    from safetensors.torch import save_file

    folder = heads_folder()
    temporary = folder / f".{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.contiguous() for k, v in head.state_dict().items()}
        save_file(tensors, temporary, {"head": json.dumps(meta)})
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()[:16]
        return temporary.replace(folder / f"{name}-{digest}.safetensors")
    except OSError as e:
        raise HeadcastError(
            f"{folder}: cannot be written ({e.strerror}); set HEADCAST_CACHE to a folder"
        ) from e
    finally:
        temporary.unlink(missing_ok=True)
