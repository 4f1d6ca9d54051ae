"""Import what GaussianAvatars (Qian et al., CVPR 2024) saves: ``point_cloud.ply`` and ``flame_param.npz``.

Gaussians lie in the frames of FLAME's triangles, as ours do (``avatar.rig``); FLAME itself comes from the
user's file. Colours hold the light of the capture: the imported avatar's light is white and even.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.array_files import load_arrays
from headcast.avatar.bound import BoundHead, bind_head
from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.provenance import Provenance, head_weights
from headcast.avatar.rig import Gaussians
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.head.flame import TRIANGLES, VERTICES, read_flame
from headcast.head.foreign.known import foreign_head, placement_of
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.parsing import parsing
from headcast.progress import Progress
from headcast.render.shading import ambient
from headcast.view import front_view

__all__ = ["Imported", "RiggedPly", "read_gaussian_avatars", "read_rigged_ply"]

SH_C0 = 0.28209479177387814
OWN = "comment headcast "
"""In the header of a PLY that we wrote."""
WITH_TEETH = 5143
"""Vertices of FLAME with the procedural teeth that GaussianAvatars adds."""
MAX_GAUSSIANS = 1 << 20
MAX_HEADER = 1 << 16
MAX_COORDINATE = 1e4  # in sizes of a triangle
BRIGHTEST = 1.4  # albedo: shadows of the mouth are divided out, and put back when rendered
DARKEST = 0.05  # openness
MOUTH = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
TYPES = {
    **{"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
    **{"uchar": "u1", "uint8": "u1", "char": "i1", "int8": "i1", "short": "<i2", "int16": "<i2"},
    **{"ushort": "<u2", "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4"},
}
REMEDY = "give the point_cloud.ply that GaussianAvatars saved"


@dataclass(frozen=True)
class RiggedPly:
    """The Gaussians of a rigged PLY; ``binding`` counts FLAME's triangles, then those of the teeth.

    Attributes:
        gaussians: in the frames of triangles; albedo holds the file's colours, display values.
        view_dependent: whether the file had spherical harmonics above degree 0, which are dropped.
        is_own: whether we wrote it: triangles beyond FLAME's are then those of our head of FLAME.
    """

    gaussians: Gaussians
    view_dependent: bool
    is_own: bool


class Imported(NamedTuple):
    """An imported avatar, and what the user should know."""

    avatar: GaussianAvatar
    notes: tuple[str, ...]


def read_gaussian_avatars(
    ply: Path, flame_params: Path | None, flame: Path | None, progress: Progress | None = None
) -> Imported:
    """Import an avatar of GaussianAvatars.

    Args:
        flame_params: the ``flame_param.npz`` beside the PLY: shape and static offset of the person.
        flame: the user's FLAME file, of the version that the avatar was made with.

    Raises:
        HeadcastError: a file is missing, damaged, or of another kind or edition.
    """
    read = read_rigged_ply(ply)
    if flame_params is None:
        raise HeadcastError(f"{ply}: says nothing of the person's head; add --flame-params flame_param.npz")
    if flame is None:
        raise HeadcastError(f"{ply}: is bound to FLAME; add --flame with your FLAME file of the same version")
    head, identity = personal_head(flame_params, flame, progress)
    if read.is_own and int(read.gaussians.triangle.max()) < len(head.faces):
        gaussians, moved = read.gaussians, 0
    else:
        gaussians, moved = bind_teeth(read.gaussians, head, ply)
    params = HeadParams.neutral(head.identities).replace(identity=identity)
    texture = np.full((512, 512, 3), 128, np.uint8)
    source = SourceView(Camera.make(1000.0, 512, 512), params, ambient())
    warnings = tuple(import_notes(read, moved))
    made = Provenance(
        method="GaussianAvatars, imported",
        photos=0,
        weights=(head_weights(head), {"name": "GaussianAvatars result", "licence": "its maker's"}),
        warnings=warnings,
    )
    avatar = GaussianAvatar(MeshAvatar(bound=BoundHead(head, source, made), texture=texture), gaussians)
    view = front_view(avatar, (512, 512))
    source = SourceView(view.camera, view.params, ambient())
    avatar = GaussianAvatar(MeshAvatar(bound=BoundHead(head, source, made), texture=texture), gaussians)
    return Imported(without_openness(avatar), warnings)


def import_notes(read: RiggedPly, moved: int) -> list[str]:
    """Describe what the import left out, one sentence each."""
    notes = []
    if moved:
        notes.append(f"{moved} Gaussians of procedural teeth, which FLAME lacks, are bound to our teeth")
    if read.view_dependent:
        notes.append("colours that depend on the view (spherical harmonics above degree 0) are dropped")
    return notes


def personal_head(
    flame_params: Path, flame: Path, progress: Progress | None = None
) -> tuple[HeadModel, Float[Tensor, "i"]]:
    """Return FLAME as a head model bound to the person's rest shape, and its identity coefficients.

    Raises:
        HeadcastError: the parameters are of another FLAME edition.
    """
    shape, offset = read_personal_shape(flame_params)
    model = read_flame(flame)
    head = foreign_head("flame", flame, progress)
    rotation, _ = placement_of(head)
    delta = torch.tensordot(shape, model.shape_basis[: len(shape)], 1) + offset
    delta = (delta @ rotation.T).double()
    basis = head.identity_basis[:, :VERTICES].double()
    flat = basis.flatten(1)
    gram = flat @ flat.T
    ridge = 1e-9 * float(gram.diagonal().mean()) * torch.eye(len(gram), dtype=torch.float64)
    identity = torch.linalg.solve(gram + ridge, flat @ delta.flatten()).float()
    rest = torch.zeros_like(head.neutral)
    rest[:VERTICES] = (delta - torch.tensordot(identity.double(), basis, 1)).float()
    return bind_head(head, rest), identity


def read_personal_shape(path: Path) -> tuple[Float[Tensor, "s"], Float[Tensor, "v 3"]]:
    """Return shape coefficients and the static offset of FLAME's own vertices, metres.

    Raises:
        HeadcastError: unreadable, no shape, or offsets of another edition's vertices.
    """
    found = load_arrays(path, ("shape", "static_offset"), "give GaussianAvatars' flame_param.npz")
    if "shape" not in found:
        raise HeadcastError(f"{path}: has no 'shape'; give the flame_param.npz that GaussianAvatars saved")
    shape = found["shape"].astype(np.float32).reshape(-1)
    offset = found.get("static_offset", np.zeros((VERTICES, 3))).astype(np.float32)
    if offset.ndim == 3 and len(offset) == 1:
        offset = offset[0]
    if not 1 <= len(shape) <= 300:
        raise HeadcastError(f"{path}: 'shape' has {len(shape)} coefficients; FLAME has 300")
    if offset.ndim != 2 or offset.shape not in ((VERTICES, 3), (WITH_TEETH, 3)):
        raise HeadcastError(
            f"{path}: 'static_offset' has the shape {offset.shape}; FLAME 2020 and 2023 have {VERTICES} "
            f"vertices, {WITH_TEETH} with teeth: give the file of the same FLAME edition"
        )
    if not (np.isfinite(shape).all() and np.isfinite(offset).all()):
        raise HeadcastError(f"{path}: holds numbers that are not finite; export it again")
    return torch.from_numpy(shape), torch.from_numpy(np.ascontiguousarray(offset[:VERTICES]))


def bind_teeth(gaussians: Gaussians, head: HeadModel, ply: Path) -> tuple[Gaussians, int]:
    """Bind Gaussians of the procedural teeth to the mouth's triangles; return how many there were.

    Where those teeth lie is not in the files: from one end of their triangles to the other they are laid over
    ours, sorted from the right to the left of the mouth.

    Raises:
        HeadcastError: bindings that no FLAME has.
    """
    most = int(gaussians.triangle.max())
    extra = gaussians.triangle >= TRIANGLES
    limit = TRIANGLES + 4 * (WITH_TEETH - VERTICES)
    if most >= limit:
        raise HeadcastError(
            f"{ply}: is bound to triangle {most}; FLAME has {TRIANGLES}, with teeth fewer than {limit}: it "
            "was made with another mesh"
        )
    if not bool(extra.any()):
        return gaussians, 0
    available = [n for n in MOUTH if n in head.part_names and len(head.part_faces(n))]
    mouth = torch.cat([head.part_faces(n) for n in available[:2]])
    ordered = mouth[head.neutral[head.faces[mouth]].mean(1)[:, 0].argsort()]
    fraction = (gaussians.triangle[extra] - TRIANGLES).double() / max(most - TRIANGLES, 1)
    triangle = gaussians.triangle.clone()
    triangle[extra] = ordered[(fraction * (len(ordered) - 1)).round().long()]
    fields = {k: getattr(gaussians, k) for k in Gaussians.__dataclass_fields__}
    return Gaussians(**{**fields, "triangle": triangle}), int(extra.sum())


def without_openness(avatar: GaussianAvatar) -> GaussianAvatar:
    """Divide out the shadow that our renderer adds inside the mouth: the file's colours hold their own."""
    with torch.no_grad():
        at_rest = HeadParams.neutral(avatar.head.identities).replace(identity=avatar.mesh.identity)
        _, openness = avatar.surface_shading(avatar.mesh.surface.posed(at_rest))
        linear = srgb_to_linear(avatar.gaussians.albedo.clamp(min=0)) / openness.clamp(min=DARKEST)[:, None]
        albedo = linear_to_srgb(linear).clamp(0, BRIGHTEST)
    fields = {k: getattr(avatar.gaussians, k) for k in Gaussians.__dataclass_fields__}
    return GaussianAvatar(avatar.mesh, Gaussians(**{**fields, "albedo": albedo}))


