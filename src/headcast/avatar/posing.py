"""Fast CPU posing of one person's head, frame after frame; same results as ``HeadModel``.

What doesn't change between frames is cached, only non-zero expressions are added, and skin and shells are
skinned by one kernel. ``HeadModel.forward`` and ``HeadModel.skin_points`` are the specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.device import is_cuda
from headcast.head.combine import combine
from headcast.head.model import JOINTS, PARENTS, HeadModel
from headcast.head.params import HeadParams, eye_look_from_gaze, gaze_from_eye_look
from headcast.render.jit import helper, kernel

__all__ = ["Moves", "Poser", "can_use_kernels", "poser_for", "skin_vertices"]


@dataclass(frozen=True)
class Moves:
    """Joint transforms of a frame: ``head`` and ``shell`` (J, 12), rows of (3, 4) matrices in the head frame,
    the latter with eyes at rest; ``root`` (3, 4), world from head."""

    head: np.ndarray
    shell: np.ndarray
    root: np.ndarray


def can_use_kernels(params: HeadParams, *others: Tensor) -> bool:
    """Whether the kernels can take this pose: unbatched, float32, on a CPU, without gradients."""
    from importlib.util import find_spec

    tensors = [x for x in (*vars(params).values(), *others) if x is not None]
    supported = all(x.dtype in (torch.float32, torch.int64) and not is_cuda(x) for x in tensors)
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    return supported and not needs_grad and not params.batch and find_spec("numba") is not None


class Poser:
    """Poses a head model with one fixed identity."""

    def __init__(self, head: HeadModel, identity: Float[Tensor, "i"]) -> None:
        self.head, self.identity = head, identity.clone()
        with torch.no_grad():
            self.rest, self.joints = head.shape(identity).numpy(), head.joints(identity)
        self.basis = np.ascontiguousarray(head.expression_basis.numpy())
        self.weights = np.ascontiguousarray(head.skin_weights.numpy())

    def pose_head(self, out: np.ndarray, params: HeadParams) -> Moves:
        """Write the head's world vertices (V, 3) to ``out``; return joint transforms (unbatched)."""
        expression, gaze = params.expression, params.gaze
        if gaze is None:
            gaze = gaze_from_eye_look(expression)
        else:
            expression = eye_look_from_gaze(expression, gaze)
        expression = combine(expression)
        active = np.flatnonzero(expression.numpy())
        blended = np.empty_like(self.rest)
        add_shapes(self.rest, self.basis, active, expression.numpy(), blended)
        projected = self.head.lay_lids(
            torch.from_numpy(blended), self.joints, params.identity, expression, gaze
        )
        moves = self.moves(params, gaze)
        skin_vertices(projected.numpy(), self.weights, moves.head, moves.root, out)
        return moves

    def moves(self, params: HeadParams, gaze: Float[Tensor, "2 2"]) -> Moves:
        """Compute the joint transforms of a pose (``HeadModel.transforms``)."""
        rotations = np.zeros((len(JOINTS) + 1, 3), np.float32)
        rotations[1] = rotations[2] = params.neck.numpy() / 2
        rotations[3], rotations[-1] = params.jaw.numpy(), params.rotation.numpy()
        rotations[4:6, 0], rotations[4:6, 1] = -gaze[:, 1].numpy(), gaze[:, 0].numpy()
        joints, root = np.empty((len(JOINTS), 12), np.float32), np.empty((3, 4), np.float32)
        chain_rotations(self.joints.numpy(), rotations, np.array(PARENTS, np.int64), joints, root)
        root[:, 3] = params.translation.numpy()
        still = joints.copy()
        still[4:6] = joints[2]
        return Moves(joints, still, root)


def poser_for(head: HeadModel, identity: Float[Tensor, "i"]) -> Poser:
    """Return the poser of a head and an identity; the last few are kept (posers are never changed)."""
    return _poser(head, identity.detach().float().contiguous().numpy().tobytes())


@lru_cache(maxsize=4)
def _poser(head: HeadModel, identity: bytes) -> Poser:
    return Poser(head, torch.frombuffer(bytearray(identity), dtype=torch.float32))


@helper
def write_rotation(v, m, at):
    """Write Rodrigues' rotation matrix into rows of four from ``m[at]`` on."""
    x, y, z = np.float64(v[0]), np.float64(v[1]), np.float64(v[2])
    a2 = x * x + y * y + z * z
    if a2 < 1e-6:
        s, c = 1 - a2 / 6 + a2 * a2 / 120, 0.5 - a2 / 24 + a2 * a2 / 720
    else:
        a = math.sqrt(a2)
        s, c = math.sin(a) / a, (1 - math.cos(a)) / a2
    m[at], m[at + 1], m[at + 2] = 1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y
    m[at + 4], m[at + 5], m[at + 6] = c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x
    m[at + 8], m[at + 9], m[at + 10] = c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y)


@kernel("void(f4[:,::1], f4[:,::1], i8[::1], f4[:,::1], f4[:,::1])")
def chain_rotations(places, rotations, parents, out, root):
    """Chain joint rotations about their ``places``, each after its parent's; the last one is the root's."""
    one, row = np.zeros(12), np.zeros((len(places), 12))
    for j in range(len(places)):
        write_rotation(rotations[j], one, 0)
        for i in range(3):
            one[4 * i + 3] = places[j, i]
            for k in range(3):
                one[4 * i + 3] -= one[4 * i + k] * places[j, k]
        p = parents[j]
        for i in range(3):
            for k in range(4):
                if p < 0:
                    row[j, 4 * i + k] = one[4 * i + k]
                else:
                    row[j, 4 * i + k] = row[p, 4 * i + 3] if k == 3 else 0.0
                    for m in range(3):
                        row[j, 4 * i + k] += row[p, 4 * i + m] * one[4 * m + k]
                out[j, 4 * i + k] = row[j, 4 * i + k]
    write_rotation(rotations[len(places)], one, 0)
    for i in range(3):
        for k in range(3):
            root[i, k] = one[4 * i + k]


@kernel("void(f4[:,::1], f4[:,:,::1], i8[::1], f4[::1], f4[:,::1])")
def add_shapes(rest, basis, active, weights, out):
    """Add weighted blendshapes: ``out`` = ``rest`` + the shapes ``on`` times their weights."""
    for n in range(len(rest)):
        x, y, z = rest[n, 0], rest[n, 1], rest[n, 2]
        for k in active:
            w = weights[k]
            x += w * basis[k, n, 0]
            y += w * basis[k, n, 1]
            z += w * basis[k, n, 2]
        out[n, 0], out[n, 1], out[n, 2] = x, y, z


@kernel("void(f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1])")
def skin_vertices(rest, weights, joints, root, out):
    """Apply linear blend skinning to ``rest``, then ``root``."""
    m = np.empty(12, np.float32)
    for n in range(len(rest)):
        m[:] = 0.0
        for j in range(len(joints)):
            w = weights[n, j]
            if w != 0.0:
                for c in range(12):
                    m[c] += w * joints[j, c]
        x, y, z = rest[n, 0], rest[n, 1], rest[n, 2]
        a = m[0] * x + m[1] * y + m[2] * z + m[3]
        b = m[4] * x + m[5] * y + m[6] * z + m[7]
        c = m[8] * x + m[9] * y + m[10] * z + m[11]
        for i in range(3):
            out[n, i] = root[i, 0] * a + root[i, 1] * b + root[i, 2] * c + root[i, 3]
