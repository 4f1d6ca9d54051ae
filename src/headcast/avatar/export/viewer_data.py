"""Data of an avatar for the browser viewer: the rig as compact arrays, clips, and metadata.

The viewer moves the head by the same rules as ``HeadModel`` (weights that exclude each other, shapes, lids,
joints, occlusion in the mouth, cross-fading lids) and shades it like ``render.shading``, so it
matches our rendering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.export.base import mesh_of
from headcast.avatar.lids import BLEND_RANGE, SHADED
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

__all__ = ["viewer_arrays", "viewer_facts"]

MIN_DISPLACEMENT_M = 2e-5
"""Displacements below this (metres) are left out of a shape."""
MOUTH_POINTS = (*range(60, 68), 21, 22, 8)
"""Of the iBUG-68 points: inner lips, between the brows, chin; see ``head.occlusion``."""


def viewer_arrays(avatar: Avatar) -> dict[str, np.ndarray]:
    """Return all arrays by name; ``head.*``, ``shell.NAME.*`` and, where there are any, ``gaussians.*``."""
    found = {f"head.{k}": v for k, v in head_arrays(avatar.head, avatar.source.params.identity).items()}
    for shell in mesh_of(avatar).shells:
        surface = render_mesh(shell.faces, shell.uv, shell.faces_uv)
        surface |= {"rest": to_float32(shell.rest), "skin_weights": quantise_weights(shell.skin_weights)}
        found |= {f"shell.{shell.name}.{k}": v for k, v in surface.items()}
    found["light"] = to_float32(avatar.source.light)
    found |= lid_arrays(avatar)
    gaussians = getattr(avatar, "gaussians", None)
    if gaussians is not None:
        found["gaussians.triangle"] = gaussians.triangle.numpy().astype(np.uint32)
        for k in ("position", "quaternion", "log_scale", "opacity", "albedo"):
            found[f"gaussians.{k}"] = to_float32(getattr(gaussians, k).half())
    return found


def lid_arrays(avatar: Avatar) -> dict[str, np.ndarray]:
    """Return the rectangles (x, y, width, height in 0..1) of closed-lid patches in the head's texture.

    Also their blend range, and the Gaussians that they recolour.
    """
    mesh = mesh_of(avatar)
    if mesh.lids is None:
        return {}
    size = torch.tensor([mesh.texture.shape[1], mesh.texture.shape[0]])
    place = [torch.cat([p.corner, torch.tensor(p.texture.shape[1::-1])]) for p in mesh.lids.patches]
    found = {
        "place": to_float32(torch.stack(place) / size.repeat(2)),
        "blink": to_float32(mesh.lids.blink),
        "going": to_float32(torch.tensor(BLEND_RANGE)),
        "shaded": to_float32(torch.tensor([SHADED])),
        **{
            f"eye.{side}": to_indices(eye)
            for side, eye in zip(("left", "right"), mesh.surface.eyes, strict=True)
        },
    }
    if avatar.splats is not None:
        index, side, albedo = avatar.splats.lid_points
        found |= {
            "index": to_indices(index),
            "side": side.numpy().astype(np.uint8),
            "albedo": to_float32(albedo.half()),
        }
    return {f"lids.{k}": v for k, v in found.items()}


def head_arrays(head: HeadModel, identity: Float[Tensor, "i"]) -> dict[str, np.ndarray]:
    """Return the bound head: rest shape, sparse expression shapes, joints, lids, mouth, render mesh."""
    edge = head.lid_index[:, head.lid_rim]
    inside = torch.zeros(len(head.neutral), dtype=torch.bool)
    inside[head.faces[head.part_faces(*(n for n in INSIDE if n in head.part_names))]] = True
    lids = _lid_arrays(head, identity, edge)
    points = torch.tensor(MOUTH_POINTS)
    return {
        **render_mesh(head.faces, head.uv, head.faces_uv),
        **sparse_shapes(head.expression_basis),
        **{f"lid.{k}": v for k, v in lids.items()},
        "rest": to_float32(head.shape(identity)),
        "joints": to_float32(head.joints(identity)),
        "skin_weights": quantise_weights(head.skin_weights),
        "inside": inside.numpy().astype(np.uint8),
        "mouth.corners": to_indices(head.faces[head.landmark68_faces[points]]),
        "mouth.bary": to_float32(head.landmark68_bary[points]),
    }


def _lid_arrays(head: HeadModel, identity: Float[Tensor, "i"], edge: torch.Tensor) -> dict[str, np.ndarray]:
    """Return the eyelids' arrays."""
    return {
        "index": to_indices(head.lid_index),
        "rim": to_indices(head.lid_rim),
        "partner": to_float32(head.lid_partner),
        "share": to_float32(head.lid_share),
        "spread": to_float32(head.lid_spread),
        "profile": to_float32(head.eye_profile),
        "clearance": to_float32(head.lid_clearance),
        "growth": to_float32(1 + identity @ head.eye_growth),
        "blink": to_float32(torch.stack([head.expression_basis[b, edge[s]] for s, b in enumerate(BLINKS)])),
    }


