"""INSTA's data sets: a folder of images, tracked meshes and ``transforms.json``.

Its writer stores camera-to-world matrices in OpenCV axes, its reader takes them for OpenGL's. Which of the
two a folder holds is settled by looking: the meshes are laid over the images, and the better overlay wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.parsing import load_json, parsing, read_text
from headcast.render.mesh import rasterize_mesh

__all__ = ["Convention", "InstaDataset", "InstaFrame", "overlay_score", "read_insta_folder"]

Convention = Literal["opencv", "opengl"]
REMEDY = "give a folder as INSTA's scripts write it: transforms.json, images, meshes"
FILES = ("transforms.json", "transforms_train.json")
CHECKED_FRAMES = 5  # whose overlays settle the convention
MIN_OVERLAP = 0.25  # intersection over union of mesh and matte, below which neither convention fits
MAX_OBJ_BYTES = 64 << 20


class InstaFrame(NamedTuple):
    """One frame: its image's file, its camera, and the tracked mesh in the world.

    Attributes:
        vertices: (V, 3) metres.
    """

    image: Path
    camera: Camera
    vertices: Float[Tensor, "v 3"]


class InstaDataset(NamedTuple):
    """Frames of one person, the meshes' triangles, and the convention that the overlay settled."""

    frames: list[InstaFrame]
    faces: Int[Tensor, "f 3"]
    convention: Convention


def read_insta_folder(folder: str | Path, limit: int | None = None) -> InstaDataset:
    """Read a folder of INSTA's format.

    Args:
        limit: read at most so many frames, spread evenly.

    Raises:
        HeadcastError: files are missing or damaged, or no convention lays the meshes over the images.
    """
    folder = Path(folder)
    path = next((folder / n for n in FILES if (folder / n).is_file()), folder / FILES[0])
    content = load_json(path, REMEDY)
    with parsing(path, "not INSTA's transforms", REMEDY):
        entries = list(content["frames"])
        if not entries:
            raise ValueError("no frames")
        chosen = (
            np.linspace(0, len(entries) - 1, min(limit or len(entries), len(entries))).round().astype(int)
        )
        raw = [(entries[k], np.asarray(entries[k]["transform_matrix"], np.float64)) for k in chosen]
        if any(m.shape != (4, 4) or not np.isfinite(m).all() for _, m in raw):
            raise ValueError("a transform_matrix is no 4x4 of numbers")
        places = [(_inside(folder, e["file_path"]), _inside(folder, e["mesh_path"])) for e, _ in raw]
    meshes = [_read_obj(mesh) for _, mesh in places]
    if any(len(v) != len(meshes[0][0]) for v, _ in meshes):
        raise HeadcastError(f"{folder}: its meshes have different numbers of vertices; {REMEDY}")

    def frames_in(convention: Convention) -> list[InstaFrame]:
        with parsing(path, "not INSTA's transforms", REMEDY):
            cameras = [to_camera(content, matrix, convention) for _, matrix in raw]
        return [
            InstaFrame(image, camera, vertices)
            for (image, _), camera, (vertices, _) in zip(places, cameras, meshes, strict=True)
        ]

    faces = meshes[0][1]
    found = {c: frames_in(c) for c in get_args(Convention)}
    scores = {c: overlay_score(frames, faces) for c, frames in found.items()}
    best: Convention = max(scores, key=lambda c: scores[c])
    if scores[best] < MIN_OVERLAP:
        raise HeadcastError(f"{folder}: its meshes do not lie over its images in any convention; {REMEDY}")
    return InstaDataset(found[best], faces, best)


def to_camera(content: dict[str, Any], matrix: Float[np.ndarray, "4 4"], convention: Convention) -> Camera:
    """Make a camera of a camera-to-world matrix in the axes of a convention."""
    cam_to_world = matrix.copy()
    if convention == "opengl":
        cam_to_world[:3, 1:3] *= -1
    K = torch.tensor(
        [
            [float(content["fl_x"]), 0.0, float(content["cx"])],
            [0.0, float(content["fl_y"]), float(content["cy"])],
            [0.0, 0.0, 1.0],
        ]
    )
    pose = torch.from_numpy(np.linalg.inv(cam_to_world)).float()
    return Camera(K, pose, int(content["w"]), int(content["h"]))


def overlay_score(frames: Sequence[InstaFrame], faces: Int[Tensor, "f 3"]) -> float:
    """Return the mean intersection over union of projected meshes and the images' mattes, of a few frames."""
    chosen = np.linspace(0, len(frames) - 1, min(CHECKED_FRAMES, len(frames))).round().astype(int)
    scores = []
    for k in chosen:
        frame = frames[k]
        matte = read_matte(frame.image)
        if float(frame.camera.to_camera(frame.vertices)[:, 2].min()) <= 0:
            scores.append(0.0)
            continue
        mesh = rasterize_mesh(frame.vertices, faces, frame.camera).triangle.numpy() >= 0
        if mesh.shape != matte.shape:
            raise HeadcastError(f"{frame.image}: is not of the size that transforms.json says; {REMEDY}")
        person = matte > 127
        scores.append(float((mesh & person).sum() / max((mesh | person).sum(), 1)))
    return float(np.mean(scores))


def read_matte(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Read an image's alpha; the images of INSTA are cut out.

    Raises:
        HeadcastError: unreadable, or without transparency.
    """
    from headcast.image import load_image

    alpha = load_image(path).alpha
    if alpha is None:
        raise HeadcastError(f"{path}: has no transparency; {REMEDY}")
    return alpha


def _read_obj(path: Path) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]:
    """Read vertices and triangles of a Wavefront file.

    Raises:
        HeadcastError: unreadable, or not of triangles.
    """
    lines = read_text(path, "OBJ", MAX_OBJ_BYTES).splitlines()
    with parsing(path, "not a readable OBJ of triangles", REMEDY):
        points = [[float(x) for x in line.split()[1:4]] for line in lines if line.startswith("v ")]
        corners = [line.split()[1:] for line in lines if line.startswith("f ")]
        faces = np.array([[int(c.split("/")[0]) - 1 for c in f] for f in corners], np.int64)
        vertices = np.array(points, np.float32)
        if vertices.ndim != 2 or faces.ndim != 2 or vertices.shape[1] != 3 or faces.shape[1] != 3:
            raise ValueError("vertices or triangles are missing")
        if not np.isfinite(vertices).all() or not 0 <= faces.min() <= faces.max() < len(vertices):
            raise ValueError("triangles of vertices that are not there")
    return torch.from_numpy(vertices), torch.from_numpy(faces)


def _inside(folder: Path, name: object) -> Path:
    """Return a file of the folder by its stored path; names that lead out of it are refused."""
    path = (folder / str(name)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"'{name}' lies outside the folder")
    return path
