"""Initialise Gaussians on a textured mesh: one in the middle of every texel of a coarse texture.

What the photo shows in detail gets fine texels, the rest coarse ones. A Gaussian is as wide and as long as
its texel on the surface and thin across it, so that together they are the textured surface.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.rig import Frames, Gaussians, frames_of, to_local
from headcast.avatar.shell import Shell
from headcast.avatar.source import SourceView
from headcast.avatar.surface import HeadSurface
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.uv import rasterize_uv
from headcast.rotation import matrix_to_quaternion

__all__ = ["SIDES", "SPREAD", "detailed", "head_classes", "init_gaussians", "place_gaussians"]

SIDES = {
    "face": (640, 352),
    "lips": (896, 512),
    "head": (256, 144),
    "eyes": (448, 320),
    "inside": (448, 240),
    "gums": (768, 768),
    "hair": (448, 160),
    "body": (352, 96),
}
"""Sides of the textures whose texels become Gaussians: where the photo shows detail, and elsewhere."""
DETAIL = {"face": 0.009, "hair": 0.018, "body": 0.018}
"""Of the colour range: what coarse texels may lose before fine ones are taken; other parts as the face."""
SPREAD = (0.66, 0.74)  # standard deviation in texels, fine and coarse: neighbours blend into one surface
SHARPEN, BLUR = 1.2, 0.8  # how much, and the scale in texels
THIN = 0.12  # thickness, of the narrower side
OPAQUE = 0.99
FACE = ("face", "lips", "lids", "nose", "brows", "ears")
LIPS_REACH_M = (0.04, 0.028, 0.06)  # from the lips' middle, within which texels are as fine as on lips
INSIDE = ("teethUpper", "teethLower", "gums", "tongue", "mouth")


def init_gaussians(surface: HeadSurface, source: SourceView) -> Gaussians:
    """Lay Gaussians in the frames of the surface's triangles, finer where ``source`` shows them."""
    rest_params = HeadParams.neutral(surface.head.identities).replace(identity=source.params.identity)
    vertices = surface.posed(rest_params).vertices
    frames = frames_of(vertices, surface.faces)
    shown = _facing(surface, source)
    head = surface.head
    texture = torch.from_numpy(np.ascontiguousarray(surface.texture))
    parts: list[Gaussians] = []

    def lay(kind: str, which: Bool[Tensor, "f"], start: int, first: int, mesh: HeadModel | Shell) -> None:
        own = vertices[first : first + int(mesh.faces.max()) + 1]
        colours = (
            texture if isinstance(mesh, HeadModel) else torch.from_numpy(np.ascontiguousarray(mesh.texture))
        )
        visible = shown[start : start + len(mesh.faces)]
        sides = SIDES.get(kind, SIDES["body"])
        least = DETAIL.get(kind, DETAIL["face"])
        if kind == "inside":
            visible = torch.ones_like(visible)  # closed lips hide teeth that another expression shows
        fine = which & visible & detailed(mesh, colours, sides, least)
        for side, spread, chosen in zip(sides, SPREAD, (fine, which & ~fine), strict=True):
            if bool(chosen.any()):
                parts.append(place_gaussians(own, mesh, colours, side, spread, chosen, start, frames))

    for kind, which in head_classes(head).items():
        lay(kind, which, 0, 0, head)
    start, first = len(head.faces), len(head.neutral)
    for s in surface.shells:
        lay(s.name, torch.ones(len(s.faces), dtype=torch.bool), start, first, s)
        start, first = start + len(s.faces), first + len(s.rest)
    return Gaussians.join(parts)


