"""ICT-FaceKit (Face Model Light, MIT) as a ``RawHead``: the folder of OBJ files, or its repack as one npz.

Li et al., Learning Formation of Physically-Based Face Attributes, CVPR 2020. Centimetres in the files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.array_files import load_arrays
from headcast.errors import HeadcastError
from headcast.head.foreign.raw import GROUPS, RawHead
from headcast.head.names import EXPRESSIONS
from headcast.parsing import parsing, read_text

__all__ = ["read_ict"]

VERTICES, POLYGONS = 26719, 26384
PARTS = {
    "skin": ((0, 11144), (13226, 14034)),
    "mouth": ((11144, 13226), (14034, 21496)),
}
"""Polygons by group: face, head and neck, eye sockets; mouth socket, gums, tongue, teeth. Eyeballs are
replaced by ours, which turn; lashes and the transparent shells around the eyes are dropped."""
SCLERA = ((21451, 22221), (23021, 23791))
WHOLE = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
MAX_OBJ_BYTES = 1 << 26
MAX_MODES = 1000
MAX_CM = 1e4
OPEN = 0.3
"""jawOpen of the pose in which upper and lower lip are separated."""


def read_ict(path: str | Path) -> RawHead:
    """Read the head from a folder (of OBJ files, or with the npz in it) or an npz file.

    Raises:
        HeadcastError: not ICT-FaceKit, or parts are missing.
    """
    path = Path(path)
    if path.is_dir() and not (path / "generic_neutral_mesh.obj").is_file():
        found = [*path.glob("ict*.npz"), *path.glob("FaceXModel/generic_neutral_mesh.obj")]
        if not found:
            raise HeadcastError(
                f"{path}: no ICT-FaceKit here; give the folder with generic_neutral_mesh.obj, or its npz"
            )
        path = found[0] if found[0].suffix == ".npz" else found[0].parent
    if not path.exists():
        raise HeadcastError(
            f"{path}: no such file or folder; give ICT-FaceKit's FaceXModel folder or its npz"
        )
    neutral, polys, identity, shapes, digest = _npz(path) if path.suffix == ".npz" else _folder(path)
    if neutral.shape != (VERTICES, 3) or len(polys) != POLYGONS:
        raise HeadcastError(
            f"{path}: {len(neutral)} vertices and {len(polys)} polygons; ICT has {VERTICES}, {POLYGONS}"
        )
    _check_shapes(path, polys, (neutral, *shapes.values()), identity)
    return _raw(neutral * 0.01, polys, identity * 0.01, {k: v * 0.01 for k, v in shapes.items()}, digest)


def _check_shapes(
    path: Path, polys: np.ndarray, shapes: tuple[np.ndarray, ...], identity: np.ndarray
) -> None:
    """Raise if polygons point outside of the vertices, or a shape is not finite or of other vertices."""
    fits = identity.ndim == 3 and identity.shape[1:] == (VERTICES, 3) and len(identity) > 0
    if not fits or any(s.shape != (VERTICES, 3) for s in shapes) or polys.shape != (POLYGONS, 4):
        raise HeadcastError(f"{path}: its shapes are not of ICT-FaceKit's vertices; get it again")
    if polys[:, :3].min() < 0 or polys.min() < -1 or polys.max() >= VERTICES:
        raise HeadcastError(f"{path}: its polygons point outside of its vertices; get it again")
    if not all(np.isfinite(s).all() and np.abs(s).max() < MAX_CM for s in (*shapes, identity)):
        raise HeadcastError(f"{path}: its shapes hold invalid numbers; get it again")


def _raw(
    neutral: np.ndarray, polys: np.ndarray, identity: np.ndarray, shapes: dict[str, np.ndarray], digest: str
) -> RawHead:
    """Assemble triangles, groups and eyes into a ``RawHead``."""
    pieces, groups = [], []
    for group, ranges in PARTS.items():
        rows = np.concatenate([polys[a:b] for a, b in ranges])
        quads = rows[rows[:, 3] >= 0]
        triangles = np.concatenate([rows[:, :3], quads[:, [0, 2, 3]]])
        pieces.append(triangles)
        groups.append(np.full(len(triangles), GROUPS.index(group)))
    faces = np.concatenate(pieces)
    used, faces = np.unique(faces, return_inverse=True)
    eyes, eye_identity = zip(*(_eye(neutral, identity, *r) for r in SCLERA), strict=True)
    expression = {name: _shape(shapes, name)[used] for name in EXPRESSIONS if name != "tongueOut"}
    return RawHead(
        name="ICT-FaceKit",
        licence="MIT (USC Institute for Creative Technologies)",
        hash=digest,
        neutral=neutral[used],
        faces=faces.reshape(-1, 3),
        group=np.concatenate(groups),
        identity=identity[:, used],
        opened=neutral[used] + OPEN * expression["jawOpen"],
        eyes=np.stack(eyes),
        eye_identity=np.stack(eye_identity, 1),
        expression=expression,
    )


def _eye(neutral: np.ndarray, identity: np.ndarray, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit the centre of a sphere through the back of the sclera, and how identity moves it."""
    p = neutral[start:end]
    back = p[p[:, 2] < np.quantile(p[:, 2], 0.5)]
    A = np.concatenate([2 * back, np.ones((len(back), 1))], 1)
    centre = np.linalg.lstsq(A, (back**2).sum(1), rcond=None)[0][:3]
    return centre, identity[:, start:end].mean(1)


