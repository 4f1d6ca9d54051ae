"""Search for model files and identify them by their content. Nothing in them is run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headcast import registry
from headcast.array_files import array_names
from headcast.errors import HeadcastError
from headcast.files import cache_folder
from headcast.parsing import short_reason
from headcast.pickles import Record, load_restricted, state_dict_of
from headcast.registry import OfficialCheckpoint

__all__ = ["CHECKPOINTS", "Found", "checkpoints", "find", "identify", "usual_places"]

SUFFIXES = {".pkl", ".npz", ".pth", ".pt", ".ckpt", ".tar"}
ICT_FILE = "generic_neutral_mesh.obj"
MAX_DEPTH, MAX_FILES = 3, 400
FLAME_KEYS = {"v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f"}


CHECKPOINTS = (
    OfficialCheckpoint(
        "GFPGAN v1 clean (1.2 to 1.4)",
        "Apache-2.0",
        ("params_ema", "params"),
        {"conv_body_first.weight": (32, 3, 1, 1), "condition_shift.6.2.bias": (32,)},
    ),
    OfficialCheckpoint(
        "GSGAN FFHQ 512",
        "none stated: ask its authors",
        ("G_ema", "G"),
        {"_xyz": (256, 3), "point_gen.blocks.block_64.1.subpixel.bias": (512,)},
    ),
    OfficialCheckpoint(
        "GSGAN FFHQ 256",
        "none stated: ask its authors",
        ("G_ema", "G"),
        {"_xyz": (256, 3), "point_gen.blocks.block_32.1.res_fc.bias": (128,)},
    ),
    OfficialCheckpoint(
        "InvertAvatar",
        "research only, no redistribution",
        ("G", "G_ema"),
        {"latent_avg": (1, 512), "unet_encoder.triplane_unet.condition_shift256.2.bias": (64,)},
    ),
    OfficialCheckpoint(
        "Next3D++ generator of InvertAvatar",
        "research only, no redistribution",
        ("G_ema", "G"),
        {"texture_backbone.synthesis.b4.const": (512, 4, 4), "decoder.net.2.bias": (33,)},
    ),
)
"""Shapes from published checkpoints that no method owns; the more particular first."""


def checkpoints() -> tuple[OfficialCheckpoint, ...]:
    """Return every official checkpoint that is recognised, those that methods declare among them."""
    declared = (c for d in registry.declarations().values() for c in d.checkpoints)
    return (*CHECKPOINTS, *declared)


@dataclass(frozen=True)
class Found:
    """A file that was examined.

    Attributes:
        name: what it is; empty: not known. licence: its terms in a few words. use: what to do with it.
        kind: ``flame`` or ``ict`` where it is a head that can be built. problem: why it cannot be used.
    """

    path: Path
    name: str = ""
    licence: str = ""
    use: str = ""
    kind: str = ""
    hash: str = ""
    problem: str = ""


def usual_places() -> list[Path]:
    """Return HEADCAST_MODELS, the current folder, its ``models`` and ``weights``, the cache's ``models``."""
    here = Path.cwd()
    given = [Path(p) for p in os.environ.get("HEADCAST_MODELS", "").split(os.pathsep) if p]
    return [
        p for p in (*given, here, here / "models", here / "weights", cache_folder() / "models") if p.is_dir()
    ]


def find(places: Iterable[Path], deepest: int = MAX_DEPTH) -> list[Path]:
    """Find files (and ICT-FaceKit folders) that may hold a model.

    Raises:
        HeadcastError: a place does not exist.
    """
    out: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise HeadcastError(f"{place}: no such file or folder; give model files or folders of them")
        for path in candidates(place, deepest) if place.is_dir() else [place]:
            out[path.absolute()] = None
            if len(out) >= MAX_FILES:
                return list(out)
    return list(out)


def candidates(folder: Path, deepest: int) -> Iterator[Path]:
    """Yield candidates below a folder, hidden ones left out."""
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        is_ict = (folder / ICT_FILE).is_file()
        files = {p for p in entries if p.suffix.lower() in SUFFIXES and p.is_file()}
        folders = {p for p in entries if deepest > 0 and p.is_dir()}
    except OSError:  # a folder that may not be read
        return
    if is_ict:
        yield folder
        return
    for path in entries:
        if path in files:
            yield path
        elif path in folders:
            yield from candidates(path, deepest - 1)


def identify(path: Path) -> Found:
    """Identify a file by keys and shapes; whatever fails on it becomes its ``problem``."""
    try:
        return identify_content(path)
    except HeadcastError as e:
        return Found(path, problem=str(e).removeprefix(f"{path}: "))
    except Exception as e:  # one file must not end the search
        return Found(path, problem=f"cannot be examined ({short_reason(e)})")


def identify_content(path: Path) -> Found:
    """Identify a file or folder that is readable.

    Raises:
        HeadcastError: it is damaged or unsafe.
    """
    if path.is_dir():
        return head_file(path, "ict") if (path / ICT_FILE).is_file() else Found(path)
    if path.suffix.lower() == ".npz":
        return identify_npz(path)
    content = load_restricted(path, keep_unknown=True, shapes_only=True)
    if isinstance(content, dict) and content.keys() >= FLAME_KEYS:
        return head_file(path, "flame")
    network = identify_network(content)
    if network is None:
        return Found(path)
    return Found(
        path=path, name=network.name, licence=network.licence, use="recognised", hash=short_digest(path)
    )


def identify_npz(path: Path) -> Found:
    """Identify FLAME's arrays, or the repack of ICT-FaceKit.

    Raises:
        HeadcastError: no readable npz.
    """
    names = set(array_names(path, "get it again"))
    if names >= FLAME_KEYS:
        return head_file(path, "flame")
    if names >= {"neutral", "polys", "identity_basis", "expression_names"}:
        return head_file(path, "ict")
    return Found(path)


def head_file(path: Path, kind: str) -> Found:
    """Describe a head model that ``create --head`` can use."""
    if kind == "ict":
        return Found(
            path=path,
            name="ICT-FaceKit",
            licence="MIT",
            use=f"create --head ict --ict {path}",
            kind=kind,
            hash=short_digest(path),
        )
    from headcast.head.flame import LICENCES, flame_version, read_flame

    name = flame_version(path)
    try:
        read_flame(path)
    except HeadcastError as e:
        return Found(path=path, name=name, licence=LICENCES[name], problem=str(e).removeprefix(f"{path}: "))
    return Found(
        path=path,
        name=name,
        licence=LICENCES[name],
        use=f"create --head flame --flame {path}",
        kind=kind,
        hash=short_digest(path),
    )


def identify_network(content: Any) -> OfficialCheckpoint | None:
    """Return the official checkpoint that a file's content matches."""
    if not isinstance(content, dict | Record):
        return None
    for network in checkpoints():
        for key in network.within:
            part = content if key == "" else content.get(key) if isinstance(content, dict) else None
            state = state_dict_of(part) if isinstance(part, dict | Record) else {}
            if all(k in state and tuple(state[k].shape) == shape for k, shape in network.shapes.items()):
                return network
    return None


def short_digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file, or of a folder's neutral head."""
    h = hashlib.sha256()
    with (path / ICT_FILE if path.is_dir() else path).open("rb") as f:
        while block := f.read(1 << 22):
            h.update(block)
    return h.hexdigest()[:16]
