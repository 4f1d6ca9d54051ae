"""Which Gaussians a target teaches: those in view, not teeth behind closed lips."""

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
from headcast.render.shading import ambient
from headcast.splats.init import init_gaussians
from headcast.splats.targets import ViewTarget, pose_target


def test_teeth_learn_only_from_open_mouths() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.04, -0.6]))
    camera = Camera.make(400, 128, 128)
    mesh = MeshAvatar(
        bound=bound(head, SourceView(camera, params, ambient())),
        texture=np.full((128, 128, 3), 140, np.uint8),
    )
    with torch.no_grad():
        avatar = GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))
        teeth = torch.isin(avatar.gaussians.triangle, head.part_faces("teethUpper"))
        image = torch.zeros(128, 128, 3)

        def visible(**weights: float) -> int:
            target = ViewTarget(
                camera=camera,
                params=params.with_expression(weights),
                image=image,
                alpha=image[..., 0],
                weight=image[..., 0],
            )
            return int(teeth[pose_target(avatar, target).index].sum())

        shown = visible(jawOpen=0.4, mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8)
        assert shown > 15 and visible() < 0.2 * shown
