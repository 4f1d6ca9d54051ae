"""Motion from FLAME parameters, as trackers such as VHAP and GaussianAvatars store them."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.array_files import array_names, load_arrays
from headcast.errors import HeadcastError
from headcast.motion.clip import Motion
from headcast.parsing import short_reason
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle

__all__ = ["read_flame_npz"]

FPS = 30.0
MOVES = {"expr": 100, "jaw_pose": 3, "neck_pose": 3, "eyes_pose": 6, "rotation": 3}
"""What moves a head, and how many numbers a frame."""
STILL = (
    "shape",
    "translation",
    "static_offset",
    "dynamic_offset",
    "focal_length",
    "timestep_id",
    "T",
    "n_processed_frames",
    "tex",
    "tex_extra",
    "lights",
    "image_size",
)
"""What the same files may hold and a motion does not need."""
LARGEST = 100.0
MAX_BYTES = 1 << 28  # of one file's arrays: over 250,000 frames


def read_flame_npz(path: str | Path, flame_file: str | Path | None) -> Motion:
    """Read expression, gaze and head rotation of a FLAME sequence.

    Args:
        path: an npz with ``expr`` (T, 100), ``jaw_pose`` (T, 3), ``neck_pose``, ``eyes_pose`` (T, 6),
            ``rotation``; or a folder of one such file a frame (``flame_param``).
        flame_file: the user's FLAME of the same version: it alone knows what the coefficients mean.

    Raises:
        HeadcastError: no FLAME file given, unknown keys, shapes that make no sense.
    """
    path = Path(path)
    if flame_file is None:
        raise HeadcastError(
            f"{path}: holds FLAME coefficients, which only FLAME itself explains; add --flame with your "
            "FLAME file of the same version"
        )
    from headcast.head.flame import read_flame
    from headcast.head.foreign.known import foreign_head, placement_of
    from headcast.head.foreign.maps import flame_to_arkit

    values = read_parameters(path)
    head = foreign_head("flame", flame_file)
    rotation, _ = placement_of(head)
    expression = flame_to_arkit(read_flame(flame_file), head, rotation, values["expr"], values["jaw_pose"])
    eyes = torch.from_numpy(values["eyes_pose"]).float().unflatten(-1, (2, 3))
    gaze = torch.stack([eyes[..., 1], -eyes[..., 0]], -1)
    return Motion(fps=FPS, expression=expression, neck=head_turn(values), gaze=gaze, name=str(path))


def head_turn(values: dict[str, Float[np.ndarray, "t k"]]) -> Float[Tensor, "t 3"]:
    """Return the head's rotation (root and neck) from its mean pose, as a bend of the neck."""
    pose = [torch.from_numpy(values[k]).float() for k in ("rotation", "neck_pose")]
    root, neck = map(axis_angle_to_matrix, pose)
    turn = matrix_to_axis_angle(root @ neck)
    quietest = int((turn - turn.median(0).values).norm(dim=-1).argmin())
    R = axis_angle_to_matrix(turn)
    return matrix_to_axis_angle(R[quietest].T @ R)


def read_parameters(path: Path) -> dict[str, Float[np.ndarray, "t k"]]:
    """Read the moving parameters, (T, n) each; absent ones are zero."""
    files = sorted(path.glob("*.npz")) or sorted(path.glob("flame_param/*.npz")) if path.is_dir() else [path]
    if not files:
        raise HeadcastError(
            f"{path}: no .npz of FLAME parameters in this folder; give its flame_param folder"
        )
    parts = [read_file(p) for p in files]
    joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0] if all(k in p for p in parts)}
    if not {"expr", "jaw_pose"} & set(joined):
        raise HeadcastError(f"{path}: has neither 'expr' nor 'jaw_pose'; give FLAME parameters")
    count = max(len(v) for v in joined.values())
    out = {}
    for key, width in MOVES.items():
        value = joined.get(key, np.zeros((count, width)))
        if len(value) not in (1, count):
            raise HeadcastError(
                f"{path}: '{key}' has {len(value)} frames, others have {count}; export it again"
            )
        out[key] = np.broadcast_to(value, (count, value.shape[1])).astype(np.float64)
    return out


def read_file(path: Path) -> dict[str, Float[np.ndarray, "t k"]]:
    """Read one file's moving parameters."""
    check_keys(path, array_names(path, "export it again"))
    found = load_arrays(path, MOVES, "export it again", limit=MAX_BYTES)
    for key, value in found.items():
        if not value.size:
            raise HeadcastError(f"{path}: '{key}' is empty; export it again")
        rows = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
        width = MOVES[key]
        fits = rows.shape[1] == width or (key == "expr" and rows.shape[1] <= width)
        if (
            value.dtype.kind not in "fiu"
            or not fits
            or not np.isfinite(rows).all()
            or np.abs(rows).max() > LARGEST
        ):
            raise HeadcastError(f"{path}: '{key}' of shape {value.shape} is not (T, {width}) plain numbers")
        found[key] = rows.astype(np.float64)
    return found


def check_keys(path: Path, names: list[str]) -> None:
    """Refuse unknown keys by name."""
    known = [*MOVES, *STILL]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)[0]
            raise HeadcastError(f"{path}: unknown parameter '{short_reason(name)}'; did you mean '{near}'?")
