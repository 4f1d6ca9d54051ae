"""Training data: synthetic heads in place of FFHQ and VFHQ, our head model in place of FaceVerse.

What the paper takes from fitted FaceVerse meshes (mesh condition, texels' places, landmarks) is exact here.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.methods.invertavatar.paper.conditions import CROP
from headcast.methods.invertavatar.paper.config import InvertConfig
from headcast.methods.invertavatar.paper.inversion import PosedFrames
from headcast.render.mesh import interpolate, rasterize_mesh
from headcast.render.uv import rasterize_uv
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots
from headcast.synth.views import project_to_views

__all__ = ["clip_frames", "draw_contours", "mesh_condition", "pose_frames", "view_frames"]

FRAMING = "eg3d"
"""Cameras as EG3D and its descendants see FFHQ."""
CLIP_FPS = 5.0
"""Frames a second of synthetic clips: neighbours differ, 32 of them last six seconds."""
REGIONS = ("face", "lips", "lids", "nose", "brows", "ears", "sclera", "iris", "pupil")
"""Regions of our head that stand for FaceVerse's mesh: the face, without the mouth's inside."""
FAR = 100.0
"""Distance from which the mesh is seen in the frontal view, world units: nearly orthographic."""
TOLERANCE_M = 0.005
"""A texel so far behind the nearest surface still counts as seen, metres."""
CHAINS = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60), (60, 68))
"""Contours of iBUG's 68 landmarks: jaw, brows, nose, eyes, lips; first point and end."""
FIRST_CLOSED = 5
"""From this contour on they are closed: eyes and lips."""


class RasterMesh(NamedTuple):
    """The part of the head model that textures are rasterised through: triangles' vertices and UV rows."""

    head: HeadModel
    faces: Int[Tensor, "f 3"]
    faces_uv: Int[Tensor, "f 3"]


class TexelPlaces(NamedTuple):
    """Triangle and barycentric weights of every texel, row by row; -1 and zeros off the face."""

    triangle: Int[Tensor, " t"]
    barycentric: Float[Tensor, "t 3"]


@cache
def face_mesh(device: str) -> RasterMesh:
    """Load the face's mesh on a device, once a process."""
    head = HeadModel.load().to(device)
    kept = head.region_mask(*REGIONS)[head.faces].all(1)
    return RasterMesh(head, head.faces[kept], head.faces_uv[kept])


@cache
def places_of_texels(device: str, side: int) -> TexelPlaces:
    """Find the texels of the face in a texture of ``side``², once a process."""
    mesh = face_mesh(device)
    return TexelPlaces(*rasterize_uv(mesh.head.uv.cpu(), mesh.faces_uv.cpu(), side))


def view_frames(
    people: int, views: int, config: InvertConfig, index: int, seed: int, device: torch.device
) -> PosedFrames:
    """Synthesize images of people in one moment, from several sides."""
    wanted = SynthConfig(size=config.image_side, people=people, views=views, framing=FRAMING)
    return pose_frames(Shots.make(wanted, index, seed, device), views, config)


def clip_frames(
    people: int, frames: int, config: InvertConfig, index: int, seed: int, device: torch.device
) -> PosedFrames:
    """Synthesize the frames of a clip of each person, from one side."""
    wanted = SynthConfig(
        size=config.image_side, people=people, frames=frames, clip=True, fps=CLIP_FPS, framing=FRAMING
    )
    return pose_frames(Shots.make(wanted, index, seed, device), frames, config)


def pose_frames(shots: Shots, each: int, config: InvertConfig) -> PosedFrames:
    """Describe images of heads as the networks need them; ``each`` of one person follow each other."""
    device, side = shots.image.device, shots.image.shape[-1]
    with torch.no_grad():
        vertices = face_mesh(str(device)).head(shots.params)
    texel, visible = locate_texels(vertices, shots, config.side)
    flat = {
        "image": shots.image,
        "label": camera_labels(shots, config),
        "condition": torch.stack([mesh_condition(v, config) for v in vertices]),
        "texel": texel,
        "visible": visible,
        "landmarks": draw_contours(shots.marks, side),
        "box": shots.box(shots.K, shots.cam_from_world),
    }
    return PosedFrames(**{k: v.unflatten(0, (-1, each)) for k, v in flat.items()})


