"""Splats in the PLY layout of 3D Gaussian Splatting, posed or bound to triangles as in GaussianAvatars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headcast.avatar.base import Avatar
from headcast.avatar.export.ply import write_ply
from headcast.avatar.export.splats import Splats, gaussians_of, posed_splats, rest_pose, rigged_splats
from headcast.errors import HeadcastError
from headcast.marks import header_lines

__all__ = ["SH_C0", "write_splat_ply"]

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic: colour = SH_C0 f_dc + 0.5."""
TEETH_VERTICES = 120
"""Vertices of the teeth that GaussianAvatars adds to FLAME, after FLAME's own."""
FLAME_PARAMETERS = {
    **{"expr": 100, "rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3},
}
"""What moves FLAME, and how many numbers a frame."""
MODE = "SplatRenderMode: mip"
"""A hint to viewers: opacities are meant for rendering with the Mip-Splatting compensation."""


def write_splat_ply(
    avatar: Avatar,
    path: Path,
    *,
    expression: Mapping[str, float] | None = None,
    rigged: bool = False,
    sh_degree: int = 0,
    axes: str = "y-down",
) -> tuple[Path, ...]:
    """Write the Gaussians: x y z, nx ny nz, f_dc, f_rest, opacity, scale, rot, all float.

    Args:
        expression: weights by ARKit name; the head is upright and otherwise at rest.
        rigged: in the frames of triangles, with ``binding_0``, and next to the file the mesh that carries
            them at rest (``<name>.mesh.ply``, +Y up). Viewers that don't know bindings show dust.
        sh_degree: pads ``f_rest`` with zeros up to this degree (0 to 3), which some viewers insist on.
        axes: ``y-down``: as files made from cameras, upright in splat viewers; ``y-up``: the head frame.
    """
    if not 0 <= sh_degree <= 3:
        raise HeadcastError(f"--sh-degree {sh_degree}: give 0, 1, 2 or 3")
    if axes not in ("y-down", "y-up"):
        raise HeadcastError(f"--axes {axes}: give y-down or y-up")
    if rigged and expression:
        raise HeadcastError("--expression: not an option with --rigged, whose mesh makes the expressions")
    if rigged:
        splats, mesh_path = rigged_splats(avatar), path.with_suffix(".mesh.ply")
        write_carrier(avatar, mesh_path)
        write_ply(path, {"vertex": splat_rows(splats, sh_degree)}, (*header_lines(avatar.info), MODE))
        parameters = path.with_name("flame_param.npz")
        if write_flame_parameters(avatar, parameters):
            return path, mesh_path, parameters
        return path, mesh_path
    splats = posed_splats(avatar, expression)
    splats = splats.turned_about_x() if axes == "y-down" else splats
    write_ply(
        path,
        {"vertex": splat_rows(splats, sh_degree)},
        (*header_lines(avatar.info), MODE, f"axes: {axes}, metres"),
    )
    return (path,)


def splat_rows(splats: Splats, sh_degree: int) -> np.ndarray:
    """Return the rows of the file, fields in the order that readers expect."""
    columns: dict[str, Any] = dict(zip("xyz", splats.position.T, strict=True))
    columns |= dict.fromkeys(("nx", "ny", "nz"), 0.0)
    columns |= {f"f_dc_{k}": c for k, c in enumerate(((splats.colour - 0.5) / SH_C0).T)}
    columns |= {f"f_rest_{k}": 0.0 for k in range(3 * ((sh_degree + 1) ** 2 - 1))}
    columns |= {"opacity": splats.opacity}
    columns |= {f"scale_{k}": c for k, c in enumerate(splats.log_scale.T)}
    columns |= {f"rot_{k}": c for k, c in enumerate(splats.quaternion.T)}
    if splats.binding is not None:
        columns["binding_0"] = splats.binding
    out = np.zeros(len(splats), [(name, "<f4") for name in columns])
    for name, values in columns.items():
        out[name] = values
    return out


def write_flame_parameters(avatar: Avatar, path: Path) -> bool:
    """Write ``flame_param.npz`` as GaussianAvatars reads it, if the head is FLAME; return whether it is.

    The person's shape is the static offset, with every coefficient zero; one still frame.
    """
    from headcast.files import atomic_path
    from headcast.head.flame import VERTICES
    from headcast.head.foreign.known import placement_of, stored_head

    head = avatar.head
    if not head.name.startswith("FLAME") or len(head.neutral) < VERTICES:
        return False
    rotation, _ = placement_of(head)
    template = stored_head({"name": head.name, "hash": head.hash}).neutral
    with torch.no_grad():
        moved = head.shape(avatar.source.params.identity)[:VERTICES] - template[:VERTICES]
    offset = np.zeros((1, VERTICES + TEETH_VERTICES, 3), np.float32)
    offset[0, :VERTICES] = (moved @ rotation).numpy()
    arrays = {k: np.zeros((1, n), np.float32) for k, n in FLAME_PARAMETERS.items()}
    with atomic_path(path) as temporary:
        np.savez(temporary, shape=np.zeros(300, np.float32), static_offset=offset, **arrays)  # pyright: ignore[reportArgumentType]
    return True


def write_carrier(avatar: Avatar, path: Path) -> None:
    """Write the mesh the Gaussians are bound to, at rest in the head frame, triangles in order."""
    surface = gaussians_of(avatar).mesh.surface
    with torch.no_grad():
        vertices = surface.posed(rest_pose(avatar)).vertices.numpy()
    points = np.zeros(len(vertices), [(k, "<f4") for k in "xyz"])
    for k, values in zip("xyz", vertices.T, strict=True):
        points[k] = values
    faces = np.zeros(len(surface.faces), [("vertex_indices", "<i4", (3,))])
    faces["vertex_indices"] = surface.faces.numpy()
    write_ply(path, {"vertex": points, "face": faces}, (*header_lines(avatar.info), "axes: y-up, metres"))
