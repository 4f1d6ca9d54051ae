"""The head and its shells as one mesh with one texture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from headcast.avatar.lids import SHADED, Lids
from headcast.avatar.posing import can_use_kernels, poser_for, skin_vertices
from headcast.avatar.shell import GAP, Shell, pack_textures
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.occlusion import inside_mouth, mouth_occlusion
from headcast.head.params import HeadParams
from headcast.render.geometry import vertex_normals
from headcast.render.shaded import render_textured
from headcast.render.texture import Pyramid
from headcast.render.types import Rendering

__all__ = ["HeadSurface", "Posed", "SurfaceRenderer"]

EYES = ("eyeLeft", "eyeRight")


@dataclass(frozen=True)
class Posed:
    """A surface in one pose: world ``vertices``, unit ``normals``, and ``openness`` per vertex.

    Openness is the fraction of the light that reaches the vertex.
    """

    vertices: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    openness: Float[Tensor, "v"]


class JointTexture(NamedTuple):
    """Mipmaps of one texture for head and shells, its uv and the triangles' uv."""

    pyramid: Pyramid
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "fu 3"]


@dataclass(frozen=True)
class HeadSurface:
    """Head and shells as one mesh: the head first, then the shells in their order.

    Attributes:
        head: head model bound to a person.
        shells: hair, body.
        texture: (H, W, 3) the head's albedo, sRGB display values.
        lids: textures of the closed lids; None: the texture never changes.
    """

    head: HeadModel
    shells: tuple[Shell, ...]
    texture: UInt8[np.ndarray, "h w 3"]
    lids: Lids | None = None

    @cached_property
    def faces(self) -> Int[Tensor, "f 3"]:
        """Return the triangles of head and shells."""
        parts, start = [self.head.faces.cpu()], len(self.head.neutral)
        for s in self.shells:
            parts.append(s.faces + start)
            start += len(s.rest)
        return torch.cat(parts)

    @cached_property
    def part(self) -> Int[Tensor, "f"]:
        """Return the part of each triangle: -1 for the head, else the shell's index."""
        counts = [len(self.head.faces), *(len(s.faces) for s in self.shells)]
        return torch.repeat_interleave(torch.arange(len(counts)) - 1, torch.tensor(counts))

    @cached_property
    def skin(self) -> JointTexture:
        """Return the joint texture (RGBA only if a shell is translucent), its uv and the triangles' uv."""
        if not self.shells:
            return JointTexture(make_pyramid(self.texture), self.head.uv, self.head.faces_uv)
        atlas, places = pack_textures([self.texture, *(s.texture for s in self.shells)])
        uv = [self.head.uv, *(s.uv for s in self.shells)]
        index = [self.head.faces_uv, *(s.faces_uv for s in self.shells)]
        starts = np.cumsum([0, *(len(x) for x in uv[:-1])])
        joint = torch.cat([x * p[:2] + p[2:] for x, p in zip(uv, places, strict=True)])
        faces_uv = torch.cat([x + int(n) for x, n in zip(index, starts, strict=True)])
        return JointTexture(make_pyramid(atlas if self.see_through else atlas[..., :3]), joint, faces_uv)

    @property
    def see_through(self) -> bool:
        """Whether some shell is not fully opaque."""
        return not all(s.opaque for s in self.shells)

    @cached_property
    def solid(self) -> HeadSurface:
        """Return the head with its opaque shells only: what shows through the others."""
        return HeadSurface(self.head, tuple(s for s in self.shells if s.opaque), self.texture, self.lids)

    def posed(self, params: HeadParams) -> Posed:
        """Pose the surface (unbatched): vertices, normals and openness."""
        use_kernels = can_use_kernels(params, self.head.neutral)
        vertices = self.vertices_by_kernels(params) if use_kernels else self.vertices(params)
        count = len(self.head.neutral)
        openness = torch.ones(len(vertices))
        openness[:count] = mouth_occlusion(self.head, vertices[:count], self.inside)
        if self.lids is not None:
            for eye, closure in zip(self.eyes, self.lids.closed_fraction(params), strict=True):
                openness[eye] = 1 - SHADED * float(closure)
        return Posed(vertices, vertex_normals(vertices, self.faces), openness)

    def vertices(self, params: HeadParams) -> Float[Tensor, "v 3"]:
        """Return world vertices in a pose (unbatched), metres."""
        return torch.cat([self.head(params), *(s.posed(self.head, params) for s in self.shells)])

    def vertices_by_kernels(self, params: HeadParams) -> Float[Tensor, "v 3"]:
        """Return the same vertices with the CPU kernels, for poses that ``can_use_kernels`` allows."""
        poser = poser_for(self.head, params.identity)
        start = len(self.head.neutral)
        out = np.empty((start + sum(len(s.rest) for s in self.shells), 3), np.float32)
        moves = poser.pose_head(out[:start], params)
        for s in self.shells:
            rest, weights = s.rest.contiguous().numpy(), s.skin_weights.contiguous().numpy()
            skin_vertices(rest, weights, moves.shell, moves.root, out[start : start + len(rest)])
            start += len(rest)
        return torch.from_numpy(out)

    @cached_property
    def inside(self) -> Bool[Tensor, "v"]:
        """Return which of the head's vertices lie inside the mouth."""
        return inside_mouth(self.head)

    @cached_property
    def eyes(self) -> tuple[Int[Tensor, "l"], Int[Tensor, "r"]]:
        """Return the vertices of the left and right eyeball."""
        available = set(self.head.part_names)
        left, right = (self.head.faces[self.head.part_faces(*({e} & available))].unique() for e in EYES)
        return left, right

    def render(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"], *, antialias: int = 2
    ) -> Rendering:
        """Render with straight alpha in sRGB."""
        return SurfaceRenderer(self).render(params, camera, light, antialias=antialias)


