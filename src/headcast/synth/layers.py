"""Rasterization of a scene: the surface, layers of hair before it, and samples composited."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.render.batch import batch_pixels, rasterize_batch
from headcast.render.types import Fragments
from headcast.synth.assets import Assets
from headcast.synth.hair_shells import LASH
from headcast.synth.lights import Light
from headcast.synth.openness import lamp_views
from headcast.synth.posed_people import PosedPeople
from headcast.synth.shade import Shadows
from headcast.synth.views import Views

__all__ = [
    "CoveredSamples",
    "Layers",
    "SynthScene",
    "average_cells",
    "lamp_shadows",
    "mask_fragments",
    "rasterize_layers",
    "smooth_pixels",
]

LAMP_SIZE = 256
SMOOTH = 0.0025
"""Metres of depth between the samples of a pixel that count as one surface."""


@dataclass(frozen=True)
class SynthScene:
    """N images to render.

    Attributes:
        people, light: of S scenes; scene (N,): which one each image shows.
        views: N cameras. textures (P, tall, wide, 8); owner (N,): whose.
        hair_colour (N, 3), hair_light (N,), hair_cut (N, 2). background (N, h, h, 3) linear.
        pbr: whether skin is lit by ``pbr.shade_skin``.
    """

    people: PosedPeople
    light: Light
    scene: Int[Tensor, " n"]
    views: Views
    textures: Float[Tensor, "p tall wide 8"]
    owner: Int[Tensor, " n"]
    hair_colour: Float[Tensor, "n 3"]
    hair_light: Float[Tensor, " n"]
    hair_cut: Float[Tensor, "n 2"]
    background: Float[Tensor, "n h h 3"]
    pbr: bool = False


@dataclass
class Layers:
    """Samples of all images, composited front to back: (M, ...) over all samples.

    ``value`` (M, 13) sums colour 3, albedo 3, normal 3, geometric normal 3, specular 1, weighted by what
    shows; ``through`` (M,) is the transmittance.
    """

    value: Tensor
    through: Tensor

    @staticmethod
    def empty(count: int, device: torch.device) -> Layers:
        """Return samples before anything is rendered."""
        return Layers(torch.zeros(count, 13, device=device), torch.ones(count, device=device))

    def put(self, at: Int[Tensor, " m"], values: Float[Tensor, "m 13"], alpha: Float[Tensor, " m"]) -> None:
        """Composite what lies next behind at some samples."""
        weight = self.through[at] * alpha
        self.value.index_add_(0, at, values * weight[:, None])
        self.through[at] *= 1 - alpha


@dataclass(frozen=True)
class CoveredSamples:
    """Covered samples of fragments: flat index ``at``, image, scene, corners' rows and weights."""

    at: Tensor
    image: Tensor
    scene: Tensor
    face: Tensor
    bary: Tensor

    @staticmethod
    def of(fragments: Fragments, scene: Tensor) -> CoveredSamples:
        """Take the covered samples of a batch of fragments."""
        flat = fragments.triangle.reshape(-1)
        at = torch.nonzero(flat >= 0)[:, 0]
        image = at // fragments.triangle[0].numel()
        return CoveredSamples(
            at=at,
            image=image,
            scene=scene[image],
            face=flat[at].long(),
            bary=fragments.barycentric.reshape(-1, 3)[at],
        )

    def __getitem__(self, index: Tensor) -> CoveredSamples:
        """Return some of the samples."""
        return CoveredSamples(*(getattr(self, f.name)[index] for f in fields(self)))

    def over(self, values: Float[Tensor, "s v c"], corners: Int[Tensor, "m 3"]) -> Float[Tensor, "m c"]:
        """Interpolate vertex values of each point's scene over its triangle."""
        flat = values.reshape(-1, values.shape[-1])
        rows = corners + (self.scene * values.shape[1])[:, None]
        return self._interpolate(flat, rows)

    def uv(self, uv: Float[Tensor, "u 2"], faces_uv: Int[Tensor, "f 3"]) -> Float[Tensor, "m 2"]:
        """Interpolate texture coordinates at each point."""
        return self._interpolate(uv, faces_uv.index_select(0, self.face))

    def _interpolate(self, values: Float[Tensor, "v c"], corners: Int[Tensor, "m 3"]) -> Float[Tensor, "m c"]:
        each = [values.index_select(0, corners[:, k]) for k in range(3)]
        total = each[0] * self.bary[:, :1]
        for k in (1, 2):
            total = total.addcmul_(each[k], self.bary[:, k : k + 1])
        return total


