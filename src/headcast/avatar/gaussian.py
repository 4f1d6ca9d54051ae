"""Gaussians bound to the triangles of a textured head mesh: the default kind of avatar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.entries import damaged
from headcast.avatar.lids import Patch
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import Package, write_package
from headcast.avatar.posing import can_use_kernels
from headcast.avatar.rig import TURNED, Frames, Gaussians, frames_of, to_world
from headcast.avatar.rig_numba import Packed
from headcast.avatar.source import check_tensor
from headcast.avatar.surface import Posed
from headcast.camera import Camera
from headcast.head.model import BLINKS
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.gaussians import render_gaussians
from headcast.render.shading import shade
from headcast.render.texture import sample_texture
from headcast.render.types import Rendering
from headcast.rotation import matrix_to_quaternion

__all__ = ["TURNED", "GaussianAvatar", "Placed"]

MAX_GAUSSIANS = 1 << 20  # that a file may hold
LID_TEXTURE_SIDE = 512  # texels, resolution at which lid Gaussians sample their albedo
MIN_ALBEDO_CHANGE = 1 / 255  # sRGB display values; below this a lid Gaussian keeps its albedo
MIN_LID_MOTION = 0.25  # of the largest blink motion: triangles that move more show lashes when open


@dataclass(frozen=True)
class Placed:
    """Everything that depends on the pose but not on the Gaussians' own parameters.

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
class GaussianAvatar(BaseAvatar):
    """A head of Gaussians bound to a mesh.

    Attributes:
        mesh: the textured mesh they are bound to; mesh exporters take it unchanged.
        gaussians: in the frames of the triangles of ``mesh.surface``.
    """

    mesh: MeshAvatar  # type: ignore[override]
    gaussians: Gaussians

    kind = "gaussians"

    @property
    def bound(self) -> BoundHead:  # type: ignore[override]
        """Return the bound head of the mesh."""
        return self.mesh.bound

    @property
    def splats(self) -> GaussianAvatar:
        """Return the avatar itself: it consists of Gaussians."""
        return self

    def albedo_for_pose(self, params: HeadParams) -> Float[Tensor, "n 3"]:
        """Return the Gaussians' albedo (sRGB) in a pose: closing lids cross-fade to bare skin."""
        own, lids = self.gaussians.albedo, self.mesh.lids
        if lids is None or not bool((closure := lids.closed_fraction(params)).any()):
            return own
        index, side, bare = self.lid_points
        return own.index_put((index,), torch.lerp(own[index], bare.to(own), closure[side][:, None].to(own)))

    @cached_property
    def lid_points(self) -> LidPoints:
        """Return the Gaussians on the lids, their sides, and their albedo with closed lids."""
        return find_lid_points(self.mesh, self.gaussians.triangle, self.bary)

    @cached_property
    def rest(self) -> Frames:
        """Return the triangles' frames at rest: this identity without expression, in the head frame."""
        at_rest = HeadParams.neutral(self.head.identities).replace(identity=self.mesh.identity)
        with torch.no_grad():
            return frames_of(self.mesh.surface.posed(at_rest).vertices, self.mesh.surface.faces)

    @cached_property
    def bary(self) -> Float[Tensor, "n 3"]:
        """Return the barycentrics of each Gaussian over its triangle, clamped into it."""
        t = self.gaussians.triangle
        length, along, height = (self.rest.shape / self.rest.size[:, None])[t].unbind(-1)
        x, z = self.gaussians.position[:, 0], -self.gaussians.position[:, 2]
        third = 1 / 3 + z / height
        second = 1 / 3 + (x - along * (third - 1 / 3)) / length
        b = torch.stack([1 - second - third, second, third], -1).clamp(0, 1)
        return b / b.sum(-1, keepdim=True)

    def placed(self, params: HeadParams, light: Float[Tensor, "9 3"] | None = None) -> Placed:
        """Pose the rig (unbatched), and compute the light that falls on every Gaussian."""
        posed = self.mesh.surface.posed(params)
        frames = frames_of(posed.vertices, self.mesh.surface.faces)
        normals, openness = self.surface_shading(posed)
        lit = shade(normals, self.source.light if light is None else light) * openness[:, None]
        return Placed(frames, matrix_to_quaternion(frames.rotation), lit, normals)

    def surface_shading(
        self, posed: Posed, which: Int[Tensor, "n"] | slice = slice(None)
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n"]]:
        """Return unit normals of the surface below Gaussians, and its openness (fraction of light)."""
        corner = self.mesh.surface.faces[self.gaussians.triangle[which]]
        both = torch.cat([posed.normals, posed.openness[:, None]], 1)
        x = (both[corner] * self.bary[which][..., None]).sum(1)
        return torch.nn.functional.normalize(x[:, :3], dim=-1), x[:, 3]

    def world(self, placed: Placed) -> Gaussians:
        """Return the Gaussians in the world frame, metres."""
        return to_world(self.gaussians, placed.frames, self.rest, placed.quaternions)

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
    ) -> Rendering:
        """Render with straight alpha in sRGB; ``params`` are unbatched."""
        if can_use_kernels(params, *vars(self.gaussians).values()):
            return self.render_fast(params, camera, light)
        return self.render_reference(params, camera, light)

    def render_reference(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """Render in plain torch: the differentiable reference of the kernels."""
        placed = self.placed(params, light)
        return render_lit_gaussians(
            replace(self.world(placed), albedo=self.albedo_for_pose(params)), placed, camera
        )

    def render_fast(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """Render with the CPU kernels, where ``can_use_kernels`` allows."""
        light = self.source.light if light is None else light
        packed = self.packed
        lids = self.mesh.lids
        if lids is not None and bool(lids.closed_fraction(params).any()):
            index = self.lid_points[0]
            packed = packed.with_albedo(index, self.albedo_for_pose(params)[index])
        g = packed.shown(self.mesh.surface.posed(params), camera, light)
        out = render_gaussians(g.means, g.log_scales, g.quaternions, g.logits, g.colours, camera)
        return Rendering(out.rgb.clamp(0, 1), out.alpha, out.depth, "srgb")

    @cached_property
    def packed(self) -> Packed:
        """Return the Gaussians packed for the rig's kernel, with open eyelids."""
        return Packed.of(self.gaussians, self.bary, self.mesh.surface.faces, self.rest)

    def save(self, path: str | Path) -> None:
        """Write an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        write_package(path, self.package())

    def package(self) -> Package:
        """Return the package to be written to its file."""
        base = self.mesh.package()
        g = self.gaussians
        tensors = {
            "gaussian.triangle": g.triangle.int(),
            "gaussian.position": g.position.half(),
            "gaussian.quaternion": g.quaternion.half(),
            "gaussian.log_scale": g.log_scale.half(),
            "gaussian.opacity": g.opacity.half(),
            "gaussian.albedo": g.albedo.half(),
        }
        meta = {**base.meta, "kind": self.kind}
        return Package(meta, {**base.tensors, **tensors}, base.textures, self.thumbnail())

    @classmethod
    def from_package(cls, package: Package, path: Path) -> GaussianAvatar:
        """Open the avatar that a package holds.

        Raises:
            HeadcastError: parts are missing or invalid.
        """
        mesh = MeshAvatar.from_package(package, path)
        t = package.tensors
        n = max(t["gaussian.triangle"].shape, default=0) if "gaussian.triangle" in t else 0
        if not 1 <= n <= MAX_GAUSSIANS:
            raise damaged(path, f"{n} Gaussians")
        triangle = check_tensor(t, "gaussian.triangle", (n,), path).long()
        if not 0 <= int(triangle.min()) <= int(triangle.max()) < len(mesh.surface.faces):
            raise damaged(path, "Gaussians outside the mesh")
        arrays = {
            k: check_tensor(t, f"gaussian.{k}", (n, c), path)
            for k, c in (("position", 3), ("quaternion", 4), ("log_scale", 3), ("albedo", 3))
        }
        opacity = check_tensor(t, "gaussian.opacity", (n,), path)
        if bool((arrays["quaternion"].norm(dim=-1) < 1e-3).any()):
            raise damaged(path, "Gaussians without a direction")
        return cls(mesh, Gaussians(triangle, opacity=opacity, **arrays))


class LidPoints(NamedTuple):
    """Indices of the Gaussians on the lids, the lid's side (0 left, 1 right) and their albedo when closed."""

    gaussian: Int[Tensor, "m"]
    side: Int[Tensor, "m"]
    albedo: Float[Tensor, "m 3"]


def find_lid_points(mesh: MeshAvatar, triangle: Int[Tensor, "n"], bary: Float[Tensor, "n 3"]) -> LidPoints:
    """Find points on lids whose albedo changes when closed; return them with side and closed albedo."""

    assert mesh.lids is not None
    size = torch.tensor([mesh.texture.shape[1], mesh.texture.shape[0]])
    step = max(1, int(size[0]) // LID_TEXTURE_SIDE)
    on_head = torch.nonzero(triangle < len(mesh.head.faces))[:, 0]
    at = (mesh.head.uv[mesh.head.faces_uv[triangle[on_head]]] * bary[on_head][..., None]).sum(1) * size
    blink_motion = _blink_motion(mesh)
    found = []
    for side, patch in enumerate(mesh.lids.patches):
        extent = torch.tensor([patch.texture.shape[1], patch.texture.shape[0]])
        uv = (at - patch.corner) / extent
        inside = torch.nonzero(((uv > 0) & (uv < 1)).all(-1))[:, 0]
        motion = blink_motion[side, triangle[on_head[inside]]]
        colours, changed = _lid_changes(mesh, patch, step, uv[inside], motion)
        index = on_head[inside[changed]]
        found.append((index, torch.full_like(index, side), colours[1][changed]))
    index, sides, bare = (torch.cat(x) for x in zip(*found, strict=True))
    return LidPoints(index, sides, bare)


def _lid_changes(
    mesh: MeshAvatar, patch: Patch, step: int, uv: Float[Tensor, "n 2"], motion: Float[Tensor, "n"]
) -> tuple[list[Tensor], Bool[Tensor, "n"]]:
    """Return open and closed colours at points of a lid's patch, and where they or the surface change."""
    import cv2

    opened, closed = (
        torch.from_numpy(cv2.blur(x, (step, step)).astype(np.float32) / 255)
        for x in (patch.inside(mesh.texture), patch.texture)
    )
    colours = [sample_texture(x, uv) for x in (opened, closed)]
    changed = (colours[0] - colours[1]).abs().amax(-1) > MIN_ALBEDO_CHANGE
    changed |= motion > MIN_LID_MOTION
    return colours, changed


def _blink_motion(mesh: MeshAvatar) -> Tensor:
    """Return each face's motion by a blink of either eye, as a fraction of the largest."""
    blink_motion = mesh.head.expression_basis[list(BLINKS)].norm(dim=-1)
    return (blink_motion / blink_motion.amax(1, keepdim=True))[:, mesh.head.faces].mean(-1)


def render_lit_gaussians(world: Gaussians, placed: Placed, camera: Camera) -> Rendering:
    """Render lit Gaussians with straight alpha; those that face away from the viewer are culled."""
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