def camera_labels(shots: Shots, config: InvertConfig) -> Float[Tensor, "b 25"]:
    """Write cameras as labels of 25 numbers in the networks' world."""
    pose = torch.linalg.inv(shots.cam_from_world)
    origin = torch.tensor(config.origin, device=pose.device)
    pose[:, :3, 3] = (pose[:, :3, 3] - origin) * config.units_per_metre
    K = shots.K.clone()
    K[:, :2] /= shots.image.shape[-1]
    return torch.cat([pose.flatten(1), K.flatten(1)], 1)


def mesh_condition(vertices: Float[Tensor, "v 3"], config: InvertConfig) -> Float[Tensor, "s s 3"]:
    """Rasterize a posed head (world, metres) to the condition of its face, (s, s, 3)."""
    mesh, s = face_mesh(str(vertices.device)), config.side
    at = (vertices - vertices.new_tensor(config.origin)) * config.units_per_metre
    (bottom, top), (left, right) = CROP
    u = (at[:, 0] / config.cube_side + 0.5 - left) / (right - left) * s
    v = (at[:, 1] / config.cube_side + 0.5 - bottom) / (top - bottom) * s
    depth = FAR - at[:, 2]
    points = torch.stack([u * depth, v * depth, depth], -1)
    flat = Camera(torch.eye(3), torch.eye(4), s, s)  # pixels are what it is given
    fragments = rasterize_mesh(points, mesh.faces, flat)
    grid = interpolate(fragments, mesh.faces_uv, mesh.head.uv) * 2 - 1
    mask = (fragments.triangle >= 0)[..., None].to(grid)
    return torch.cat([grid * mask, mask], -1)


def locate_texels(
    vertices: Float[Tensor, "b v 3"], shots: Shots, side: int
) -> tuple[Float[Tensor, "b s s 2"], Float[Tensor, "b 1 s s"]]:
    """Find where every texel of the face lies in the images (-1..1), and whether it is seen there."""
    device, pixels = str(vertices.device), shots.image.shape[-1]
    mesh, places = face_mesh(device), places_of_texels(device, side)
    on_face, weights = places.triangle.to(device) >= 0, places.barycentric.to(device)
    corners = mesh.faces[places.triangle.to(device).clamp(min=0)]
    points = sum(vertices[:, corners[:, k]] * weights[:, k, None] for k in range(3))
    assert isinstance(points, Tensor)
    grid = project_to_views(points, shots.K, shots.cam_from_world) / pixels * 2 - 1
    grid = grid.unflatten(1, (side, side))
    centre = torch.linalg.inv(shots.cam_from_world)[:, None, :3, 3]
    distance = (points - centre).norm(dim=-1).unflatten(1, (side, side))[:, None]
    depth = grid_sample(shots.depth, grid, mode="nearest", align_corners=False)
    seen = (depth > 0) & (distance < depth + TOLERANCE_M) & on_face.reshape(1, 1, side, side)
    return grid, seen.to(depth)


def draw_contours(marks: Float[Tensor, "b 68 2"], side: int) -> Float[Tensor, "b 1 s s"]:
    """Draw the landmarks' contours as lines, 0..1: the map that the discriminator sees (A.1.1).

    Args:
        marks: pixels of an image of ``side``².
    """
    centre = torch.arange(side, device=marks.device) + 0.5
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    pixel = torch.stack([x, y], -1)
    half_width = max(0.75, side / 256)
    out = torch.zeros(len(marks), side, side, device=marks.device)
    for k, (first, end) in enumerate(CHAINS):
        numbers = [*range(first, end), *([first] if k >= FIRST_CLOSED else [])]
        for i, j in pairwise(numbers):
            a, b = marks[:, i, None, None], marks[:, j, None, None]
            along = b - a
            t = ((pixel - a) * along).sum(-1) / along.square().sum(-1).clamp(min=1e-9)
            away = (pixel - a - t.clamp(0, 1)[..., None] * along).norm(dim=-1)
            out = torch.maximum(out, (half_width + 0.5 - away).clamp(0, 1))
    return out[:, None]