def sparse_shapes(basis: Float[Tensor, "52 v 3"]) -> dict[str, np.ndarray]:
    """Concatenate sparse shapes: vertices and displacements (unit ``scale[k]``) from ``start[k]`` on."""
    largest = basis.abs().amax((1, 2)).clamp(min=1e-9)
    index, displacements, start = [], [], [0]
    for shape, maximum in zip(basis, largest, strict=True):
        at = (shape.norm(dim=-1) > MIN_DISPLACEMENT_M).nonzero()[:, 0]
        index.append(to_indices(at))
        displacements.append((shape[at] / maximum * 32767).round().numpy().astype(np.int16))
        start.append(start[-1] + len(at))
    return {
        "shape.vertex": np.concatenate(index),
        "shape.moved": np.concatenate(displacements),
        "shape.start": np.array(start, np.int32),
        "shape.scale": to_float32(largest / 32767),
    }


def render_mesh(
    faces: Int[Tensor, "f 3"], uv: Float[Tensor, "u 2"], faces_uv: Int[Tensor, "f 3"]
) -> dict[str, np.ndarray]:
    """Return the mesh for a GPU: unique pairs of vertex and uv, and triangles of pairs."""
    pairs = torch.stack([faces.flatten().long(), faces_uv.flatten().long()], 1)
    unique, index = torch.unique(pairs, dim=0, return_inverse=True)
    return {
        "faces": to_indices(faces),
        "drawn.vertex": to_indices(unique[:, 0]),
        "drawn.uv": to_float32(uv[unique[:, 1]]),
        "drawn.faces": to_indices(index.view(-1, 3)),
    }


def viewer_facts(avatar: Avatar) -> dict[str, Any]:
    """Return everything that is not an array: names, cameras, clips, and how the avatar was made."""
    return {
        "expressions": list(EXPRESSIONS),
        "joints": list(JOINTS),
        "parents": list(PARENTS),
        "views": {
            "front": view_facts(avatar, front_view(avatar)),
            "source": view_facts(avatar, source_view(avatar)),
        },
        "poses": {name: both_sides(shape) for name, shape in EXPRESSION_ROUND.items()},
        "clips": {name: clip(make(30.0)) for name, make in PRESETS.items()},
        "shells": [{"name": s.name, "opaque": s.opaque} for s in mesh_of(avatar).shells],
        "marks": marks(avatar.info),
    }


def view_facts(avatar: Avatar, view: View) -> dict[str, Any]:
    """Describe a view: camera, orbit centre, and pose of the head."""
    camera, p = view.camera, view.params
    return {
        "K": camera.K.tolist(),
        "cam_from_world": camera.cam_from_world.tolist(),
        "size": [camera.width, camera.height],
        "center": head_center(avatar, p).tolist(),
        "pose": {k: getattr(p, k).tolist() for k in ("rotation", "translation", "neck", "jaw")},
        "weights": nonzero_weights(p),
    }


def nonzero_weights(params: HeadParams) -> dict[str, float]:
    """Return the non-zero expression weights; an explicit gaze becomes ``eyeLook*`` weights."""
    e = params.expression if params.gaze is None else eye_look_from_gaze(params.expression, params.gaze)
    return {n: round(w, 5) for n, w in zip(EXPRESSIONS, e.tolist(), strict=True) if w != 0}


def clip(motion: Motion) -> dict[str, Any]:
    """Convert a motion to the viewer's JSON: curves by name, neck rotation, camera, labels."""
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


def to_float32(x: Tensor) -> np.ndarray:
    """Convert a tensor to a contiguous float32 array."""
    return np.ascontiguousarray(x.detach().float().cpu().numpy())


def to_indices(x: Tensor) -> np.ndarray:
    """Convert indices to the smallest unsigned type that holds them."""
    values = x.detach().cpu().numpy()
    return np.ascontiguousarray(values.astype(np.uint16 if values.max(initial=0) < 1 << 16 else np.uint32))


def quantise_weights(x: Float[Tensor, "v j"]) -> np.ndarray:
    """Quantise weights in 0..1 to steps of 1/65535."""
    return (x.detach().cpu().numpy().clip(0, 1) * 65535).round().astype(np.uint16)
