"""Fit each ear to what a photo shows of it: how far it sticks out, its height on the head and its size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.observe.landmark_points import OVAL
from headcast.observe.outlines import soft_outline
from headcast.observe.types import Observation
from headcast.render.geometry import visibility

__all__ = ["fit_ears", "head_axes"]

OUT = np.linspace(0.3, 1.3, 11)  # factors on the distance by which an ear sticks out
INWARDS_M = np.linspace(
    -0.002, 0.008, 6
)  # by which its root lies nearer to the middle than the fitted head's
UP_M = np.linspace(-0.012, 0.012, 9)  # by which it lies higher
SIZE = (0.84, 0.92, 1.0, 1.08)  # factors on its height and depth
ROUNDS = 2  # of searching in turns: out and inwards, up and size
ROOT_QUANTILE = 0.1  # of the vertices' distances to the middle: where an ear begins to stick out
SPREAD_M = 0.018  # around an ear, over which the skin follows when it is moved
MIN_VISIBLE = 40  # vertices of an ear, for a photo to tell
MIN_FACING = 0.1  # cosine to the camera of an ear's visible vertices
WORK_HEIGHT = 72.0  # pixels of an ear's height at which outlines are compared
MARGIN = 0.45  # of the ear's extent, around it, that is compared
COVERED = 0.12  # share of skin in an ear's outline, below which hair covers the ear
HAIR_COST, UPPER = 0.7, 0.6  # cost of hair inside the outline, but above this share of its height
PRIOR = (
    0.04,
    0.04,
    0.03,
    0.06,
)  # cost of the extremes of out, inwards, up and size, as a share of the outline's area


class _Placement(NamedTuple):
    """Factor on how far an ear sticks out, metres inwards and up, factor on its size."""

    out: float = 1.0
    inwards: float = 0.0
    up: float = 0.0
    size: float = 1.0


AS_IS, EXTREME = _Placement(), _Placement(OUT[0], INWARDS_M[-1], UP_M[-1], SIZE[0])


class _Ear(NamedTuple):
    """One ear of the fitted head at rest.

    Attributes:
        which: (v,) its vertices. side: 1 for the subject's left, else -1. root: its distance to the middle
            plane where it begins to stick out, metres. centre: (3,) of the ear.
    """

    which: Bool[Tensor, "v"]
    side: float
    root: float
    centre: Float[Tensor, "3"]


def fit_ears(observation: Observation, head: HeadModel) -> Float[Tensor, "v 3"]:
    """Return offsets (metres, head frame) that fit each ear to the skin that a photo shows of it.

    An ear that the photo does not show follows the other one; without masks nothing moves.
    """
    offset = torch.zeros_like(head.neutral)
    if observation.masks is None or "ears" not in head.region_names:
        return offset
    rest = head.shape(observation.params.identity)
    ears = [_ear(rest, head, side) for side in (1.0, -1.0)]
    found = [_placement(observation, head, rest, ear) for ear in ears]
    for ear, own, other in zip(ears, found, reversed(found), strict=True):
        placement = own or other
        if placement is not None and placement != AS_IS:
            offset = offset + _offset(rest, ear, placement)
    return offset


def _ear(rest: Float[Tensor, "v 3"], head: HeadModel, side: float) -> _Ear:
    which = head.region_mask("ears") & (rest[:, 0] * side > 0)
    return _Ear(which, side, float(rest[which, 0].abs().quantile(ROOT_QUANTILE)), rest[which].mean(0))


def _offset(rest: Float[Tensor, "v 3"], ear: _Ear, placement: _Placement) -> Float[Tensor, "v 3"]:
    """Return the offsets of all vertices; the skin around the ear follows its height and size."""
    offset = torch.zeros_like(rest)
    beyond = (rest[:, 0] * ear.side - ear.root).clamp(min=0)
    near = rest[:, 0] * ear.side > 0
    distance = torch.cdist(rest[near], rest[ear.which]).amin(1)
    follow = torch.zeros(len(rest))
    follow[near] = 1 - torch.from_numpy(smoothstep(distance.numpy(), 0.0, SPREAD_M)).float()
    moved = (placement.size - 1) * (rest - ear.centre)
    offset[:, 0] = -ear.side * follow * placement.inwards
    offset[ear.which, 0] += ear.side * (placement.out - 1) * beyond[ear.which]
    offset[:, 1] = follow * (moved[:, 1] + placement.up)
    offset[:, 2] = follow * moved[:, 2]
    return offset


class _Outlines:
    """Outlines in a window of the photo that an ear has in any placement, and what the photo shows there."""

    def __init__(
        self, observation: Observation, head: HeadModel, rest: Tensor, posed: Tensor, ear: _Ear
    ) -> None:
        self.camera, self.ear = observation.camera, ear
        self.points, self.axes = posed[ear.which], head_axes(head, observation)
        self.beyond = (rest[ear.which, 0] * ear.side - ear.root).clamp(min=0)
        pixel = self.camera.project(self.points).numpy()
        low, high = pixel.min(0), pixel.max(0)
        margin = MARGIN * float((high - low).max())
        self.shrink = min(1.0, WORK_HEIGHT / float(high[1] - low[1]))
        self.corner = np.floor(low - margin).astype(int)
        width, height = np.ceil((high - low + 2 * margin) * self.shrink).astype(int)
        self.size = int(width), int(height)
        self.skin, self.cost = _evidence(observation, self.corner, self.size, self.shrink, pixel)

    def inside(self, placement: _Placement) -> Bool[np.ndarray, "h w"]:
        """Return the pixels inside the convex outline."""
        import cv2

        centred = (self.points - self.points.mean(0)) @ self.axes.T
        local = centred * torch.tensor([0.0, placement.size - 1, placement.size - 1])
        local[:, 0] = self.ear.side * ((placement.out - 1) * self.beyond - placement.inwards)
        local[:, 1] += placement.up
        at = (self.camera.project(self.points + local @ self.axes).numpy() - self.corner) * self.shrink
        hull = cv2.convexHull(np.round(at * 16).astype(np.int32))
        return cv2.fillConvexPoly(np.zeros(self.size[::-1], np.uint8), hull, (1,), cv2.LINE_8, 4) > 0


def _placement(
    observation: Observation, head: HeadModel, rest: Float[Tensor, "v 3"], ear: _Ear
) -> _Placement | None:
    """Return the placement whose outline covers the photo's skin beside the face best; None: not visible."""
    posed = head(observation.params)
    if not _is_visible(observation, head, posed, ear):
        return None
    outlines = _Outlines(observation, head, rest, posed, ear)
    usual = outlines.inside(AS_IS)
    area = max(1, int(usual.sum()))
    covered = float(outlines.skin[usual].sum()) / area < COVERED
    value = -outlines.cost[0] if covered else outlines.skin - outlines.cost.sum(0)

    def score(placement: _Placement) -> float:
        change = np.subtract(placement, AS_IS) / np.subtract(EXTREME, AS_IS)
        return float(value[outlines.inside(placement)].sum()) / area - float(np.dot(PRIOR, change**2))

    best = AS_IS
    for _ in range(ROUNDS):
        inwards = (0.0,) if covered else INWARDS_M
        best = max([best, *(best._replace(out=o, inwards=i) for o in OUT for i in inwards)], key=score)
        if covered:
            break
        best = max([best, *(best._replace(up=u, size=s) for u in UP_M for s in SIZE)], key=score)
    return _Placement(*map(float, best))


