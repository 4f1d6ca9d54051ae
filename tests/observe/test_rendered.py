"""A rendering observed: what is known of it is kept, what is not is estimated."""

from __future__ import annotations

import numpy as np
import torch

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe.rendered import observe_rendering
from headcast.render.shaded import render_textured
from headcast.render.shading import ambient


def test_landmarks_mask_and_light_are_those_of_the_rendering() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    camera = Camera.make(600, 256, 256)
    skin = torch.tensor([0.8, 0.62, 0.52]).expand(8, 8, 3)
    with torch.no_grad():
        v = head(params)
        normals = head.vertex_normals(v)
        light = 0.5 * ambient()
        rendering = render_textured(v, head.faces, normals, head.uv, head.faces_uv, skin, camera, light=light)
        seen = observe_rendering(rendering, head, params, camera, yaw=7.0, name="front")
        points = camera.project(head.landmarks(v, 478))
    assert np.allclose(seen.detection.points, points, atol=1e-3) and seen.detection.yaw == 7.0
    assert seen.masks is not None and seen.light is not None and seen.name == "front"
    assert np.abs(seen.masks.person - rendering.alpha.numpy()).mean() < 0.02
    assert (seen.image[rendering.alpha.numpy() == 0] == 128).all()
    nose = tuple(points[4].round().long().tolist()[::-1])
    assert seen.masks.skin[nose] > 0.9