def rasterize_layers(
    assets: Assets, scene: SynthScene, views: Views, layers: int
) -> tuple[Fragments, list[Fragments]]:
    """Rasterize the opaque surface and, front to back, the hair before it (triangle -1 elsewhere)."""
    f, size = scene.people, views.size
    points = batch_pixels(f.vertices[scene.scene], views.K, views.cam_from_world)
    solid = rasterize_batch(points, assets.bust.faces, size, size)
    hair, faces = batch_pixels(f.hair[scene.scene], views.K, views.cam_from_world), f.hair_faces[scene.scene]
    out: list[Fragments] = []
    beyond = None
    for _ in range(layers):
        layer = rasterize_batch(hair, faces, size, size, beyond=beyond)
        front = (layer.triangle >= 0) & ((solid.triangle < 0) | (layer.depth < solid.depth))
        triangle = torch.where(front, layer.triangle, -1)
        out.append(Fragments(triangle, layer.barycentric, layer.depth))
        beyond = torch.where(front, layer.depth, torch.inf)
    return solid, out


def mask_fragments(fragments: Fragments, keep: Bool[Tensor, "n h w"]) -> Fragments:
    """Keep the fragments of some pixels only."""
    return replace(fragments, triangle=torch.where(keep, fragments.triangle, -1))


def smooth_pixels(
    assets: Assets, solid: Fragments, centre: Fragments, through: Float[Tensor, "n u u"], antialias: int
) -> Bool[Tensor, "n s s"]:
    """Find pixels covered by one part of the bust at nearly one depth, with no hair before them."""
    part = torch.where(solid.triangle >= 0, assets.part_of_face[solid.triangle.clamp(min=0).long()], -1)
    middle = torch.where(centre.triangle >= 0, assets.part_of_face[centre.triangle.clamp(min=0).long()], -2)
    same = torch.ones_like(middle, dtype=torch.bool)
    for i in range(antialias):
        for j in range(antialias):
            at = (slice(None), slice(i, None, antialias), slice(j, None, antialias))
            same &= (part[at] == middle) & (through[at] > 0.998)
            same &= (solid.depth[at] - centre.depth).abs() < SMOOTH
    return same


def average_cells(samples: Float[Tensor, "n h w *c"], antialias: int) -> Float[Tensor, "n s s *c"]:
    """Average over cells of antialias² samples."""
    cells = [samples[:, i::antialias, j::antialias] for i in range(antialias) for j in range(antialias)]
    return torch.stack(cells).sum(0) / len(cells) if len(cells) > 9 else sum(cells[1:], cells[0]) / len(cells)


def lamp_shadows(assets: Assets, scene: SynthScene) -> Shadows:
    """Rasterize depth from the key lamps over bust and the inner layers of hair."""
    f = scene.people
    K, pose = lamp_views(scene.light.key, LAMP_SIZE)
    mesh = torch.cat([f.vertices, f.hair], 1)
    offset = f.vertices.shape[1]
    level, kind = f.hair_facts[..., 4], f.hair_facts[..., 5]
    solid = (level < 0.5) & (kind != LASH) & (f.hair_facts[..., 6] > 0.5)
    keep = solid.gather(1, f.hair_faces.flatten(1)).view(f.hair_faces.shape).all(-1, keepdim=True)
    hair = torch.where(keep, f.hair_faces, torch.zeros_like(f.hair_faces)) + offset
    faces = torch.cat([assets.bust.faces.expand(len(mesh), -1, 3), hair], 1)
    points = batch_pixels(mesh, K.expand(len(mesh), 3, 3), pose)
    return Shadows(rasterize_batch(points, faces, LAMP_SIZE, LAMP_SIZE).depth, K, pose)
