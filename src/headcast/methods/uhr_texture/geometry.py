"""The mesh that maps are unwrapped onto: our fitted head, or any with texture coordinates (§3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.parsing import load_json, parsing, read_text
from headcast.render.geometry import vertex_normals
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import axis_angle_to_matrix

__all__ = [
    "Geometry",
    "fitted_geometry",
    "foreign_geometry",
    "geometry_prior",
    "rasterize_geometry",
    "read_camera",
    "read_obj",
]

MAX_OBJ_BYTES = 1 << 27
MAX_TRIANGLES = 4_000_000
MAX_LINE = 1 << 16  # characters
MAX_SIDE = 1 << 15  # pixels of a camera


@dataclass(frozen=True)
class Geometry:
    """A mesh posed before a camera.

    Attributes:
        vertices, normals: (V, 3) in the camera's frame, +X right, +Y up, +Z to the camera, metres.
        faces, faces_uv: triangles; uv: (U, 2) 0..1, origin at the top left.
        own: the bundled head's topology, which the UV prior and mirror symmetry are known for.
        skin: (F,) which triangles take skin maps.
    """

    vertices: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "f 3"]
    own: bool
    skin: Tensor


def rasterize_geometry(geometry: Geometry, camera: Camera) -> tuple[Tensor, Tensor]:
    """Rasterize triangle indices and barycentrics at every pixel of a camera."""
    flip = torch.tensor([1.0, -1.0, -1.0])
    at = Camera(camera.K, torch.eye(4), camera.width, camera.height)
    found = rasterize_mesh(geometry.vertices * flip, geometry.faces, at)
    return found.triangle, found.barycentric


def geometry_prior(geometry: Geometry, camera: Camera, side: int) -> Float[Tensor, "5 s s"]:
    """Render UV and normals of a mesh in the predictor's format."""
    triangle, bary = rasterize_geometry(geometry, camera.scaled(side / camera.width))
    on = (triangle >= 0)[..., None].float()
    t = triangle.clamp(min=0).long()
    uv = (geometry.uv[geometry.faces_uv[t]] * bary[..., None]).sum(-2)
    normal = (geometry.normals[geometry.faces[t]] * bary[..., None]).sum(-2)
    normal = torch.nn.functional.normalize(normal, dim=-1)
    return (torch.cat([uv, (normal + 1) / 2], -1) * on).permute(2, 0, 1)


