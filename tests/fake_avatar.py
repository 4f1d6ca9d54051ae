"""A stand-in for an avatar that draws its landmarks as dots: for tests of what lies above avatars."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import torch

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.types import Rendering


@dataclass
class FakeAvatar:
    """Renders white squares at the projected landmarks."""

    head: HeadModel = field(default_factory=HeadModel.load)

    @property
    def info(self) -> dict[str, str]:
        return {"kind": "fake", "method": "dots"}

    @property
    def source(self) -> SimpleNamespace:
        params = HeadParams.neutral(self.head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.3]))
        return SimpleNamespace(camera=Camera.make(900, 300, 400), params=params, light=torch.zeros(9, 3))

    def render(self, params: HeadParams, camera: Camera, light: torch.Tensor | None = None) -> Rendering:
        alpha = torch.zeros(camera.height, camera.width)
        for x, y in camera.project(self.head.landmarks(self.head(params), 478)).round().long().tolist():
            if 2 <= x < camera.width - 2 and 2 <= y < camera.height - 2:
                alpha[y - 2 : y + 2, x - 2 : x + 2] = 1
        rgb = torch.ones(camera.height, camera.width, 3) * alpha[..., None]
        return Rendering(rgb, alpha, alpha, "linear")