def read_rigged_ply(path: Path) -> RiggedPly:
    """Read the Gaussians of a rigged PLY.

    Raises:
        HeadcastError: no binary PLY of Gaussians, none in it, no binding, or numbers that are not finite.
    """
    rows, comments = read_vertices(path)
    names = rows.dtype.names or ()
    if "binding_0" not in names:
        raise HeadcastError(
            f"{path}: has no binding_0: its Gaussians belong to no head and cannot be animated; {REMEDY}"
        )
    columns = {
        "position": ("x", "y", "z"),
        "albedo": ("f_dc_0", "f_dc_1", "f_dc_2"),
        "log_scale": ("scale_0", "scale_1", "scale_2"),
        "quaternion": ("rot_0", "rot_1", "rot_2", "rot_3"),
        "opacity": ("opacity",),
        "triangle": ("binding_0",),
    }
    missing = [c for wanted in columns.values() for c in wanted if c not in names]
    if missing:
        raise HeadcastError(f"{path}: has no '{missing[0]}'; {REMEDY}")
    arrays = {k: np.stack([rows[c] for c in v], 1).astype(np.float64) for k, v in columns.items()}
    check_values(path, arrays)
    tensors = {k: torch.from_numpy(v).float() for k, v in arrays.items()}
    gaussians = Gaussians(
        triangle=torch.from_numpy(arrays["triangle"][:, 0]).round().long(),
        position=tensors["position"],
        quaternion=torch.nn.functional.normalize(tensors["quaternion"], dim=-1),
        log_scale=tensors["log_scale"],
        opacity=tensors["opacity"][:, 0],
        albedo=(SH_C0 * tensors["albedo"] + 0.5).clamp(0, 1),
    )
    higher = [n for n in names if n.startswith("f_rest_")]
    return RiggedPly(gaussians, any(bool((rows[n] != 0).any()) for n in higher), OWN in comments)