def detailed(
    mesh: HeadModel | Shell, texture: Tensor, sides: tuple[int, int], least: float
) -> Bool[Tensor, "f"]:
    """Return triangles around which the fine and the coarse texture differ by more than ``least``."""
    import cv2

    fine, coarse = (
        cv2.resize(texture.numpy()[..., :3], (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        for side in sides
    )
    lost = (fine - cv2.resize(coarse, (sides[0], sides[0]), interpolation=cv2.INTER_LINEAR)) / 255
    around = 2 * round(sides[0] / sides[1]) + 1
    square = cv2.blur((lost**2).max(-1), (around, around))
    middle = mesh.uv[mesh.faces_uv].mean(1).numpy() * sides[0]
    at = middle.astype(int).clip(0, sides[0] - 1)
    return torch.from_numpy(square[at[:, 1], at[:, 0]] > least**2)


def head_classes(head: HeadModel) -> dict[str, Bool[Tensor, "f"]]:
    """Return the head's triangles by how finely they are covered."""
    regions = np.array(head.region_names)[head.region.numpy()]
    face = torch.from_numpy(np.isin(regions, FACE))[head.faces].any(1)
    eyes, inside = _part_of(head, "eyeLeft", "eyeRight"), _part_of(head, *INSIDE)
    face &= ~(eyes | inside)
    rest = ~(face | eyes | inside)
    # coarse Gaussians of the gums, whose chart is small, would cover the teeth before them
    outward = head.vertex_normals(head.neutral)[:, 2] > 0
    gums = _part_of(head, "gums") & outward[head.faces].all(1)
    lips = torch.from_numpy(regions == "lips")
    off = (head.neutral - head.neutral[lips].mean(0)) / torch.tensor(LIPS_REACH_M)
    lips = face & (off.norm(dim=1) < 1)[head.faces].all(1)
    return {
        "face": face & ~lips,
        "lips": lips,
        "eyes": eyes,
        "inside": inside & ~gums,
        "gums": gums,
        "head": rest,
    }


def _facing(surface: HeadSurface, source: SourceView) -> Bool[Tensor, "f"]:
    """Return which triangles face the photo's camera."""
    posed = surface.posed(source.params)
    to_camera = source.camera.center.to(posed.vertices) - posed.vertices
    return ((posed.normals * to_camera).sum(-1) > 0)[surface.faces].any(1)


def _part_of(head: HeadModel, *names: str) -> Bool[Tensor, "f"]:
    """Return which triangles of the head belong to the named parts."""
    wanted = torch.tensor([head.part_names.index(n) for n in names if n in head.part_names])
    return torch.isin(head.part, wanted)


def place_gaussians(
    vertices: Float[Tensor, "v 3"],
    mesh: HeadModel | Shell,
    texture: Tensor,
    side: int,
    spread: float,
    which: Bool[Tensor, "f"],
    start: int,
    frames: Frames,
) -> Gaussians:
    """Place one Gaussian at every texel of ``side``² that lies on a triangle of ``which``.

    Args:
        vertices: of ``mesh``, at rest. texture: its albedo, 8 bits, three or four channels.
        spread: standard deviation of a Gaussian in texels.
        start: index of the mesh's first triangle among those of ``frames``.
    """
    chart = rasterize_uv(mesh.uv, mesh.faces_uv, side)
    triangle = chart.triangle.long()
    at = torch.nonzero(which[triangle.clamp(min=0)] & (triangle >= 0))[:, 0]
    t, bary = triangle[at], chart.barycentric[at]
    corner = vertices[mesh.faces[t]]
    across, reach = _footprint(corner, mesh.uv[mesh.faces_uv[t]] * side)
    log_scale = torch.cat([reach * spread, reach.amin(1, keepdim=True) * THIN], 1).clamp(min=1e-6).log()
    rgba = _colour_at(texture, at, side)
    opacity = (rgba[:, 3] * OPAQUE).clamp(0.004, OPAQUE)
    keep = rgba[:, 3] > 0.04
    world = Gaussians(
        triangle=t + start,
        position=(corner * bary[..., None]).sum(1),
        quaternion=matrix_to_quaternion(across),
        log_scale=log_scale,
        opacity=torch.logit(opacity),
        albedo=rgba[:, :3],
    )
    return to_local(world[keep], frames)


def _footprint(
    corner: Float[Tensor, "n 3 3"], uv: Float[Tensor, "n 3 2"]
) -> tuple[Float[Tensor, "n 3 3"], Float[Tensor, "n 2"]]:
    """Return a texel's axes on the surface in columns (long, short, normal) and its extent along two."""
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    x = torch.nn.functional.normalize(e1, dim=-1)
    n = torch.nn.functional.normalize(torch.linalg.cross(e1, e2), dim=-1)
    y = torch.linalg.cross(n, x)
    zero = torch.zeros(len(corner))
    E = torch.stack(
        [torch.stack([(e1 * x).sum(-1), (e2 * x).sum(-1)], -1), torch.stack([zero, (e2 * y).sum(-1)], -1)], 1
    )
    J = _per_texel(uv, E)
    left, s, _ = torch.linalg.svd(J)
    longest = torch.stack([e1, e2, e2 - e1]).norm(dim=-1).amax(0)
    s = torch.minimum(s, longest[:, None])  # charts of slivers are so thin that a texel reaches beyond them
    axes = torch.stack([x, y], -1) @ left
    normal = torch.linalg.cross(axes[..., 0], axes[..., 1])
    return torch.cat([axes, normal[..., None]], -1), s


def _per_texel(uv: Float[Tensor, "n 3 2"], E: Tensor) -> Tensor:
    """Map from texels to metres in the plane, given the edges there."""
    U = torch.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], -1)
    det = torch.linalg.det(U)
    U = torch.where((det.abs() < 1e-9)[:, None, None], torch.eye(2), U)
    return E @ torch.linalg.inv(U)  # metres per texel, in the plane


def _colour_at(texture: Tensor, at: Int[Tensor, "n"], side: int) -> Float[Tensor, "n 4"]:
    """Return the texture's mean over a coarse texel, 0..1, sharpened by what blending will blur."""
    import cv2

    small = cv2.resize(texture.numpy(), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    sharp = small[..., :3] + SHARPEN * (small[..., :3] - cv2.GaussianBlur(small[..., :3], (0, 0), BLUR))
    small[..., :3] = sharp.clip(0, 1)
    x = torch.from_numpy(small.reshape(side * side, -1))[at]
    return x if x.shape[1] == 4 else torch.cat([x, torch.ones(len(x), 1)], 1)
