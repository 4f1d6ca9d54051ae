"""The head and its shells as one mesh with one texture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from headcast.avatar.lashes import Lashes
from headcast.avatar.posing import Poser, carry, kernels_serve
from headcast.avatar.shell import Shell, whole_texture
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.occlusion import inside_mouth, mouth_occlusion
from headcast.head.params import HeadParams
from headcast.render.geometry import vertex_normals
from headcast.render.shaded import render_textured
from headcast.render.texture import Pyramid
from headcast.render.types import Rendering

__all__ = ["Posed", "Surface"]


@dataclass(frozen=True)
class Posed:
    """A surface in one pose: world ``vertices``, unit ``normals``, and ``openness``, the share of the light
    that reaches each vertex."""

    vertices: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    openness: Float[Tensor, "v"]


@dataclass(frozen=True)
class Surface:
    """Head first, then the shells in their order.

    Attributes:
        head: bound to a person.
        shells: hair, body.
        texture: (H, W, 3) the head's albedo, sRGB display values.
        lashes: shade on open eyes' lids.
    """

    head: HeadModel
    shells: tuple[Shell, ...]
    texture: UInt8[np.ndarray, "h w 3"]
    lashes: Lashes | None = None

    @cached_property
    def faces(self) -> Int[Tensor, "f 3"]:
        """Triangles of the whole."""
        parts, start = [self.head.faces.cpu()], len(self.head.neutral)
        for s in self.shells:
            parts.append(s.faces + start)
            start += len(s.rest)
        return torch.cat(parts)

    @cached_property
    def part(self) -> Int[Tensor, "f"]:
        """-1 for triangles of the head, else which shell."""
        counts = [len(self.head.faces), *(len(s.faces) for s in self.shells)]
        return torch.repeat_interleave(torch.arange(len(counts)) - 1, torch.tensor(counts))

    @cached_property
    def skin(self) -> tuple[Pyramid, Float[Tensor, "u 2"], Int[Tensor, "fu 3"]]:
        """The joint texture (RGBA only where something is see-through), its uv and the triangles' uv."""
        if not self.shells:
            return pyramid_of(self.texture), self.head.uv, self.head.faces_uv
        whole, places = whole_texture([self.texture, *(s.texture for s in self.shells)])
        uv = [self.head.uv, *(s.uv for s in self.shells)]
        index = [self.head.faces_uv, *(s.faces_uv for s in self.shells)]
        starts = np.cumsum([0, *(len(x) for x in uv[:-1])])
        joint = torch.cat([x * p[:2] + p[2:] for x, p in zip(uv, places, strict=True)])
        faces_uv = torch.cat([x + int(n) for x, n in zip(index, starts, strict=True)])
        return pyramid_of(whole if self.see_through else whole[..., :3]), joint, faces_uv

    @property
    def see_through(self) -> bool:
        """Whether some shell lets something show through."""
        return not all(s.opaque for s in self.shells)

    @cached_property
    def solid(self) -> Surface:
        """The head and its opaque shells alone: what shows through the others."""
        return Surface(self.head, tuple(s for s in self.shells if s.opaque), self.texture, self.lashes)

    def posed(self, params: HeadParams) -> Posed:
        """The surface in a pose (unbatched)."""
        served = kernels_serve(params, self.head.neutral)
        vertices = self.vertices_by_kernels(params) if served else self.vertices(params)
        count = len(self.head.neutral)
        openness = torch.ones(len(vertices))
        openness[:count] = mouth_occlusion(self.head, vertices[:count], self.inside)
        if self.lashes is not None:
            openness[:count] = self.lashes.over(self.head, params, openness[:count])
        return Posed(vertices, vertex_normals(vertices, self.faces), openness)

    def vertices(self, params: HeadParams) -> Float[Tensor, "v 3"]:
        """World vertices in a pose (unbatched)."""
        return torch.cat([self.head(params), *(s.posed(self.head, params) for s in self.shells)])

    def vertices_by_kernels(self, params: HeadParams) -> Float[Tensor, "v 3"]:
        """The same, for poses that kernels serve."""
        if not self._posers or not self._posers[-1].fits(self.head, params.identity):
            self._posers[:] = [Poser(self.head, params.identity)]
        poser, at = self._posers[-1], len(self.head.neutral)
        out = np.empty((at + sum(len(s.rest) for s in self.shells), 3), np.float32)
        moves = poser.head_into(out[:at], params)
        for s in self.shells:
            rest, weights = s.rest.contiguous().numpy(), s.skin_weights.contiguous().numpy()
            carry(rest, weights, moves.shell, moves.root, out[at : at + len(rest)])
            at += len(rest)
        return torch.from_numpy(out)

    @cached_property
    def _posers(self) -> list[Poser]:
        return []

    @cached_property
    def inside(self) -> Bool[Tensor, "v"]:
        """Which of the head's vertices lie inside the mouth."""
        return inside_mouth(self.head)

    def render(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"], *, antialias: int = 2
    ) -> Rendering:
        """A picture with straight alpha in sRGB."""
        front = self._drawn(self.posed(params), camera, light, antialias)
        if not self.see_through:
            return front
        return over(front, self.solid.render(params, camera, light, antialias=antialias))

    def _drawn(
        self, posed: Posed, camera: Camera, light: Float[Tensor, "9 3"], antialias: int
    ) -> Rendering:  # fmt: skip
        pyramid, uv, faces_uv = self.skin
        return render_textured(
            posed.vertices, self.faces, posed.normals, uv, faces_uv, pyramid, camera, light=light,
            openness=posed.openness, antialias=antialias,
        )  # fmt: skip


def pyramid_of(texture: UInt8[np.ndarray, "h w c"]) -> Pyramid:
    """A texture with its halvings."""
    return Pyramid.make(torch.from_numpy(texture.astype(np.float32) / 255))


def over(front: Rendering, behind: Rendering) -> Rendering:
    """A picture with see-through parts before the same scene without them.

    Where both cover a pixel only in part, it is the outline that they share: nothing is added there.
    """
    more = (behind.alpha - front.alpha).clamp(min=0)
    alpha = front.alpha + more
    rgb = front.rgb * front.alpha[..., None] + behind.rgb * more[..., None]
    rgb = rgb / alpha.clamp(min=1e-6)[..., None]
    depth = torch.where(front.alpha > 0, front.depth, behind.depth)
    return Rendering(rgb, alpha, depth, front.colour_space)
