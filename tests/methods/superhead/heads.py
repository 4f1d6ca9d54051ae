"""A plain head with a pattern on its face, for the tests of SuperHead."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from tests.bound import bound

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.splats.init import init_gaussians

__all__ = ["patterned"]


@cache
def patterned() -> GaussianAvatar:
    """Gaussians with waves of about 14 texels of 512."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    source = SourceView(Camera.make(800, 256, 256), params, ambient())
    y, x = np.mgrid[0:512, 0:512]
    waves = (150 + 40 * np.sin(x / 2.2) * np.sin(y / 2.2))[..., None] * [1.0, 0.8, 0.7]
    mesh = MeshAvatar(bound=bound(head, source), texture=waves.astype(np.uint8))
    with torch.no_grad():
        return GaussianAvatar(mesh, init_gaussians(mesh.surface, source))
