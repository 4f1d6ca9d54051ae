"""Gaussians made to look like the photos, and like the textured mesh everywhere else.

Two of three steps look at a photo, the third at a rendering of the mesh from other sides and with other
expressions (pseudo-targets): what no photo shows must stay as it was. Colours, opacity, reach and, a little,
position are moved; positions are drawn back to the seed a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.gaussian import TURNED, GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.rig import frames_of, placement, to_world
from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.observe.types import Observation
from headcast.render.gaussians import render_gaussians
from headcast.render.geometry import depth_at
from headcast.render.mesh import rasterize_mesh
from headcast.render.shading import shade
from headcast.rotation import axis_angle_to_matrix
from headcast.splats.adam import RowAdam
from headcast.splats.init import seed as seeded
from headcast.splats.shade import shade_and_place

__all__ = ["PSEUDO", "polish", "with_gaussians"]

STEPS, EACH = 70, 18  # in all; at least for each photo
RATES = {"albedo": 0.03, "opacity": 0.08, "log_scale": 0.06, "position": 0.06}
BETAS, EPS = (0.8, 0.99), 1e-9  # of Adam; smaller gradients than EPS are noise
PULL = 0.01  # share of the way that positions go back to the seed at every step
AWAY = 6.0  # of a Gaussian's reach, by which it may move
SHRINK, GROW = 0.15, 0.7  # of the logarithm of a Gaussian's reach
COVERED, CLOSE = 0.97, 1.0  # coverage that what is solid in a picture must have, and what a lack of it costs
SOLID = 0.97  # opacity that what was opaque keeps, so that no other view sees through it
EDGE_ON, LEAST = (0.1, 0.45), 0.1  # cosines to the viewer between which steps grow from their least share
CYCLE = 3  # steps, the last of which looks at a pseudo-target
BRIGHTEST = 1.4  # albedo in display values: some light is dimmer than what it lit
HIDDEN = 0.012  # metres behind the mesh from which nothing is seen
SIDE = 512  # pixels of the longer side at which photos are compared
FOREHEAD, CHIN = 10, 152  # of the face mesh
PSEUDO_SIDE = 384
FACE_WEIGHT = 2.0
MESH_SHARE = 0.2  # of the mesh's rendering in what a face must look like in a photo: so it looks elsewhere
ROUND = 0.03  # of the colour range: errors below it count by their square, above by their size
PSEUDO: tuple[tuple[float, float, dict[str, float]], ...] = (
    (40, 0, {}),
    (-40, 0, {}),
    (
        20,
        10,
        {"eyeLookDownLeft": 0.9, "eyeLookDownRight": 0.9, "mouthStretchLeft": 0.6, "mouthStretchRight": 0.6},
    ),
    (-20, -10, {"jawOpen": 0.45, "mouthFunnel": 0.5}),
    (75, 5, {}),
    (-75, 5, {}),
    (0, -10, {"jawOpen": 0.7, "mouthUpperUpLeft": 0.7, "mouthUpperUpRight": 0.7}),
    (180, 10, {}),
    (10, 10, {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthShrugLower": 0.7, "eyeSquintLeft": 0.6}),
    (-12, 0, {"eyeLookOutLeft": 0.7, "eyeLookInRight": 0.7, "mouthLeft": 0.8}),
)
"""Yaw and pitch of the camera, degrees, and expressions of the pseudo-targets."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class View:
    """A picture to be met, and what the rig does in it to the n Gaussians that can be seen.

    Attributes:
        index: which Gaussians.
        origin, matrix: a local position p lies at origin + matrix p in the world.
        quaternion: in the world. ``grown``: what is added to the local log-scales.
        shading: linear light.
        share: 0..1 of a step that each goes in colour, and in all else: what is seen edge-on is told little.
        target: (H, W, 3) display values, premultiplied; alpha (H, W); weight (H, W).
    """

    camera: Camera
    index: Int[Tensor, "n"]
    origin: Float[Tensor, "n 3"]
    matrix: Float[Tensor, "n 3 3"]
    quaternion: Float[Tensor, "n 4"]
    grown: Float[Tensor, "n 3"]
    shading: Float[Tensor, "n 3"]
    share: Float[Tensor, "n 2"]
    target: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    weight: Float[Tensor, "h w"]


