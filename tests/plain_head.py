"""A plain head of Gaussians and a photo of it with a pattern that they lack."""

from __future__ import annotations

import numpy as np
import torch
from tests.bound import bound

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe.types import Detection, Masks, Observation
from headcast.render.shading import ambient
from headcast.splats.init import init_gaussians

__all__ = ["head_and_photo"]


def head_and_photo(side: int = 96, focal: float = 320.0) -> tuple[GaussianAvatar, Observation]:
    """Make a plain head of Gaussians, and a photo of it with a pattern that they lack; sizes in pixels."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    source = SourceView(Camera.make(focal, side, side), params, ambient())
    plain = np.full((128, 128, 3), 140, np.uint8)
    y, x = np.mgrid[0:256, 0:256]
    waves = (130 + 45 * np.sin(x / 7) * np.sin(y / 7))[..., None].repeat(3, 2).astype(np.uint8)
    with torch.no_grad():
        mesh = MeshAvatar(bound=bound(head, source), texture=plain)
        shown = MeshAvatar(bound=bound(head, source), texture=waves).render(params, source.camera)
        points = source.camera.project(head.landmarks(head(params))).numpy().astype(np.float64)
        avatar = GaussianAvatar(mesh, init_gaussians(mesh.surface, source))
    alpha = shown.alpha.numpy()
    none = np.zeros_like(alpha)
    photo = Observation(
        image=(shown.rgb.numpy() * alpha[..., None] * 255).round().astype(np.uint8),
        detection=Detection(points, (*points.min(0)[:2].tolist(), *points.max(0)[:2].tolist()), 1.0),
        masks=Masks(person=alpha, skin=alpha, hair=none, clothes=none, glasses=none),
        camera=source.camera,
        params=params,
        light=source.light.numpy(),
        landmark_error=0.0,
        name="synthetic",
    )
    return avatar, photo
