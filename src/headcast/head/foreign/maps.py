"""Linear maps between FLAME's coefficients, ARKit's weights and our identity, by least squares.

FLAME's expression space was learned from scans and has no names. What ARKit's shapes are in it is found at
run time from the user's file: our shapes are carried to FLAME's vertices (``foreign.build``) and
both sets of movements are compared on the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from headcast.head.combine import CLOSES
from headcast.head.flame import EXPRESSIONS as FLAME_EXPRESSIONS
from headcast.head.flame import Flame
from headcast.head.foreign.surface import MeshPoints, nearest
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS

__all__ = ["FlameMaps", "flame_maps", "flame_to_arkit"]

FACE = ("face", "lips", "lids", "nose", "brows")
JAW_STEP = 0.2
"""Radians over which the jaw's movement is taken as linear."""
DAMPING = 1e-3
"""Of the mean square of the columns: keeps coefficients small where the movements say little."""
SPARSE = 2e-3
"""Weight on small expressions that explain nothing."""
FREE = [i for i, n in enumerate(EXPRESSIONS) if not n.startswith("eyeLook") and n != "tongueOut"]
"""ARKit weights that are solved for; eyeLook* follow from the eyeballs, FLAME has no tongue."""
SWEEPS = 60


@dataclass(frozen=True)
class FlameMaps:
    """Matrices, applied from the left. FLAME's 103: 100 expression coefficients, then the jaw's axis-angle.

    Attributes:
        arkit_from_flame: (52, 103). flame_from_arkit: (103, 52).
        ours_from_flame: (I, 300) our bundled head's identity from FLAME's shape; flame_from_ours: (300, I).
    """

    arkit_from_flame: Float[np.ndarray, "52 103"]
    flame_from_arkit: Float[np.ndarray, "103 52"]
    ours_from_flame: Float[np.ndarray, "i s"]
    flame_from_ours: Float[np.ndarray, "s i"]


def flame_maps(
    flame: Flame, head: HeadModel, rotation: Float[torch.Tensor, "3 3"], ours: HeadModel | None = None
) -> FlameMaps:
    """Compute the maps of one FLAME file.

    Args:
        head: built from it (``foreign_head``), whose first vertices are FLAME's; rotation: its placement.
        ours: the head whose identity is mapped; None: the bundled one.
    """
    ours = HeadModel.load() if ours is None else ours
    rows = face_rows(head)
    R = rotation.double().numpy()
    theirs = displacement_columns(flame, rows, R)
    shapes = arkit_columns(head, rows)
    back = np.zeros((len(EXPRESSIONS), theirs.shape[1]))
    back[FREE] = solve_ridge(shapes[:, FREE], theirs)
    skin = torch.arange(len(flame.template))[head.region[: len(flame.template)] < 7].numpy()
    places = in_atlas(head, skin, ours)
    faces = ours.faces.numpy()
    identity = np.stack([places.on(b, faces) for b in ours.identity_basis.double().numpy()])
    mine = identity.reshape(len(identity), -1).T
    shape = np.einsum("svc,dc->svd", flame.shape_basis.double().numpy()[:, skin], R)
    other = shape.reshape(len(shape), -1).T
    return FlameMaps(back, solve_ridge(theirs, shapes), solve_ridge(mine, other), solve_ridge(other, mine))


def flame_to_arkit(
    flame: Flame,
    head: HeadModel,
    rotation: Float[torch.Tensor, "3 3"],
    expression: Float[np.ndarray, "t e"],
    jaw: Float[np.ndarray, "t 3"],
) -> Float[torch.Tensor, "t 52"]:
    """Convert FLAME's coefficients to the ARKit weights in 0..1 that move the face most similarly.

    Bounded least squares on FLAME's own posed vertices, so that a wide-open jaw is no straight line.
    ``mouthClose`` counts as our head model applies it.
    """
    rows = face_rows(head)
    like = flame.template.dtype
    A = arkit_columns(head, rows)[:, FREE]
    gram = A.T @ A
    with torch.no_grad():
        moved = flame.posed(
            expression=torch.from_numpy(expression).to(like), jaw=torch.from_numpy(jaw).to(like)
        )
        move = (moved - flame.template)[:, rows].double() @ rotation.double().T
    wanted = move.flatten(1).numpy() @ A
    found = solve_bounded(gram, wanted)
    out = torch.zeros(len(expression), len(EXPRESSIONS))
    out[:, FREE] = torch.from_numpy(found).float()
    return out


def face_rows(head: HeadModel) -> np.ndarray:
    """Return vertices of the face among FLAME's."""
    from headcast.head.flame import VERTICES

    return head.region_mask(*FACE)[:VERTICES].nonzero()[:, 0].numpy()


def displacement_columns(flame: Flame, rows: np.ndarray, R: np.ndarray) -> Float[np.ndarray, "n 103"]:
    """Return displacements per FLAME expression coefficient and radian of the jaw, in our head frame."""
    steps = torch.eye(3, dtype=flame.template.dtype) * JAW_STEP
    with torch.no_grad():
        jaw = (flame.posed(jaw=steps) - flame.template).double().numpy()[:, rows] / JAW_STEP
    fields = np.concatenate([flame.expression_basis.double().numpy()[:FLAME_EXPRESSIONS, rows], jaw])
    return (fields @ R.T).reshape(len(fields), -1).T


def arkit_columns(head: HeadModel, rows: np.ndarray) -> Float[np.ndarray, "n 52"]:
    """Return the displacements per ARKit weight at these vertices."""
    shapes = head.expression_basis[:, rows].double().numpy().copy()
    shapes[EXPRESSION_INDEX["mouthClose"]] *= CLOSES
    return shapes.reshape(len(shapes), -1).T


def in_atlas(head: HeadModel, rows: np.ndarray, ours: HeadModel) -> MeshPoints:
    """Locate foreign vertices on our head by uv: both have the same atlas."""
    flat = np.concatenate([ours.uv.double().numpy(), np.zeros((len(ours.uv), 1))], 1)
    at = np.concatenate([head.uv.double().numpy()[rows], np.zeros((len(rows), 1))], 1)
    allowed = (ours.part == ours.part_names.index("skin")).numpy()
    return nearest(at, None, flat, ours.faces_uv.numpy(), allowed)


def solve_ridge(A: Float[np.ndarray, "n k"], B: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "k m"]:
    """Solve for X of least |A X - B|² + damping |X|²."""
    gram = A.T @ A
    return np.linalg.solve(gram + DAMPING * np.trace(gram) / len(gram) * np.eye(len(gram)), A.T @ B)


def solve_bounded(
    gram: Float[np.ndarray, "k k"], wanted: Float[np.ndarray, "t k"]
) -> Float[np.ndarray, "t k"]:
    """Solve for weights in 0..1 by coordinate descent, all frames at once; mouthClose is at most jawOpen."""
    damp = DAMPING * np.trace(gram) / len(gram)
    cost = SPARSE * np.trace(gram) / len(gram)
    w = np.zeros_like(wanted)
    close, jaw = FREE.index(EXPRESSION_INDEX["mouthClose"]), FREE.index(EXPRESSION_INDEX["jawOpen"])
    for _ in range(SWEEPS):
        for k in range(len(gram)):
            rest = wanted[:, k] - w @ gram[:, k] + w[:, k] * gram[k, k]
            high = w[:, jaw] if k == close else 1.0
            w[:, k] = np.clip((rest - cost) / (gram[k, k] + damp), 0, high)
    return w
