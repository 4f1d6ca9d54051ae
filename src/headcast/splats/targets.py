"""Target views that Gaussians are optimised towards, and the posed Gaussians in each of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.gaussian import TURNED, GaussianAvatar
from headcast.avatar.rig import frames_of, placement, to_world
from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.render.geometry import depth_at
from headcast.render.mesh import rasterize_mesh
from headcast.render.shading import shade

__all__ = ["PosedTarget", "ViewTarget", "pose_target"]

EDGE_ON = (0.1, 0.45)  # cosines to the viewer between which steps grow from ``MIN_STEP`` to whole ones
MIN_STEP = 0.1  # of a step, that Gaussians viewed edge-on still make: such a view says little about them
SKIN_EDGE_ON = (0.08, 0.4)  # the same for colours of the head, of which a view edge-on says nothing
EAR_STEP = 0.5  # of a colour's step: ears of a photo lie elsewhere than the model's, which are the mesh's
HIDDEN = 0.012  # metres behind the mesh from which nothing is visible
HIDDEN_INSIDE = 0.002  # the same for what lies inside the mouth: teeth must not learn the lips' colours
OVERSCAN = 0.1  # of the image's size, by which the middle of a Gaussian may lie outside
NEAR = 0.02  # metres from the camera


@dataclass(frozen=True)
class ViewTarget:
    """An image of the head that Gaussians must match: a photo, or a rendering of another avatar.

    Attributes:
        params: pose and expression in it (unbatched).
        image: (H, W, 3) display values, premultiplied by ``alpha``.
        alpha: (H, W) coverage.
        weight: (H, W) of each pixel's error in the loss; 0 where anything may be.
        depth: (H, W) camera z in metres, 0 where unknown; None: not compared.
    """

    camera: Camera
    params: HeadParams
    image: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    weight: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"] | None = None


@dataclass(frozen=True)
class PosedTarget:
    """A target and the n Gaussians that are visible in it, as the rig places them.

    Attributes:
        index: which Gaussians.
        origin, matrix: a local position p lies at origin + matrix p in the world.
        quaternion: in the world.
        log_scale_offset: what is added to the local log-scales.
        shading: linear light.
        step_scale: 0..1 of a step that each makes in colour, and in all else.
    """

    target: ViewTarget
    index: Int[Tensor, "n"]
    origin: Float[Tensor, "n 3"]
    matrix: Float[Tensor, "n 3 3"]
    quaternion: Float[Tensor, "n 4"]
    log_scale_offset: Float[Tensor, "n 3"]
    shading: Float[Tensor, "n 3"]
    step_scale: Float[Tensor, "n 2"]


def pose_target(avatar: GaussianAvatar, target: ViewTarget) -> PosedTarget:
    """Pose the avatar as the target says, and keep the Gaussians that face its camera."""
    own, surface = avatar.gaussians, avatar.mesh.surface
    params, camera = target.params, target.camera
    posed = surface.posed(params)
    frames = frames_of(posed.vertices, surface.faces)
    moves = placement(frames, avatar.rest)
    at = frames.origin[own.triangle] + (moves[own.triangle] @ own.position[..., None])[..., 0]
    index = torch.nonzero(_is_visible(avatar, params, at, camera))[:, 0]
    normals, openness = avatar.surface_shading(posed, index)
    towards = torch.nn.functional.normalize(camera.center.to(at) - at[index], dim=-1)
    facing = (towards * normals).sum(-1)
    is_facing = facing > sum(TURNED) / 2
    index, facing = index[is_facing], facing[is_facing]
    local = own[index]
    triangle = local.triangle
    world = to_world(local, frames, avatar.rest)
    return PosedTarget(
        target=target,
        index=index,
        origin=frames.origin[triangle],
        matrix=moves[triangle],
        quaternion=world.quaternion,
        log_scale_offset=world.log_scale - local.log_scale,
        shading=shade(normals[is_facing], avatar.source.light) * openness[is_facing, None],
        step_scale=_step_scale(avatar, params, index, facing),
    )


def _step_scale(
    avatar: GaussianAvatar, params: HeadParams, index: Int[Tensor, "n"], facing: Float[Tensor, "n"]
) -> Float[Tensor, "n 2"]:
    """Return each Gaussian's step from a view, in colour and in all else: little where viewed edge-on.

    Hair and clothes learn all but colour at every angle: they must find their outline.
    """
    openness = _lid_openness(avatar, params)[index]
    scale = (MIN_STEP + (1 - MIN_STEP) * _rising(facing, EDGE_ON)) * openness
    triangle = avatar.gaussians.triangle[index]
    on_head = avatar.mesh.surface.part[triangle] < 0
    ears = torch.where(_on_ears(avatar, triangle), EAR_STEP, 1.0)
    skin = _rising(facing, SKIN_EDGE_ON) * openness * ears
    return torch.stack([torch.where(on_head, skin, scale), torch.where(on_head, scale, 1.0)], -1)


def _rising(x: Float[Tensor, "n"], limits: tuple[float, float]) -> Float[Tensor, "n"]:
    """Rise smoothly from 0 to 1 between two limits."""
    x = ((x - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
    # in this order of products: the optimisation amplifies a change of the last bit
    return x * x * (3 - 2 * x)


def _on_ears(avatar: GaussianAvatar, triangle: Int[Tensor, "n"]) -> Bool[Tensor, "n"]:
    """Return which triangles of the surface lie on the head's ears."""
    head = avatar.head
    is_ear = torch.tensor([name == "ears" for name in head.region_names])[head.region]
    which = is_ear[torch.as_tensor(head.faces)].all(1)
    on_shells = torch.zeros(len(avatar.mesh.surface.faces) - len(which), dtype=torch.bool)
    return torch.cat([which, on_shells])[triangle]


def _lid_openness(avatar: GaussianAvatar, params: HeadParams) -> Float[Tensor, "n"]:
    """Return 1, down to 0 on lids more closed than in the source view: their colours there are kept apart."""
    out = torch.ones(len(avatar.gaussians))
    if avatar.mesh.lids is not None:
        index, side, _ = avatar.lid_points
        out[index] = 1 - avatar.mesh.lids.closed_fraction(params)[side]
    return out


def _is_visible(
    avatar: GaussianAvatar, params: HeadParams, world: Float[Tensor, "n 3"], camera: Camera
) -> Bool[Tensor, "n"]:
    """Return which points of the world lie in the image or near it, and not deep behind the mesh."""
    at, z = camera.project(world), camera.to_camera(world)[:, 2]
    size = torch.tensor([camera.width, camera.height])
    inside = ((at > -OVERSCAN * size) & (at < (1 + OVERSCAN) * size)).all(-1) & (z > NEAR)
    solid = avatar.mesh.surface.solid
    raster = rasterize_mesh(solid.posed(params).vertices, solid.faces, camera)
    in_mouth = avatar.mesh.surface.inside[solid.head.faces].all(1)
    limit = torch.full((len(avatar.mesh.surface.faces),), HIDDEN)
    limit[: len(in_mouth)][in_mouth] = HIDDEN_INSIDE
    return inside & (z < depth_at(raster.depth, at) + limit[avatar.gaussians.triangle])
