"""The FLAME model, from the user's own file: linear blend skinning with pose correctives.

Li et al., Learning a model of facial shape and expression from 4D scans, SIGGRAPH Asia 2017 (equations 1 to
3). Versions 2020 and 2023 are for research only; FLAME 2023 Open is CC-BY-4.0. No part of FLAME comes with
headcast.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.array_files import load_arrays
from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.head.foreign.raw import GROUPS, RawHead
from headcast.parsing import parsing
from headcast.rotation import axis_angle_to_matrix

__all__ = ["JOINTS", "Flame", "flame_version", "read_flame"]

JOINTS = ("root", "neck", "jaw", "eyeLeft", "eyeRight")
VERTICES, TRIANGLES, SHAPES, EXPRESSIONS = 5023, 9976, 300, 100
KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
OPEN = 0.15
"""Rotation of the jaw (radians) in the pose in which upper and lower lip are separated."""
LICENCES = {
    "FLAME 2023 Open": "CC-BY-4.0 (Max Planck Institute for Intelligent Systems); commercial use with credit",
    "FLAME 2023": "research only (Max Planck Institute for Intelligent Systems); no commercial use",
    "FLAME 2020": "research only (Max Planck Institute for Intelligent Systems); no commercial use",
    "FLAME": "version unknown; taken as research only (Max Planck Institute for Intelligent Systems)",
}


class Flame(nn.Module):
    """FLAME. V vertices, metres, +X the subject's left, +Y up, +Z out of the face.

    Buffers:
        template (V, 3); shape_basis (300, V, 3); expression_basis (100, V, 3); pose_basis (36, V, 3);
        regressor (5, V); weights (V, 5); faces (F, 3). ``parents``: of the joints, -1 for the root.
    """

    template: Tensor
    shape_basis: Tensor
    expression_basis: Tensor
    pose_basis: Tensor
    regressor: Tensor
    weights: Tensor
    faces: Tensor

    def __init__(
        self, arrays: dict[str, np.ndarray], parents: tuple[int, ...], name: str, digest: str
    ) -> None:
        super().__init__()
        for key, value in arrays.items():
            tensor = torch.from_numpy(np.array(value))
            self.register_buffer(key, tensor.long() if key == "faces" else tensor.float())
        self.parents, self.name, self.hash = parents, name, digest

    def joints(
        self, shape: Float[Tensor, "*b s"], expression: Float[Tensor, "*b e"] | None = None
    ) -> Float[Tensor, "*b 5 3"]:
        """Return joint positions at rest.

        The paper regresses them from shape alone; the authors' code, and with it published parameters, from
        shape and expression: given both, so does this.
        """
        return self.regressor @ self.rest(shape, expression)

    def rest(
        self, shape: Float[Tensor, "*b s"], expression: Float[Tensor, "*b e"] | None = None
    ) -> Float[Tensor, "*b v 3"]:
        """Return template plus shape and expression, without pose; trailing coefficients are zero."""
        v = self.template + _blend(shape, self.shape_basis)
        return v if expression is None else v + _blend(expression, self.expression_basis)

    def forward(
        self,
        shape: Float[Tensor, "*b s"],
        expression: Float[Tensor, "*b e"],
        rotation: Float[Tensor, "*b 3"],
        neck: Float[Tensor, "*b 3"],
        jaw: Float[Tensor, "*b 3"],
        eyes: Float[Tensor, "*b 6"],
        translation: Float[Tensor, "*b 3"],
    ) -> Float[Tensor, "*b v 3"]:
        """Return vertices, metres. Equation 2: T_P = T + B_S(β) + B_P(θ) + B_E(ψ); equation 1 skins it.

        Args:
            shape, expression: up to 300 and 100 coefficients, N(0, 1).
            rotation, neck, jaw: axis-angle, radians; the root turns about the root joint.
            eyes: axis-angle of the left, then the right eyeball.
        """
        rest = self.rest(shape, expression)
        joints = self.regressor @ rest
        pose = torch.stack([rotation, neck, jaw, eyes[..., :3], eyes[..., 3:]], -2)
        R = axis_angle_to_matrix(pose)
        feature = (R[..., 1:, :, :] - torch.eye(3, dtype=R.dtype, device=R.device)).flatten(-3)
        v = rest + _blend(feature, self.pose_basis)
        M = _chain_transforms(self.parents, R, joints)
        M = (self.weights @ M).unflatten(-1, (3, 4))
        return (M[..., :3] @ v[..., None])[..., 0] + M[..., 3] + translation[..., None, :]

    def posed(self, **given: Tensor) -> Float[Tensor, "*b v 3"]:
        """Call ``forward`` with parameters that are not given at zero."""
        batch = next(iter(given.values())).shape[:-1] if given else ()
        sizes = {"shape": 1, "expression": 1, "rotation": 3, "neck": 3, "jaw": 3, "eyes": 6, "translation": 3}
        like = self.template
        full = {k: given.get(k, torch.zeros(*batch, n, dtype=like.dtype)) for k, n in sizes.items()}
        return self.forward(**full)

    def raw(self) -> RawHead:
        """Return FLAME as a foreign head: its skin and its own eyeballs."""
        faces = self.faces.numpy()
        neutral = self.template.double().numpy()
        joints = self.regressor.double() @ self.template.double()
        moved = (self.regressor.double() @ self.shape_basis.double()).numpy()
        jaw = torch.tensor([OPEN, 0.0, 0.0], dtype=self.template.dtype)
        return RawHead(
            name=self.name,
            licence=LICENCES[self.name],
            hash=self.hash,
            neutral=neutral,
            faces=faces,
            group=_groups(faces, neutral),
            identity=self.shape_basis.double().numpy(),
            opened=self.posed(jaw=jaw).double().numpy(),
            eyes=joints[3:5].numpy(),
            eye_identity=moved[:, 3:5],
            jaw=joints[2].numpy(),
            jaw_identity=moved[:, 2],
        )


def _chain_transforms(parents: tuple[int, ...], R: Tensor, joints: Tensor) -> Tensor:
    """Return each joint's transform (3 x 4, flat) from rest to pose."""
    chain: list[tuple[Tensor, Tensor]] = []
    for j, parent in enumerate(parents):
        A = R[..., j, :, :]
        t = joints[..., j, :] - (A @ joints[..., j, :, None])[..., 0]
        if parent >= 0:
            Rp, tp = chain[parent]
            A, t = Rp @ A, (Rp @ t[..., None])[..., 0] + tp
        chain.append((A, t))
    return torch.stack([torch.cat([A, t[..., None]], -1) for A, t in chain], -3).flatten(-2)