def to_camera_frame(camera: Camera, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    """Transform world points to the camera's frame, +Y up and +Z to the camera."""
    T = camera.cam_from_world.to(vertices)
    return (vertices @ T[:3, :3].T + T[:3, 3]) * torch.tensor([1.0, -1.0, -1.0])


def fitted_geometry(head: HeadModel, params: HeadParams, camera: Camera) -> Geometry:
    """Return the head's geometry as it was fitted to a photo."""
    with torch.no_grad():
        v = to_camera_frame(camera, head(params))
    skin = head.part == head.part_names.index("skin")
    return Geometry(
        vertices=v,
        normals=vertex_normals(v, head.faces),
        faces=head.faces,
        uv=head.uv,
        faces_uv=head.faces_uv,
        own=True,
        skin=skin,
    )


def foreign_geometry(mesh: Path, uv: Path | None, camera: Camera, params: HeadParams | None) -> Geometry:
    """Read a user's mesh.

    Args:
        uv: another OBJ whose texture coordinates are used, with the same faces in the same order.
        params: poses the mesh, which is in our head frame then; None: it is in the camera's world already.

    Raises:
        HeadcastError: files that do not fit together.
    """
    v, faces, coordinates, faces_uv = read_obj(mesh)
    if uv is not None:
        _, others, coordinates, faces_uv = read_obj(uv)
        if len(others) != len(faces):
            raise HeadcastError(
                f"{uv}: {len(others)} triangles, but {mesh} has {len(faces)}; give the same faces"
            )
    if coordinates is None or faces_uv is None:
        raise HeadcastError(f"{mesh}: no texture coordinates (vt); unwrap it first, or give --uv FILE.obj")
    if params is not None:
        v = v @ axis_angle_to_matrix(params.rotation).T + params.translation
    v = to_camera_frame(camera, v)
    if bool((v[:, 2] > -1e-4).any()):
        raise HeadcastError(
            f"{mesh}: part of it lies behind the camera; metres and the head frame are expected"
        )
    skin = torch.ones(len(faces), dtype=torch.bool)
    return Geometry(
        vertices=v,
        normals=vertex_normals(v, faces),
        faces=faces,
        uv=coordinates,
        faces_uv=faces_uv,
        own=False,
        skin=skin,
    )


Obj = tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"], Float[Tensor, "u 2"] | None, Int[Tensor, "f 3"] | None]


def read_obj(path: Path) -> Obj:
    """Read vertices, triangles (of polygons: fans), texture coordinates (top-left origin), their triangles.

    Raises:
        HeadcastError: not a Wavefront OBJ with faces.
    """
    text = read_text(path, "OBJ", MAX_OBJ_BYTES, errors="replace")
    with parsing(path, "not a readable Wavefront OBJ", "export it again"):
        v, vt, faces, faces_uv = parse_obj(text)
        f, t = torch.tensor(faces, dtype=torch.long), torch.tensor(faces_uv, dtype=torch.long)
        points, coordinates = torch.tensor(v), torch.tensor(vt)
        if v and (points.shape[1:] != (3,) or not bool(torch.isfinite(points).all())):
            raise ValueError("vertices without three finite coordinates")
    if not faces or int(f.min()) < 0 or int(f.max()) >= len(v):
        raise HeadcastError(f"{path}: no faces that fit its vertices; give a Wavefront OBJ mesh")
    if not vt or int(t.min()) < 0 or int(t.max()) >= len(vt):
        return points, f, None, None
    return points, f, coordinates, t


class ObjLists(NamedTuple):
    """Vertices, texture coordinates, triangles and their texture coordinates, as an OBJ file lists them."""

    points: list[list[float]]
    coordinates: list[list[float]]
    faces: list[list[int]]
    faces_uv: list[list[int]]


def parse_obj(text: str) -> ObjLists:
    """Parse a Wavefront OBJ; raise ValueError or IndexError on damaged lines and on too many triangles."""
    v, vt, faces, faces_uv = out = ObjLists([], [], [], [])
    for line in text.splitlines():
        if len(line) > MAX_LINE:
            raise ValueError("a line of impossible length")
        kind, *rest = line.split() or [""]
        if kind == "v":
            v.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            vt.append([float(rest[0]), 1 - float(rest[1])])
        elif kind == "f":
            parts = [c.split("/") for c in rest]
            a = [zero_based_index(p[0], len(v)) for p in parts]
            b = [zero_based_index(p[1], len(vt)) if len(p) > 1 and p[1] else -1 for p in parts]
            for k in range(1, len(parts) - 1):
                faces.append([a[0], a[k], a[k + 1]])
                faces_uv.append([b[0], b[k], b[k + 1]])
            if len(faces) > MAX_TRIANGLES:
                raise ValueError(f"over {MAX_TRIANGLES} triangles")
    return out


def zero_based_index(word: str, count: int) -> int:
    """Convert an OBJ index (from 1, or backwards from the last) to a zero-based one."""
    i = int(word)
    return i - 1 if i > 0 else count + i


def read_camera(path: Path) -> Camera:
    """Read a camera from JSON: ``K`` (3x3, pixels), ``cam_from_world`` (4x4, OpenCV), ``size`` [w, h].

    Raises:
        HeadcastError: it holds something else.
    """
    given = load_json(path, "give K, cam_from_world and size")
    with parsing(path, "not a camera", "give K, cam_from_world and size"):
        K, pose = (torch.tensor(given[k], dtype=torch.float32) for k in ("K", "cam_from_world"))
        width, height = (int(x) for x in given["size"])
        if K.shape != (3, 3) or pose.shape != (4, 4):
            raise ValueError("K must be 3x3 and cam_from_world 4x4")
        if not (bool(torch.isfinite(K).all()) and bool(torch.isfinite(pose).all())):
            raise ValueError("not all numbers are finite")
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and K[0, 0] > 0 and K[1, 1] > 0):
            raise ValueError("a camera of no size or focal length")
    return Camera(K, pose, width, height)
