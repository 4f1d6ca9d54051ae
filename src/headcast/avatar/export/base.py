"""Which formats there are, which options each takes, and how a writer is found."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headcast.errors import HeadcastError
from headcast.files import check_writable

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.avatar.mesh import MeshAvatar

__all__ = ["FORMATS", "Format", "export", "mesh_of"]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        writer: ``module:function``, imported only when needed. The function takes the avatar, the file's path
            and the options named in ``takes``; it gives the files it wrote, or None for just that path.
        suffix: of the file's name.
        takes: names of the options that mean something to it.
    """

    writer: str
    suffix: str
    takes: tuple[str, ...] = ()


HERE = "headcast.avatar.export"
FORMATS: dict[str, Format] = {
    "glb": Format(f"{HERE}.glb:write_glb", ".glb", ("shading", "texture_size")),
    "splat-ply": Format(
        f"{HERE}.splat_ply:write_splat_ply", ".ply", ("expression", "rigged", "sh_degree", "axes")
    ),
    "mesh-ply": Format(f"{HERE}.mesh_ply:write_mesh_ply", ".ply", ("expression", "shading", "subdivide")),
    "spz": Format(f"{HERE}.spz:write_spz", ".spz", ("expression",)),
    "html": Format(f"{HERE}.html:write_html", ".html"),
}
"""Everything an avatar can be written as."""


def export(avatar: Avatar, path: str | Path, to: str | None = None, **options: Any) -> tuple[Path, ...]:
    """Writes an avatar as a file of another format.

    Args:
        to: the format's name in ``FORMATS``; None: the one with the path's suffix.
        options: by name; those that are None count as not given.

    Returns:
        The files written, the main one first.

    Raises:
        HeadcastError: unknown format, wrong suffix, an option that the format does not take, a place that
            cannot be written, an avatar that holds nothing of that kind.
    """
    path = Path(path)
    name = to or format_of(path)
    if name not in FORMATS:
        raise HeadcastError(f"--to {name}: unknown format; there are {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    if path.suffix.lower() != chosen.suffix:
        raise HeadcastError(f"{path}: the output's name must end in {chosen.suffix}")
    given = {k: v for k, v in options.items() if v is not None}
    for option in given:
        if option not in chosen.takes:
            takes = ", ".join(k for k, f in FORMATS.items() if option in f.takes) or "no format"
            raise HeadcastError(
                f"--{option.replace('_', '-')}: means nothing to {name}; {takes} takes it; leave it out"
            )
    check_writable(path)
    module, function = chosen.writer.split(":")
    written = getattr(importlib.import_module(module), function)(avatar, path, **given)
    return tuple(written) if written else (path,)


def format_of(path: Path) -> str:
    """The format that a file's name stands for."""
    found = [name for name, chosen in FORMATS.items() if chosen.suffix == path.suffix.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise HeadcastError(f"{path}: may be {' or '.join(found)}; name one with --to")
    endings = ", ".join(sorted({f.suffix for f in FORMATS.values()}))
    raise HeadcastError(f"{path}: no format has this ending ({endings}); name one with --to")


def mesh_of(avatar: Avatar) -> MeshAvatar:
    """The textured mesh of an avatar: itself, or what carries its Gaussians.

    Raises:
        HeadcastError: it has none.
    """
    if avatar.mesh is not None:
        return avatar.mesh
    raise HeadcastError(
        f"this avatar ({type(avatar).__name__}) has no textured mesh to export; headcast bake makes one that "
        "has"
    )