class SurfaceRenderer:
    """Renders a surface frame after frame, for one thread: eyelids are mixed into a texture of its own.

    Args:
        surface: shared and never changed; only once an eyelid closes is its texture copied.
    """

    def __init__(self, surface: HeadSurface) -> None:
        self.surface = surface
        self.solid = SurfaceRenderer(surface.solid) if surface.see_through else None
        self.blink: BlinkTexture | None = None

    def render(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"], *, antialias: int = 2
    ) -> Rendering:
        """Render with straight alpha in sRGB."""
        surface = self.surface
        posed, (_, uv, faces_uv) = surface.posed(params), surface.skin
        front = render_textured(
            posed.vertices,
            surface.faces,
            posed.normals,
            uv,
            faces_uv,
            self.texture(params),
            camera,
            light=light,
            openness=posed.openness,
            antialias=antialias,
        )
        if self.solid is None:
            return front
        return over(front, self.solid.render(params, camera, light, antialias=antialias))

    def texture(self, params: HeadParams) -> Pyramid:
        """Return the texture with the eyelids of a pose."""
        surface = self.surface
        if surface.lids is None or (
            self.blink is None and not bool(surface.lids.closed_fraction(params).any())
        ):
            return surface.skin[0]
        if self.blink is None:
            self.blink = BlinkTexture(surface.skin[0].copy(), surface.lids, surface.texture)
        self.blink.show(params)
        return self.blink.pyramid


def make_pyramid(texture: UInt8[np.ndarray, "h w c"]) -> Pyramid:
    """Build the mip pyramid of an 8-bit texture."""
    return Pyramid.make(torch.from_numpy(texture.astype(np.float32) / 255))


class BlinkTexture:
    """A joint texture and its mip levels whose texels change as eyelids close, mixed in place.

    Args:
        pyramid: its own copy; begins ``GAP`` texels above the head's ``texture`` where there are shells, else
            with it.
    """

    def __init__(self, pyramid: Pyramid, lids: Lids, texture: UInt8[np.ndarray, "h w 3"]) -> None:
        self.pyramid, self.lids, self.texture, self.shown = pyramid, lids, texture, torch.zeros(2)

    @cached_property
    def parts(self) -> list[list[tuple[np.ndarray, ...]]]:
        """Return for each side: images, their texel rows, colours when open, and the change when closed.

        Computed when a lid first closes.
        """
        pyramid, texture = self.pyramid, self.texture
        texels, table = pyramid.packed
        levels = [x.view(-1, x.shape[2]) for x in pyramid.levels]
        top = 0 if pyramid.size[1] == texture.shape[0] else GAP
        plain = [np.zeros((pyramid.size[1], pyramid.size[0]), np.float32)] * 3
        parts: list[list[tuple[np.ndarray, ...]]] = []
        for patch in self.lids.patches:
            change = np.stack(plain, -1)
            available = patch.inside(change[top:])
            available[:] = (patch.texture.astype(np.float32) - patch.inside(texture)) / 255
            part = _level_parts(change, levels, table, texels)
            parts.append(part)
        return parts

    def show(self, params: HeadParams) -> None:
        """Blend the texels for a pose (unbatched)."""
        closure = self.lids.closed_fraction(params)
        for side in np.flatnonzero(closure != self.shown):
            for texels, rows, opened, delta in self.parts[side]:
                texels[rows, :3] = opened + np.float32(closure[side]) * delta
        self.shown = closure


def _level_parts(
    change: np.ndarray, levels: list[torch.Tensor], table: np.ndarray, texels: np.ndarray
) -> list[tuple[np.ndarray, ...]]:
    """Return where a lid changes the levels of the texture."""
    part = []
    changes = Pyramid.make(torch.from_numpy(change)).levels
    for level, delta, (start, _, _) in zip(levels, changes, table, strict=True):
        flat = delta.numpy().reshape(-1, 3)
        rows = np.flatnonzero((flat != 0).any(1))
        opened = level.numpy()[rows, :3].copy()
        for image, texel_rows in ((level.numpy(), rows), (texels, rows + start)):
            part.append((image, texel_rows, opened, flat[rows]))
    return part


def over(front: Rendering, behind: Rendering) -> Rendering:
    """Composite a rendering with translucent parts over the same scene without them.

    Where both cover a pixel only in part, it is their common outline: nothing is added there.
    """
    more = (behind.alpha - front.alpha).clamp(min=0)
    alpha = front.alpha + more
    rgb = front.rgb * front.alpha[..., None] + behind.rgb * more[..., None]
    rgb = rgb / alpha.clamp(min=1e-6)[..., None]
    depth = torch.where(front.alpha > 0, front.depth, behind.depth)
    return Rendering(rgb, alpha, depth, front.colour_space)
