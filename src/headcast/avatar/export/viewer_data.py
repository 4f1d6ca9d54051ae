"""What the viewer gets of an avatar: the rig as compact arrays, pictures, clips, and words about it.

The viewer moves the head by the same rules as ``HeadModel`` (weights that exclude each other, shapes, lids,
joints, light inside the mouth, lids that grow bare as they shut) and lights it as ``render.shading`` does, so
that it shows what we render.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.export.base import mesh_of
from headcast.avatar.lids import GOING, SHADED
from headcast.head.model import BLINKS, JOINTS, PARENTS
from headcast.head.names import EXPRESSIONS
from headcast.head.occlusion import INSIDE
from headcast.head.params import HeadParams, eye_look_from_gaze
from headcast.marks import facts as marks
from headcast.motion.clip import Motion
from headcast.motion.presets import EXPRESSION_ROUND, PRESETS
from headcast.motion.visemes import both_sides
from headcast.view import View, front_view, head_center, source_view

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel

__all__ = ["arrays", "facts"]

SMALLEST = 2e-5
"""Movements below this (metres) are left out of a shape."""
MOUTH_POINTS = (*range(60, 68), 21, 22, 8)
"""Of the iBUG-68 points: inner lips, between the brows, chin; see ``head.occlusion``."""


def arrays(avatar: Avatar) -> dict[str, np.ndarray]:
    """All numbers by name; ``head.*``, ``shell.NAME.*`` and, where there are any, ``gaussians.*``."""
    found = {f"head.{k}": v for k, v in head_arrays(avatar.head, avatar.source.params.identity).items()}
    for shell in mesh_of(avatar).shells:
        surface = drawn_surface(shell.faces, shell.uv, shell.faces_uv)
        surface |= {"rest": real(shell.rest), "skin_weights": shares(shell.skin_weights)}
        found |= {f"shell.{shell.name}.{k}": v for k, v in surface.items()}
    found["light"] = real(avatar.source.light)
    found |= shut_lids(avatar)
    gaussians = getattr(avatar, "gaussians", None)
    if gaussians is not None:
        found["gaussians.triangle"] = gaussians.triangle.numpy().astype(np.uint32)
        for k in ("position", "quaternion", "log_scale", "opacity", "albedo"):
            found[f"gaussians.{k}"] = real(getattr(gaussians, k).half())
    return found


def shut_lids(avatar: Avatar) -> dict[str, np.ndarray]:
    """Where in the head's texture (x, y, width, height in 0..1) patches for shut lids belong, and when they
    show; and the Gaussians that they recolour."""
    mesh = mesh_of(avatar)
    if mesh.lids is None:
        return {}
    size = torch.tensor([mesh.texture.shape[1], mesh.texture.shape[0]])
    place = [torch.cat([p.corner, torch.tensor(p.texture.shape[1::-1])]) for p in mesh.lids.patches]
    found = {
        "place": real(torch.stack(place) / size.repeat(2)), "blink": real(mesh.lids.blink),
        "going": real(torch.tensor(GOING)), "shaded": real(torch.tensor([SHADED])),
        **{f"eye.{side}": small(eye) for side, eye in zip(("left", "right"), mesh.surface.eyes, strict=True)},
    }  # fmt: skip
    if avatar.splats is not None:
        index, side, albedo = avatar.splats.on_lids
        found |= {"index": small(index), "side": side.numpy().astype(np.uint8), "albedo": real(albedo.half())}
    return {f"lids.{k}": v for k, v in found.items()}


def head_arrays(head: HeadModel, identity: Float[Tensor, "i"]) -> dict[str, np.ndarray]:
    """The bound head: rest shape, sparse expression shapes, joints, lids, mouth, and how it is drawn."""
    edge = head.lid_index[:, head.lid_rim]
    inside = torch.zeros(len(head.neutral), dtype=torch.bool)
    inside[head.faces[head.part_faces(*(n for n in INSIDE if n in head.part_names))]] = True
    lids = {
        "index": small(head.lid_index), "rim": small(head.lid_rim), "partner": real(head.lid_partner),
        "share": real(head.lid_share), "spread": real(head.lid_spread), "profile": real(head.eye_profile),
        "clearance": real(head.lid_clearance), "growth": real(1 + identity @ head.eye_growth),
        "blink": real(torch.stack([head.expression_basis[b, edge[s]] for s, b in enumerate(BLINKS)])),
    }  # fmt: skip
    points = torch.tensor(MOUTH_POINTS)
    return {
        **drawn_surface(head.faces, head.uv, head.faces_uv), **sparse_shapes(head.expression_basis),
        **{f"lid.{k}": v for k, v in lids.items()},
        "rest": real(head.shape(identity)), "joints": real(head.joints(identity)),
        "skin_weights": shares(head.skin_weights), "inside": inside.numpy().astype(np.uint8),
        "mouth.corners": small(head.faces[head.landmark68_faces[points]]),
        "mouth.bary": real(head.landmark68_bary[points]),
    }  # fmt: skip


def sparse_shapes(basis: Float[Tensor, "52 v 3"]) -> dict[str, np.ndarray]:
    """Shapes one after the other: from ``start[k]`` on, vertices and movements in units of ``scale[k]``."""
    largest = basis.abs().amax((1, 2)).clamp(min=1e-9)
    index, moved, start = [], [], [0]
    for shape, most in zip(basis, largest, strict=True):
        at = (shape.norm(dim=-1) > SMALLEST).nonzero()[:, 0]
        index.append(small(at))
        moved.append((shape[at] / most * 32767).round().numpy().astype(np.int16))
        start.append(start[-1] + len(at))
    return {
        "shape.vertex": np.concatenate(index), "shape.moved": np.concatenate(moved),
        "shape.start": np.array(start, np.int32), "shape.scale": real(largest / 32767),
    }  # fmt: skip


def drawn_surface(
    faces: Int[Tensor, "f 3"], uv: Float[Tensor, "u 2"], faces_uv: Int[Tensor, "f 3"]
) -> dict[str, np.ndarray]:
    """As a graphics card takes it: every pair of vertex and uv that occurs, and triangles of pairs."""
    pairs = torch.stack([faces.flatten().long(), faces_uv.flatten().long()], 1)
    unique, index = torch.unique(pairs, dim=0, return_inverse=True)
    return {
        "faces": small(faces), "drawn.vertex": small(unique[:, 0]), "drawn.uv": real(uv[unique[:, 1]]),
        "drawn.faces": small(index.view(-1, 3)),
    }  # fmt: skip


def facts(avatar: Avatar) -> dict[str, Any]:
    """Everything that is not an array: names, cameras, clips, and how the avatar was made."""
    return {
        "expressions": list(EXPRESSIONS), "joints": list(JOINTS), "parents": list(PARENTS),
        "views": {"front": seen(avatar, front_view(avatar)), "source": seen(avatar, source_view(avatar))},
        "poses": {name: both_sides(shape) for name, shape in EXPRESSION_ROUND.items()},
        "clips": {name: clip(make(30.0)) for name, make in PRESETS.items()},
        "shells": [{"name": s.name, "opaque": s.opaque} for s in mesh_of(avatar).shells],
        "marks": marks(avatar.info),
    }  # fmt: skip


def seen(avatar: Avatar, view: View) -> dict[str, Any]:
    """A camera, what it turns around, and the pose of the head before it."""
    camera, p = view.camera, view.params
    return {
        "K": camera.K.tolist(), "cam_from_world": camera.cam_from_world.tolist(),
        "size": [camera.width, camera.height], "center": head_center(avatar, p).tolist(),
        "pose": {k: getattr(p, k).tolist() for k in ("rotation", "translation", "neck", "jaw")},
        "weights": weights(p),
    }  # fmt: skip


def weights(params: HeadParams) -> dict[str, float]:
    """Expression weights that are not zero; an explicit gaze as the looks that ask for it."""
    e = params.expression if params.gaze is None else eye_look_from_gaze(params.expression, params.gaze)
    return {n: round(w, 5) for n, w in zip(EXPRESSIONS, e.tolist(), strict=True) if w != 0}


def clip(motion: Motion) -> dict[str, Any]:
    """A motion as the viewer's JSON: curves by name, bend of the neck, camera, labels."""
    curves = {
        n: [round(w, 4) for w in motion.curve(n).tolist()] for n in EXPRESSIONS if bool(motion.curve(n).any())
    }
    found: dict[str, Any] = {"fps": motion.fps, "frames": len(motion), "curves": curves}
    if bool(motion.neck.any()):
        found["neck"] = [[round(x, 5) for x in row] for row in motion.neck.tolist()]
    if motion.gaze is not None:
        found["gaze"] = [[[round(x, 5) for x in eye] for eye in row] for row in motion.gaze.tolist()]
    if motion.camera_yaw is not None:
        found["camera_yaw"] = [round(x, 4) for x in motion.camera_yaw.tolist()]
    if motion.labels:
        found["labels"] = list(motion.labels)
    return found


def real(x: Tensor) -> np.ndarray:
    """As float32."""
    return np.ascontiguousarray(x.detach().float().cpu().numpy())


def small(x: Tensor) -> np.ndarray:
    """Indices in as few bytes as hold them."""
    values = x.detach().cpu().numpy()
    return np.ascontiguousarray(values.astype(np.uint16 if values.max(initial=0) < 1 << 16 else np.uint32))


def shares(x: Float[Tensor, "v j"]) -> np.ndarray:
    """Shares of 1 as steps of 1/65535."""
    return (x.detach().cpu().numpy().clip(0, 1) * 65535).round().astype(np.uint16)