def check_values(path: Path, arrays: dict[str, Float[np.ndarray, "n k"]]) -> None:
    """Refuse Gaussians that are not finite, lie absurdly far away or have no direction.

    Raises:
        HeadcastError: how many of them are so.
    """
    count = len(arrays["position"])
    broken = np.zeros(count, bool)
    for values in arrays.values():
        broken |= ~np.isfinite(values).all(1) | (np.abs(values) > 1e6).any(1)
    broken |= (np.abs(arrays["position"]) > MAX_COORDINATE).any(1)
    broken |= np.linalg.norm(arrays["quaternion"], axis=1) < 1e-6
    broken |= arrays["triangle"][:, 0] < 0
    if broken.any():
        raise HeadcastError(
            f"{path}: {int(broken.sum())} of {count} Gaussians hold numbers that are not finite or "
            "senseless; export it again"
        )


def read_vertices(path: Path) -> tuple[np.ndarray, str]:
    """Return the rows of the element ``vertex`` of a binary little-endian PLY, and its header.

    Raises:
        HeadcastError: another file, or damaged.
    """
    check_readable(path, "PLY")
    with parsing(path, "not a readable PLY of Gaussians", REMEDY), path.open("rb") as f:
        head = f.read(MAX_HEADER)
        end = head.find(b"end_header")
        if not head.startswith(b"ply") or end < 0:
            raise ValueError("it has no PLY header")
        header = head[:end].decode("ascii", "replace")
        kind, count = header_of(header)
        start = head.index(b"\n", end) + 1
        f.seek(start)
        body = f.read(count * kind.itemsize)
    if not count:
        raise HeadcastError(f"{path}: holds no Gaussians; {REMEDY}")
    if len(body) < count * kind.itemsize:
        raise HeadcastError(f"{path}: ends early, after {len(body)} bytes of Gaussians; copy it again")
    return np.frombuffer(body, kind), header


def header_of(text: str) -> tuple[np.dtype, int]:
    """Return the rows' type and number of the first element, which must be ``vertex``."""
    fields: list[tuple[str, str]] = []
    count, elements = 0, 0
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"] and words[1:2] != ["binary_little_endian"]:
            raise ValueError(f"format {' '.join(words[1:])}; only binary_little_endian is read")
        if words[:1] == ["element"]:
            elements += 1
            if elements == 1 and words[1] != "vertex":
                raise ValueError("its first element is not 'vertex'")
            count = int(words[2]) if elements == 1 else count
        if words[:1] == ["property"] and elements == 1:
            if words[1] not in TYPES:
                raise ValueError(f"property of type {words[1]}")
            fields.append((words[2], TYPES[words[1]]))
    if not 0 <= count <= MAX_GAUSSIANS:
        raise ValueError(f"{count} Gaussians; at most {MAX_GAUSSIANS}")
    return np.dtype(fields), count
