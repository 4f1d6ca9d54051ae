"""A stand-in for an avatar that draws its landmarks as dots: for tests of what lies above avatars."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from tests.bound import bound

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.types import Rendering


def _bound() -> BoundHead:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.3]))
    return bound(head, SourceView(Camera.make(900, 300, 400), params, torch.zeros(9, 3)), method="dots")


@dataclass
class FakeAvatar(BaseAvatar):
    """Renders white squares at the projected landmarks."""

    kind = "fake"
    mesh = None
    bound: BoundHead = field(default_factory=_bound)

    def render(
        self, params: HeadParams, camera: Camera, light: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
    ) -> Rendering:  # fmt: skip
        alpha = torch.zeros(camera.height, camera.width)
        for x, y in camera.project(self.head.landmarks(self.head(params), 478)).round().long().tolist():
            if 2 <= x < camera.width - 2 and 2 <= y < camera.height - 2:
                alpha[y - 2 : y + 2, x - 2 : x + 2] = 1
        rgb = torch.ones(camera.height, camera.width, 3) * alpha[..., None]
        return Rendering(rgb, alpha, alpha, "linear")