def _blend(weights: Float[Tensor, "*b k"], basis: Float[Tensor, "n v 3"]) -> Float[Tensor, "*b v 3"]:
    k = weights.shape[-1]
    return (weights @ basis[:k].flatten(1)).unflatten(-1, basis.shape[1:])


def _groups(faces: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Label skin and eyeballs by connected components of the mesh; the largest is skin."""
    label = np.arange(len(vertices))
    while True:
        low = label[faces].min(1)
        new = label.copy()
        for k in range(3):
            np.minimum.at(new, faces[:, k], low)
        if (new == label).all():
            break
        label = new[new]
    piece = label[faces[:, 0]]
    names, count = np.unique(piece, return_counts=True)
    skin = names[count.argmax()]
    side = {n: vertices[label == n, 0].mean() > 0 for n in names}
    eye = np.array([GROUPS.index("eyeLeft" if side[n] else "eyeRight") for n in names])
    return np.where(piece == skin, GROUPS.index("skin"), eye[np.searchsorted(names, piece)])


def flame_version(path: Path) -> str:
    """Return the FLAME version by the file's name; the files themselves have the same format."""
    name = path.name.lower()
    if "2023" in name:
        return "FLAME 2023 Open" if "open" in name else "FLAME 2023"
    return "FLAME 2020" if "2020" in str(path.absolute()).lower() else "FLAME"


def read_flame(path: str | Path) -> Flame:
    """Read FLAME from the publisher's pickle (opened without running it) or from an npz of the same arrays.

    Raises:
        HeadcastError: not FLAME, or of unexpected shapes.
    """
    path = Path(path)
    check_readable(path, "FLAME .pkl or .npz")
    found = _content(path)
    missing = [k for k in KEYS if k not in found]
    if missing:
        raise HeadcastError(
            f"{path}: has no '{missing[0]}'; give FLAME's own .pkl (not its masks or textures)"
        )
    arrays = {k: _array(found[k], k, path) for k in KEYS}
    faces, parents = _check_arrays(path, arrays)
    basis = np.moveaxis(arrays["shapedirs"], -1, 0)
    tensors = {
        "template": arrays["v_template"],
        "shape_basis": basis[:SHAPES],
        "expression_basis": basis[SHAPES:],
        "pose_basis": np.moveaxis(arrays["posedirs"], -1, 0),
        "regressor": arrays["J_regressor"],
        "weights": arrays["weights"],
        "faces": faces,
    }
    with parsing(path, "cannot be read", "check the file"), path.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()[:16]
    return Flame(tensors, (-1, *map(int, parents[1:])), flame_version(path), digest)


def _check_arrays(path: str | Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Raise an error for arrays of unexpected shapes or contents; return triangles and parents."""
    shapes = {
        "v_template": (VERTICES, 3),
        "f": (TRIANGLES, 3),
        "shapedirs": (VERTICES, 3, SHAPES + EXPRESSIONS),
        "posedirs": (VERTICES, 3, 36),
        "J_regressor": (5, VERTICES),
        "weights": (VERTICES, 5),
        "kintree_table": (2, 5),
    }
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise HeadcastError(f"{path}: '{key}' has the shape {arrays[key].shape}, FLAME's is {shape}")
        if not np.isfinite(arrays[key]).all():
            raise HeadcastError(f"{path}: '{key}' holds invalid numbers; get the file again")
    faces, parents = arrays["f"].astype(np.int64), arrays["kintree_table"][0].astype(np.int64)
    if (
        faces.min() < 0
        or faces.max() >= VERTICES
        or any(not 0 <= p < j for j, p in enumerate(parents[1:], 1))
    ):
        raise HeadcastError(f"{path}: triangles or joints are invalid; get the file again")
    return faces, parents


def _content(path: Path) -> dict[str, Any]:
    """Read the arrays of a file by name."""
    if path.suffix.lower() == ".npz":
        return dict(load_arrays(path, KEYS, "give FLAME's .pkl"))
    from headcast.pickles import load_restricted

    found = load_restricted(path, keep_unknown=True)
    if not isinstance(found, dict):
        raise HeadcastError(f"{path}: holds no dictionary of arrays; give FLAME's own .pkl")
    return found


def _array(value: Any, key: str, path: Path) -> np.ndarray:
    """Convert to plain numbers from an array or a sparse matrix."""
    from headcast.pickles import Sparse

    dense = value.dense() if isinstance(value, Sparse) else value
    if not isinstance(dense, np.ndarray) or dense.dtype.kind not in "fiu":
        raise HeadcastError(f"{path}: '{key}' is not a numeric array; get the file again")
    return dense