def _is_visible(observation: Observation, head: HeadModel, posed: Float[Tensor, "v 3"], ear: _Ear) -> bool:
    """Return whether the photo's camera sees enough of an ear."""
    camera, points = observation.camera, posed[ear.which]
    to_camera = torch.nn.functional.normalize(camera.center - points, dim=1)
    facing = (head.vertex_normals(posed)[ear.which] * to_camera).sum(1)
    seen = (visibility(points, camera, posed, head.faces, tolerance=0.003) > 0.5) & (facing > MIN_FACING)
    return int(seen.sum()) >= MIN_VISIBLE


def _evidence(
    observation: Observation,
    corner: np.ndarray,
    size: tuple[int, int],
    shrink: float,
    pixel: Float[np.ndarray, "k 2"],
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "2 h w"]]:
    """Return the skin beside the face in a window of the photo, and what speaks against an ear there.

    Returns:
        skin: 0..1. cost: background; hair, which may fall over the upper part of an ear.
    """
    import cv2

    masks = observation.masks
    assert masks is not None
    face = soft_outline(observation, OVAL, 1.0, 1.0)
    layers = np.stack([masks.skin * (1 - face), (1 - masks.person) * (1 - face), masks.hair * (1 - face)], -1)
    window = np.array([[shrink, 0, -corner[0] * shrink], [0, shrink, -corner[1] * shrink]])
    smooth = cv2.blur(layers.astype(np.float32), (max(1, round(1 / shrink)),) * 2)
    skin, background, hair = np.moveaxis(cv2.warpAffine(smooth, window, size), -1, 0)
    row = (np.arange(size[1]) + 0.5) / shrink + corner[1]
    bottom, top = pixel[:, 1].max(), pixel[:, 1].min()
    lower = smoothstep((row - bottom) / (top - bottom), UPPER + 0.1, UPPER - 0.1)
    return skin, np.stack([background, HAIR_COST * hair * lower[:, None]])


def head_axes(head: HeadModel, observation: Observation) -> Float[Tensor, "3 3"]:
    """Return the head's own axes (rows: subject's left, up, forward) in the world, neck included."""
    tips = torch.cat([torch.zeros(1, 3), 0.05 * torch.eye(3)])
    weights = torch.zeros(4, head.skin_weights.shape[1])
    weights[:, 2] = 1.0
    at = head.skin_points(tips, weights, observation.params)
    return torch.nn.functional.normalize(at[1:] - at[0], dim=1)
