"""The source view of an avatar, stored as tensors in its file and checked when read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.entries import damaged
from headcast.camera import Camera
from headcast.head.params import HeadParams

__all__ = ["SourceView", "SurfacePoints", "check_tensor"]

MAX_SIDE = 1 << 15
MAX_VALUE = 1e6  # absolute value in a stored tensor


class SurfacePoints(NamedTuple):
    """Points on the head's surface: triangles and barycentric weights."""

    triangle: Int[Tensor, "n"]
    bary: Float[Tensor, "n 3"]

    def on(self, vertices: Float[Tensor, "*b v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "*b n 3"]:
        """Return the positions of the points on given vertices."""
        return (vertices[..., faces[self.triangle], :] * self.bary[..., None]).sum(-2)


@dataclass(frozen=True)
class SourceView:
    """Camera, head parameters and light of the source photo.

    Attributes:
        camera: its camera, at the photo's size.
        params: identity, expression, pose and gaze (unbatched).
        light: (9, 3) spherical-harmonic irradiance in the world frame, linear.
        landmarks: where this person's landmarks lie on the surface, for tracking this person; None: unknown.
    """

    camera: Camera
    params: HeadParams
    light: Float[Tensor, "9 3"]
    landmarks: SurfacePoints | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the named tensors to be stored."""
        p = self.params
        out = {
            "camera.K": self.camera.K,
            "camera.cam_from_world": self.camera.cam_from_world,
            "camera.size": torch.tensor([self.camera.width, self.camera.height]),
            "light": self.light,
            "params.identity": p.identity,
            "params.expression": p.expression,
            "params.rotation": p.rotation,
            "params.translation": p.translation,
            "params.neck": p.neck,
            "params.jaw": p.jaw,
        }
        if p.gaze is not None:
            out["params.gaze"] = p.gaze
        if self.landmarks is not None:
            out["landmarks.triangle"], out["landmarks.bary"] = self.landmarks
        return out

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor], identities: int, triangles: int, path: Path) -> SourceView:
        """Read the view from stored tensors.

        Raises:
            HeadcastError: something is missing, of a wrong shape or not finite.
        """

        def get(name: str, *shape: int) -> Tensor:
            return check_tensor(tensors, name, shape, path)

        size = [int(n) for n in get("camera.size", 2)]
        if not all(1 <= n <= MAX_SIDE for n in size):
            raise damaged(path, "camera of an impossible size")
        K = get("camera.K", 3, 3)
        if not (K[0, 0] > 0 and K[1, 1] > 0):
            raise damaged(path, "camera without a focal length")
        camera = Camera(K, get("camera.cam_from_world", 4, 4), size[0], size[1])
        params = HeadParams(
            identity=get("params.identity", identities),
            expression=get("params.expression", 52),
            rotation=get("params.rotation", 3),
            translation=get("params.translation", 3),
            neck=get("params.neck", 3),
            jaw=get("params.jaw", 3),
            gaze=get("params.gaze", 2, 2) if "params.gaze" in tensors else None,
        )
        return SourceView(camera, params, get("light", 9, 3), read_landmarks(tensors, triangles, path))


def read_landmarks(tensors: dict[str, Tensor], triangles: int, path: Path) -> SurfacePoints | None:
    """Read stored landmarks, checked against the number of triangles; None: not stored."""
    if "landmarks.triangle" not in tensors:
        return None
    n = max(tensors["landmarks.triangle"].shape, default=0)
    triangle = check_tensor(tensors, "landmarks.triangle", (n,), path).long()
    if n and not 0 <= int(triangle.min()) <= int(triangle.max()) < triangles:
        raise damaged(path, "landmarks outside the mesh")
    return SurfacePoints(triangle, check_tensor(tensors, "landmarks.bary", (n, 3), path))


def check_tensor(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...], path: Path) -> Tensor:
    """Return a stored tensor as float32, checked.

    Raises:
        HeadcastError: it is missing, of a wrong shape, not finite or too large.
    """
    if name not in tensors:
        raise damaged(path, f"'{name}' is missing")
    x = tensors[name]
    if tuple(x.shape) != shape:
        raise damaged(path, f"'{name}' has the shape {tuple(x.shape)}, not {shape}")
    if x.is_complex() or x.dtype == torch.bool:
        raise damaged(path, f"'{name}' holds no plain numbers")
    x = x.float()
    if not bool(torch.isfinite(x).all()) or bool((x.abs() > MAX_VALUE).any()):
        raise damaged(path, f"'{name}' holds impossible numbers")
    return x