def shape_keys(name: str) -> list[str]:
    """Return ICT-FaceKit's names of an ARKit expression; two where its files split it."""
    if name in ("browInnerUp", "cheekPuff"):
        return [f"{name}_L", f"{name}_R"]
    if name not in WHOLE and name.endswith(("Left", "Right")):
        return [name.replace("Left", "_L").replace("Right", "_R")]
    return [name]


def _shape(shapes: dict[str, np.ndarray], name: str) -> Float[np.ndarray, "v 3"]:
    """Return a displacement by ARKit name; shapes that the files split are added."""
    keys = shape_keys(name)
    missing = [k for k in keys if k not in shapes]
    if missing:
        raise HeadcastError(f"ICT-FaceKit: the shape '{missing[0]}' is missing; get the whole folder again")
    return sum((shapes[k] for k in keys), np.zeros((VERTICES, 3)))


class _Shapes(NamedTuple):
    """ICT-FaceKit as read, centimetres: neutral, polygons, identity and expression shapes, hash."""

    neutral: np.ndarray
    polygons: np.ndarray
    identity: np.ndarray
    expressions: dict[str, np.ndarray]
    digest: str


def _npz(path: Path) -> _Shapes:
    remedy = "give its FaceXModel folder"
    d = load_arrays(path, ("expression_basis", "neutral", "polys", "identity_basis"), remedy)
    d |= load_arrays(path, ("expression_names",), remedy, kinds="US")
    with parsing(path, "not a repack of ICT-FaceKit", remedy):
        names = [str(n) for n in d["expression_names"].ravel()]
        shapes = dict(zip(names, d["expression_basis"].astype(np.float64), strict=True))
        arrays = d["neutral"].astype(np.float64), d["polys"].astype(np.int64)
        identity = d["identity_basis"].astype(np.float64)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return _Shapes(*arrays, identity, shapes, digest)


def _folder(path: Path) -> _Shapes:
    neutral, polys = _obj(path / "generic_neutral_mesh.obj", True)
    modes = sorted(path.glob("identity*.obj"))
    if not modes:
        raise HeadcastError(f"{path}: no identity000.obj and so on; get the whole FaceXModel folder")
    if len(modes) > MAX_MODES:
        raise HeadcastError(f"{path}: {len(modes)} identity*.obj; get the whole FaceXModel folder")
    identity = np.stack([_offsets(p, neutral) for p in modes])
    known = {k for n in EXPRESSIONS for k in shape_keys(n)}
    shapes = {k: _offsets(path / f"{k}.obj", neutral) for k in sorted(known) if (path / f"{k}.obj").is_file()}
    digest = hashlib.sha256(neutral.tobytes() + identity.tobytes()).hexdigest()[:16]
    return _Shapes(neutral, polys, identity, shapes, digest)


def _obj(path: Path, with_polys: bool = False) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "p 4"]]:
    """Read vertices and, if asked for, polygons (-1 in the last column of triangles) of an OBJ file."""
    vertices, polys = [], []
    text = read_text(path, "OBJ", MAX_OBJ_BYTES, errors="replace")
    with parsing(path, "not a readable OBJ file", "get ICT-FaceKit again"):
        for line in text.splitlines():
            if line.startswith("v "):
                vertices.append([float(x) for x in line.split()[1:4]])
            elif with_polys and line.startswith("f "):
                corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:5]]
                polys.append(corners if len(corners) == 4 else [*corners, -1])
        return np.array(vertices).reshape(-1, 3), np.array(polys, np.int64).reshape(-1, 4)


def _offsets(path: Path, neutral: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Read a shape's displacements from the neutral head."""
    found = _obj(path)[0]
    if found.shape != neutral.shape:
        raise HeadcastError(f"{path}: {len(found)} vertices, the neutral head has {len(neutral)}")
    return found - neutral
