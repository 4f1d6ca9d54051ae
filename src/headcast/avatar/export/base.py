"""The registry of export formats: options of each, and lookup of its writer."""

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

__all__ = ["FORMATS", "Format", "export_avatar", "mesh_of"]


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        writer: ``module:function``, imported only when needed. The function takes the avatar, the file's path
            and the options named in ``takes``; it returns the files it wrote, or None for just that path.
        suffix: of the file's name.
        takes: names of the options it accepts.
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
"""Export formats by name, as ``--to`` takes them."""


def export_avatar(
    avatar: Avatar, path: str | Path, to: str | None = None, **options: Any
) -> tuple[Path, ...]:
    """Export an avatar to a file of another format.

    Args:
        to: the format's name in ``FORMATS``; None: the one with the path's suffix.
        options: by name; None means not given.

    Returns:
        The files written, the main one first.

    Raises:
        HeadcastError: unknown format, wrong suffix, an option that the format does not take, a place that
            cannot be written, an avatar that holds nothing of that kind.
    """
    path = Path(path)
    name = to or format_of_suffix(path)
    if name not in FORMATS:
        raise HeadcastError(f"--to {name}: unknown format; give one of {', '.join(FORMATS)}")
    format_ = FORMATS[name]
    if path.suffix.lower() != format_.suffix:
        raise HeadcastError(f"{path}: the output's name must end in {format_.suffix}")
    given = {k: v for k, v in options.items() if v is not None}
    for option in given:
        if option not in format_.takes:
            takes = ", ".join(k for k, f in FORMATS.items() if option in f.takes) or "no format"
            raise HeadcastError(
                f"--{option.replace('_', '-')}: not an option of {name}, only of {takes}; leave it out"
            )
    check_writable(path)
    module, function = format_.writer.split(":")
    written = getattr(importlib.import_module(module), function)(avatar, path, **given)
    return tuple(written) if written else (path,)


def format_of_suffix(path: Path) -> str:
    """Return the name of the format with the suffix of a path."""
    found = [name for name, format_ in FORMATS.items() if format_.suffix == path.suffix.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise HeadcastError(f"{path}: may be {' or '.join(found)}; name one with --to")
    suffixes = ", ".join(sorted({f.suffix for f in FORMATS.values()}))
    raise HeadcastError(f"{path}: no format has this suffix ({suffixes}); name one with --to")


def mesh_of(avatar: Avatar) -> MeshAvatar:
    """Return the textured mesh of an avatar: itself, or the one its Gaussians are bound to.

    Raises:
        HeadcastError: the avatar has none.
    """
    if avatar.mesh is not None:
        return avatar.mesh
    raise HeadcastError(
        f"this avatar ({type(avatar).__name__}) has no textured mesh to export; headcast bake makes one that "
        "has"
    )