def polish(
    avatar: GaussianAvatar, observations: Sequence[Observation], *, seed: int = 0, steps: int | None = None,
    progress: Progress | None = None,
) -> GaussianAvatar:  # fmt: skip
    """The avatar after ``steps`` steps of Adam; photos and pseudo-targets take turns.

    Args:
        seed: of the backgrounds.
        steps: None: ``STEPS``, more where there are so many photos that each would get few of them.
        progress: told the share done.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        photos = [photo_view(avatar, o, o is observations[0]) for o in observations if o.masks is not None]
        pseudo = [pseudo_view(avatar, *p) for p in PSEUDO]
    if not photos:
        return avatar
    steps = max(STEPS, EACH * len(photos) * CYCLE // (CYCLE - 1)) if steps is None else steps
    first = {k: getattr(avatar.gaussians, k).clone() for k in RATES}
    now = {k: v.clone() for k, v in first.items()}
    adam = {k: RowAdam(v, BETAS, EPS) for k, v in now.items()}
    for step in range(steps):
        turn, rest = divmod(step, CYCLE)
        if rest == CYCLE - 1:
            view = pseudo[turn % len(pseudo)]
        else:
            view = photos[(turn * (CYCLE - 1) + rest) % len(photos)]
        fade = 0.5 ** (3 * step / steps)
        shown = {k: v[view.index].requires_grad_() for k, v in now.items()}
        loss_in(view, shown, torch.rand(3, generator=rng)).backward()
        for k, v in shown.items():  # of what isn't seen nothing may move, not even by momentum
            assert v.grad is not None
            adam[k].step(view.index, v.grad, RATES[k] * fade, view.share[:, int(k != "albedo")])
        bound(now, first)
        if progress:
            progress((step + 1) / steps, "polishing")
    return replace(avatar, gaussians=replace(avatar.gaussians, **now))


def bound(now: dict[str, Tensor], first: dict[str, Tensor]) -> None:
    """Keeps everything, in place, near enough to where it began that no other view tears open."""
    reach = first["log_scale"][:, :2].mean(1, keepdim=True).exp()
    now["position"].lerp_(first["position"], PULL)
    off = now["position"] - first["position"]
    now["position"].sub_(off * (1 - AWAY * reach / off.norm(dim=-1, keepdim=True)).clamp(min=0))
    now["albedo"].clamp_(0, BRIGHTEST)
    now["log_scale"].clamp_(first["log_scale"] - SHRINK, first["log_scale"] + GROW)
    solid = math.log(SOLID / (1 - SOLID))
    now["opacity"].clamp_(min=torch.where(first["opacity"] > solid, solid, -torch.inf))


def with_gaussians(
    mesh: MeshAvatar, observations: Sequence[Observation], *, seed: int = 0, progress: Progress | None = None
) -> GaussianAvatar:
    """A textured mesh covered with Gaussians, and these made to look like the photos."""
    with torch.no_grad():
        avatar = GaussianAvatar(mesh, seeded(mesh.surface, mesh.source))
    return polish(avatar, observations, seed=seed, progress=progress)


def loss_in(view: View, x: dict[str, Tensor], background: Float[Tensor, "3"]) -> Float[Tensor, ""]:
    """How far a view, with ``x`` of the Gaussians seen in it, is from its target over a background."""
    world, colours = shade_and_place(x["position"], x["albedo"], view.origin, view.matrix, view.shading)
    out = render_gaussians(
        world, x["log_scale"] + view.grown, view.quaternion, x["opacity"], colours, view.camera,
        background=background,
    )  # fmt: skip
    target = view.target + (1 - view.alpha)[..., None] * background
    wrong = out.rgb - target
    rounded = (wrong**2 + ROUND**2).sqrt() - ROUND + 0.5 * wrong**2
    gaps = (COVERED - out.alpha).clamp(min=0) * (view.alpha > COVERED) * (view.weight > 0)
    return (rounded * view.weight[..., None]).mean() + CLOSE * gaps.mean()


def photo_view(avatar: GaussianAvatar, observation: Observation, whole: bool = True) -> View:
    """A photo as the target of its own view; if not ``whole``, only what is above the chin or hair.

    The body is the first photo's: on another one clothes and shoulders lie elsewhere.
    """
    import cv2

    from headcast.methods.fit.skin.observations import soft_outline
    from headcast.observe.landmark_points import OVAL

    assert observation.masks is not None
    scale = min(1.0, SIDE / max(observation.image.shape[:2]))
    camera = observation.camera.scaled(scale)
    size = (camera.width, camera.height)
    face = soft_outline(observation, OVAL, 1.0, 4.0)
    unsure = np.minimum(observation.masks.person, 1 - observation.masks.person)

    def small(x: np.ndarray) -> Tensor:
        return torch.from_numpy(cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA))

    alpha = small(observation.masks.person)
    rgb = small(observation.image) / 255
    weight = (1 + FACE_WEIGHT * small(face)) * (1 - small(unsure))
    drawn = avatar.mesh.render(observation.params, camera)
    rgb = rgb + (MESH_SHARE * small(face) * (drawn.alpha > COVERED))[..., None] * (drawn.rgb - rgb)
    if not whole:
        weight = weight * small(above_chin(observation) | (observation.masks.hair > 0.5))
    return view_of(avatar, observation.params, camera, rgb * alpha[..., None], alpha, weight)


def above_chin(observation: Observation) -> Bool[np.ndarray, "h w"]:
    """The half of the picture over the chin, along the face's own upright."""
    points = observation.detection.points
    up = points[FOREHEAD] - points[CHIN]
    y, x = np.mgrid[: observation.image.shape[0], : observation.image.shape[1]] + 0.5
    return (x - points[CHIN, 0]) * up[0] + (y - points[CHIN, 1]) * up[1] > 0


