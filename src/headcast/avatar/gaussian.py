"""A head of Gaussians, carried by the triangles of a textured mesh: the default kind of avatar."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar, thumbnail_of
from headcast.avatar.package import Package, damaged, write_package
from headcast.avatar.posing import kernels_serve
from headcast.avatar.rig import TURNED, Frames, Gaussians, frames_of, to_world
from headcast.avatar.rig_numba import Packed
from headcast.avatar.source import Source, check_tensor
from headcast.avatar.surface import Posed
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.gaussians import render_gaussians
from headcast.render.shading import shade
from headcast.render.types import Rendering
from headcast.rotation import matrix_to_quaternion

__all__ = ["TURNED", "GaussianAvatar", "Placed"]

MOST = 1 << 20


@dataclass(frozen=True)
class Placed:
    """Everything that depends on the pose but not on the Gaussians' own numbers.

    Attributes:
        frames, quaternions: of the triangles, in the world.
        shading: (N, 3) linear light on each Gaussian.
        normals: (N, 3) unit normals of the surface below each.
    """

    frames: Frames
    quaternions: Float[Tensor, "f 4"]
    shading: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]


@dataclass(frozen=True)
class GaussianAvatar:
    """A head of Gaussians.

    Attributes:
        mesh: the textured mesh that carries them; exports to mesh formats take it as it is.
        gaussians: in the frames of the triangles of ``mesh.surface``.
    """

    mesh: MeshAvatar
    gaussians: Gaussians

    @property
    def head(self) -> HeadModel:
        """The head model bound to this person."""
        return self.mesh.head

    @property
    def source(self) -> Source:
        """The photo's view."""
        return self.mesh.source

    @property
    def info(self) -> dict[str, Any]:
        """How it was made."""
        return {**self.mesh.info, "kind": "gaussians"}

    @cached_property
    def rest(self) -> Frames:
        """Frames of the triangles at rest: this identity without expression, in the head frame."""
        at_rest = HeadParams.neutral(self.head.identities).replace(identity=self.mesh.identity)
        with torch.no_grad():
            return frames_of(self.mesh.surface.posed(at_rest).vertices, self.mesh.surface.faces)

    @cached_property
    def bary(self) -> Float[Tensor, "n 3"]:
        """Where each Gaussian stands over its triangle, drawn into it."""
        t = self.gaussians.triangle
        length, along, height = (self.rest.shape / self.rest.size[:, None])[t].unbind(-1)
        x, z = self.gaussians.position[:, 0], -self.gaussians.position[:, 2]
        third = 1 / 3 + z / height
        second = 1 / 3 + (x - along * (third - 1 / 3)) / length
        b = torch.stack([1 - second - third, second, third], -1).clamp(0, 1)
        return b / b.sum(-1, keepdim=True)

    def placed(self, params: HeadParams, light: Float[Tensor, "9 3"] | None = None) -> Placed:
        """The rig in a pose (unbatched), and the light that falls on every Gaussian."""
        posed = self.mesh.surface.posed(params)
        frames = frames_of(posed.vertices, self.mesh.surface.faces)
        normals, openness = self.below(posed)
        lit = shade(normals, self.source.light if light is None else light) * openness[:, None]
        return Placed(frames, matrix_to_quaternion(frames.rotation), lit, normals)

    def below(
        self, posed: Posed, which: Int[Tensor, "n"] | slice = slice(None)
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n"]]:
        """Unit normals of the surface below Gaussians, and the share of the light that reaches it."""
        corner = self.mesh.surface.faces[self.gaussians.triangle[which]]
        both = torch.cat([posed.normals, posed.openness[:, None]], 1)
        x = (both[corner] * self.bary[which][..., None]).sum(1)
        return torch.nn.functional.normalize(x[:, :3], dim=-1), x[:, 3]

    def world(self, placed: Placed) -> Gaussians:
        """The Gaussians in the world."""
        return to_world(self.gaussians, placed.frames, self.rest, placed.quaternions)

    def render(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """A picture with straight alpha in sRGB; ``params`` are unbatched."""
        if kernels_serve(params, *vars(self.gaussians).values()):
            return self.render_by_kernels(params, camera, light)
        return self.render_plainly(params, camera, light)

    def render_plainly(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """``render`` in plain torch: what the kernels are held to, and differentiable."""
        placed = self.placed(params, light)
        return splat(self.world(placed), placed, camera)

    def render_by_kernels(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """``render`` where the pose is one for the kernels (``kernels_serve``)."""
        light = self.source.light if light is None else light
        g = self.packed.shown(self.mesh.surface.posed(params), camera, light)
        out = render_gaussians(g.means, g.log_scales, g.quaternions, g.logits, g.colours, camera)
        return Rendering(out.rgb.clamp(0, 1), out.alpha, out.depth, "srgb")

    @cached_property
    def packed(self) -> Packed:
        """The Gaussians as the rig's kernel reads them."""
        return Packed.of(self.gaussians, self.bary, self.mesh.surface.faces, self.rest)

    def thumbnail(self) -> UInt8[np.ndarray, "h w 4"]:
        """The photo's view, small, on transparent ground."""
        return thumbnail_of(self)

    def save(self, path: str | Path) -> None:
        """Writes an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        base = self.mesh.package()
        g = self.gaussians
        tensors = {
            "gaussian.triangle": g.triangle.int(), "gaussian.position": g.position.half(),
            "gaussian.quaternion": g.quaternion.half(), "gaussian.log_scale": g.log_scale.half(),
            "gaussian.opacity": g.opacity.half(), "gaussian.albedo": g.albedo.half(),
        }  # fmt: skip
        meta = {**base.meta, "kind": "gaussians"}
        write_package(path, Package(meta, {**base.tensors, **tensors}, base.textures, self.thumbnail()))

    @classmethod
    def from_package(cls, package: Package, path: Path) -> GaussianAvatar:
        """The avatar that a package holds.

        Raises:
            HeadcastError: parts are missing or make no sense.
        """
        mesh = MeshAvatar.from_package(package, path)
        t = package.tensors
        n = max(t["gaussian.triangle"].shape, default=0) if "gaussian.triangle" in t else 0
        if not 1 <= n <= MOST:
            raise damaged(path, f"{n} Gaussians")
        triangle = check_tensor(t, "gaussian.triangle", (n,), path).long()
        if not 0 <= int(triangle.min()) <= int(triangle.max()) < len(mesh.surface.faces):
            raise damaged(path, "Gaussians outside the mesh")
        get = {k: check_tensor(t, f"gaussian.{k}", (n, c), path)
               for k, c in (("position", 3), ("quaternion", 4), ("log_scale", 3), ("albedo", 3))}  # fmt: skip
        opacity = check_tensor(t, "gaussian.opacity", (n,), path)
        if bool((get["quaternion"].norm(dim=-1) < 1e-3).any()):
            raise damaged(path, "Gaussians without a direction")
        return cls(mesh, Gaussians(triangle, opacity=opacity, **get))


def splat(world: Gaussians, placed: Placed, camera: Camera) -> Rendering:
    """A picture of lit Gaussians with straight alpha; those that turn away from the viewer are left out."""
    with torch.no_grad():
        towards = torch.nn.functional.normalize(camera.center.to(world.position) - world.position, dim=-1)
        facing = (towards * placed.normals).sum(-1)
        front = facing > TURNED[0]
        fade = ((facing - TURNED[0]) / (TURNED[1] - TURNED[0])).clamp(1e-3, 1)[front]
    shown = world[front]
    opacity = torch.sigmoid(shown.opacity) * fade
    logits = torch.where(fade < 1, torch.logit(opacity.clamp(1e-4, 0.9999)), shown.opacity)
    colours = linear_to_srgb((srgb_to_linear(shown.albedo.clamp(min=0)) * placed.shading[front]).clamp(0, 1))
    out = render_gaussians(shown.position, shown.log_scale, shown.quaternion, logits, colours, camera)
    return Rendering(out.rgb.clamp(0, 1), out.alpha, out.depth, "srgb")
