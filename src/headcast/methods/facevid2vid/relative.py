"""Keypoints of driven heads: absolute or relative to the driver's first frame, and from free viewpoints."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.methods.facevid2vid.pose import FaceMotion, place_keypoints

__all__ = ["DrivenHead", "ViewAngles", "hull_volume", "movement_scale"]

FLAT = 1e-9
"""Volume below which a hull gives no scale."""


class ViewAngles(NamedTuple):
    """Angles that replace the driver's, degrees as the weights count them (see ``FaceMotion``); None: its."""

    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None

    def replace_in(self, motion: FaceMotion, other: FaceMotion | None = None) -> FaceMotion:
        """Replace given angles of a motion by these, or by those of another motion."""
        changes = {
            name: getattr(other, name) if other is not None else torch.full_like(getattr(motion, name), angle)
            for name, angle in self._asdict().items()
            if angle is not None
        }
        return motion._replace(**changes)


class DrivenHead:
    """Keypoints of a source head under the motions of a driver.

    Absolute: the source's canonical keypoints take the driver's pose and expression. Relative: they move from
    the source's own place as the driver's move from those of its first frame, times ``scale``. An angle of
    ``view`` is absolute in either case.

    Args:
        canonical, motion: of the source image. initial: motion of the driver's first frame; None: absolute.
        adapt_scale: scale movements by the size of the source's keypoints over the driver's.
        legacy: rotation of the beta weights.
    """

    def __init__(
        self,
        canonical: Float[Tensor, "1 k 3"],
        motion: FaceMotion,
        initial: FaceMotion | None = None,
        *,
        adapt_scale: bool = True,
        view: ViewAngles | None = None,
        legacy: bool = False,
    ) -> None:
        self.canonical, self.legacy, self.view = canonical, legacy, view or ViewAngles()
        self.source = place_keypoints(canonical, motion, legacy)
        self.initial, self.scale = None, 1.0
        if initial is not None:
            if adapt_scale:
                self.scale = movement_scale(self.source, place_keypoints(canonical, initial, legacy))
            self.initial = place_keypoints(canonical, self.view.replace_in(initial, motion), legacy)

    def keypoints(self, driver: FaceMotion) -> Float[Tensor, "1 k 3"]:
        """Compute the keypoints of a driving frame."""
        placed = place_keypoints(self.canonical, self.view.replace_in(driver), self.legacy)
        if self.initial is None:
            return placed
        return self.source + self.scale * (placed - self.initial)


def movement_scale(source: Float[Tensor, "1 k 3"], driving: Float[Tensor, "1 k 3"]) -> float:
    """Compute the square root of the ratio of the hulls' volumes; 1 where a hull is flat."""
    a, b = hull_volume(source[0]), hull_volume(driving[0])
    return (a / b) ** 0.5 if min(a, b) > FLAT else 1.0


def hull_volume(points: Float[Tensor, "n 3"]) -> float:
    """Compute the volume of the convex hull of a few points, no four of which lie in one plane.

    Triangles of which all other points lie on one side are its faces; each spans a tetrahedron with the
    middle.
    """
    p = points.detach().double().cpu()
    p = p - p.mean(0)
    index = torch.tensor(list(combinations(range(len(p)), 3)))
    a, b, c = p[index].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    side = normal @ p.T - (normal * a).sum(-1, keepdim=True)
    others = torch.ones_like(side, dtype=torch.bool).scatter_(1, index, False)
    is_face = ((side > 0) | ~others).all(1) | ((side < 0) | ~others).all(1)
    return float((normal * a).sum(-1)[is_face].abs().sum() / 6)