def pseudo_view(avatar: GaussianAvatar, yaw: float, pitch: float, expression: dict[str, float]) -> View:
    """A rendering of the mesh, from another side than the photo's and with another expression."""
    source = avatar.source
    camera = around(source.camera, avatar, yaw, pitch)
    camera = camera.scaled(min(1.0, PSEUDO_SIDE / max(camera.width, camera.height)))
    params = source.params.with_expression(expression) if expression else source.params
    drawn = avatar.mesh.render(params, camera)
    weight = torch.ones_like(drawn.alpha)
    return view_of(avatar, params, camera, drawn.rgb * drawn.alpha[..., None], drawn.alpha, weight)


def around(camera: Camera, avatar: GaussianAvatar, yaw: float, pitch: float) -> Camera:
    """The camera moved around the head; degrees, signs as on the command line."""
    params = avatar.source.params
    turn = axis_angle_to_matrix(params.rotation)
    centre = avatar.head.joints(params.identity)[2] @ turn.T + params.translation
    axes = torch.deg2rad(torch.tensor([[0.0, yaw, 0.0], [-pitch, 0.0, 0.0]]))
    R = turn @ axis_angle_to_matrix(axes[0]) @ axis_angle_to_matrix(axes[1]) @ turn.T
    world = torch.eye(4)  # moves the world instead of the camera
    world[:3, :3] = R.T
    world[:3, 3] = centre - R.T @ centre
    return replace(camera, cam_from_world=camera.cam_from_world @ world)


def view_of(
    avatar: GaussianAvatar, params: HeadParams, camera: Camera, target: Float[Tensor, "h w 3"],
    alpha: Float[Tensor, "h w"], weight: Float[Tensor, "h w"],
) -> View:  # fmt: skip
    """What the rig does in a view to the Gaussians that face it."""
    own, surface = avatar.gaussians, avatar.mesh.surface
    posed = surface.posed(params)
    frames = frames_of(posed.vertices, surface.faces)
    moves = placement(frames, avatar.rest)
    at = frames.origin[own.triangle] + (moves[own.triangle] @ own.position[..., None])[..., 0]
    index = torch.nonzero(in_sight(avatar, params, at, camera))[:, 0]
    normals, openness = avatar.below(posed, index)
    towards = torch.nn.functional.normalize(camera.center.to(at) - at[index], dim=-1)
    facing = (towards * normals).sum(-1)
    seen = facing > sum(TURNED) / 2
    index, facing = index[seen], facing[seen]
    lit = shade(normals[seen], avatar.source.light) * openness[seen, None]
    local = own[index]
    triangle = local.triangle
    world = to_world(local, frames, avatar.rest)
    x = ((facing - EDGE_ON[0]) / (EDGE_ON[1] - EDGE_ON[0])).clamp(0, 1)
    told = LEAST + (1 - LEAST) * x * x * (3 - 2 * x)
    skin = surface.part[triangle] < 0  # hair and clothes must find their outline
    told = told * as_seen(avatar, params)[index]
    share = torch.stack([told, torch.where(skin, told, 1.0)], -1)
    return View(
        camera, index, frames.origin[triangle], moves[triangle], world.quaternion,
        world.log_scale - local.log_scale, lit, share, target, alpha, weight,
    )  # fmt: skip


def as_seen(avatar: GaussianAvatar, params: HeadParams) -> Float[Tensor, "n"]:
    """1, down to 0 on lids that are more shut than in the first photo: their colours there are kept apart."""
    out = torch.ones(len(avatar.gaussians))
    if avatar.mesh.lids is not None:
        index, side, _ = avatar.on_lids
        out[index] = 1 - avatar.mesh.lids.shut(params)[side]
    return out


def in_sight(
    avatar: GaussianAvatar, params: HeadParams, world: Float[Tensor, "n 3"], camera: Camera
) -> Bool[Tensor, "n"]:
    """Which points of the world lie in the picture or near it, and not deep behind the mesh."""
    at, z = camera.project(world), camera.to_camera(world)[:, 2]
    size = torch.tensor([camera.width, camera.height])
    inside = ((at > -0.1 * size) & (at < 1.1 * size)).all(-1) & (z > 0.02)
    solid = avatar.mesh.surface.solid
    drawn = rasterize_mesh(solid.posed(params).vertices, solid.faces, camera)
    return inside & (z < depth_at(drawn.depth, at) + HIDDEN)
