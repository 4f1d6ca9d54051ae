"""Anchors (Sec. 4.1, 4.3): super-resolved renderings of the input from many sides, with many expressions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.views import render_view
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.methods.superhead.expressions import BASE, POOL
from headcast.observe.landmarks import FaceDetector
from headcast.progress import Progress
from headcast.render.mesh import rasterize_mesh
from headcast.view import flatten, front_view, head_center, to_rgba

__all__ = ["Anchor", "AnchorSet", "SuperResolve", "depth_target", "sample_anchors"]

MAX_ANGLE = (45.0, 25.0)
"""Degrees of yaw and pitch that cameras orbit the head by at most (the paper: 45 across all axes)."""
CLOSE = 1.25
"""The focal length, of that of the front view: the face fills more of an anchor."""
DETECT = ((1.5, 0.0, 0.0, 0.0), (1.35, 0.02, 0.0, 0.03))
"""Squares about a face in which landmarks are detected (see ``FaceDetector.measure``)."""
GREY = 128
MIN_COVERAGE = 0.02  # of an anchor
SOLID = 0.97  # coverage from which an anchor's pixel is compared


@runtime_checkable
class SuperResolve(Protocol):
    """What makes an anchor of a rendering: a restorer, in general."""

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"], scale: int
    ) -> UInt8[np.ndarray, "h2 w2 3"]:
        """Return the image ``scale`` times larger; ``points``: landmarks in the result's pixels."""
        ...


@dataclass(frozen=True)
class Anchor:
    """One super-resolved rendering of the input avatar.

    Attributes:
        camera, params: π_j and (θ_j, ψ_j) it was rendered with; identity as in the input.
        image: (H, W, 3) super-resolved, over grey, display values 0..1.
        alpha: (H, W) coverage of the rendering.
        low: (H, W, 3) the rendering before super-resolution, over the same grey.
        points: (478, 2) landmarks detected on the super-resolved image, pixels, without what the detector
            is off by on the rendering itself; None: no face found.
        box: x0, y0, x1, y1 around the face, pixels.
        in_base: whether it has the base expression (the n of Eq. 6).
    """

    camera: Camera
    params: HeadParams
    image: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    low: Float[Tensor, "h w 3"]
    points: Float[np.ndarray, "478 2"] | None
    box: tuple[float, float, float, float]
    in_base: bool


@dataclass(frozen=True)
class AnchorSet:
    """All k anchors, the n of the base expression first, and the base pose (θ_neu, ψ_neu)."""

    anchors: tuple[Anchor, ...]
    base: HeadParams

    @property
    def views(self) -> int:
        """Return n, the number of anchors with the base expression."""
        return sum(a.in_base for a in self.anchors)


def sample_anchors(
    avatar: GaussianAvatar,
    super_resolve: SuperResolve,
    *,
    views: int,
    total: int,
    side: int,
    scale: int,
    seed: int,
    progress: Progress | None = None,
) -> AnchorSet:
    """Render and super-resolve anchors.

    Args:
        views, total: n anchors of the base expression, k in all. side: of an anchor, pixels.
        scale: times that an anchor is larger than the rendering it comes from.
        seed: of the cameras of the further expressions.

    Raises:
        HeadcastError: the avatar's renderings show no head.
    """
    front = front_view(avatar, (round(side * CLOSE), round(side * CLOSE)))
    margin = (round(side * CLOSE) - side) // 2
    camera = front.camera.cropped(margin, margin, side, side)
    center = head_center(avatar, front.params)
    base = front.params.with_expression(BASE)
    rng = np.random.default_rng(seed)
    planned: list[tuple[HeadParams, tuple[float, float]]] = [(base, a) for a in base_angles(views)]
    for k in range(max(total - views, 0)):
        angles = (
            rng.uniform(-1, 1, 2) * MAX_ANGLE if k >= len(POOL) else rng.uniform(-0.5, 0.5, 2) * MAX_ANGLE
        )
        planned.append((front.params.with_expression(POOL[k % len(POOL)]), (angles[0], angles[1])))
    anchors = []
    with FaceDetector() as detector:
        for k, (params, angles) in enumerate(planned):
            turned = camera.orbited(center, *angles) if any(angles) else camera
            anchors.append(
                make_anchor(avatar, params, turned, super_resolve, detector, scale, in_base=k < views)
            )
            if progress:
                progress((k + 1) / len(planned), "super-resolving anchors")
    return AnchorSet(tuple(anchors), base)


def base_angles(views: int) -> list[tuple[float, float]]:
    """Spread cameras evenly: the front, then points of a sunflower within the elliptic range of angles."""
    golden = np.pi * (3 - np.sqrt(5))
    out = [(0.0, 0.0)]
    for k in range(1, views):
        radius = np.sqrt(k / max(views - 1, 1))
        out.append(
            (
                float(MAX_ANGLE[0] * radius * np.cos(k * golden)),
                float(MAX_ANGLE[1] * radius * np.sin(k * golden)),
            )
        )
    return out


def make_anchor(
    avatar: GaussianAvatar,
    params: HeadParams,
    camera: Camera,
    super_resolve: SuperResolve,
    detector: FaceDetector,
    scale: int,
    *,
    in_base: bool,
) -> Anchor:
    """Render one anchor, super-resolve it and detect the landmarks in it.

    Raises:
        HeadcastError: the rendering shows no head.
    """
    view = render_view(avatar, params, camera)
    if (
        not bool(torch.isfinite(view.rendering.rgb).all())
        or float(view.rendering.alpha.mean()) < MIN_COVERAGE
    ):
        raise HeadcastError("enhance: renderings of this avatar show no head; check it with headcast render")
    low = flatten(to_rgba(view.rendering), (GREY, GREY, GREY))
    known = camera.project(avatar.head.landmarks(avatar.head(params), 478)).numpy()
    if scale == 1:
        image = super_resolve(low, known, 1)
    else:
        reduced = render_view(avatar, params, camera.scaled(1 / scale)).rendering
        image = super_resolve(flatten(to_rgba(reduced), (GREY, GREY, GREY)), known, scale)
    points = moved_landmarks(detector, low, image, known)
    low_point, high = known.min(0), known.max(0)
    return Anchor(
        camera=camera,
        params=params,
        image=torch.from_numpy(image.astype(np.float32) / 255),
        alpha=view.rendering.alpha,
        low=torch.from_numpy(low.astype(np.float32) / 255),
        points=points,
        box=(float(low_point[0]), float(low_point[1]), float(high[0]), float(high[1])),
        in_base=in_base,
    )


def moved_landmarks(
    detector: FaceDetector,
    low: UInt8[np.ndarray, "h w 3"],
    image: UInt8[np.ndarray, "h w 3"],
    known: Float[np.ndarray, "478 2"],
) -> Float[np.ndarray, "478 2"] | None:
    """Return known landmarks moved as super-resolution moves the detected ones; None: no face found.

    Detected landmarks differ from the mesh's by the detector's habits, more than super-resolution moves them:
    taken as they are they would bend the shape away from the input's.
    """
    before, after = (detector.measure(x, known, DETECT) for x in (low, image))
    if before is None or after is None:
        return None
    return known + after.points - before.points


def with_identity(anchors: AnchorSet, identity: Float[Tensor, "i"]) -> AnchorSet:
    """Return the anchors with another shape β in their parameters; images stay."""
    changed = tuple(replace(a, params=a.params.replace(identity=identity)) for a in anchors.anchors)
    return AnchorSet(changed, anchors.base.replace(identity=identity))


def depth_target(
    avatar: GaussianAvatar, anchor: Anchor, covered: Bool[Tensor, "f"]
) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Return D_j of Eq. 5 and 10, the refined mesh's depth (m), and where the prior's surface is in front.

    Hair and clothes are shells of their own: where one of them is the nearest surface the mask is off.
    """
    surface = avatar.mesh.surface
    raster = rasterize_mesh(surface.posed(anchor.params).vertices, surface.faces, anchor.camera)
    padded = torch.zeros(len(surface.faces), dtype=torch.bool)
    padded[: len(covered)] = covered
    on_prior = (raster.triangle >= 0) & padded[raster.triangle.clamp(min=0).long()]
    return raster.depth, on_prior & (anchor.alpha > SOLID)
