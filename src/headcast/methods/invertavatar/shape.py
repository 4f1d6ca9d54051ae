"""Let an avatar's shape follow what further frames say of it; its textures, bound to the surface, stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera, project_points
from headcast.observe.recursive import ShapeEvidence
from headcast.texture.registration import SurfaceFlow, fit_pose

__all__ = ["with_evidence"]

ROUNDS = 4


def with_evidence(
    mesh: MeshAvatar, evidence: ShapeEvidence, identity: Float[np.ndarray, "i"], log_focal: float
) -> MeshAvatar:
    """Return the avatar with another identity and focal length.

    The source view's pose follows: the person's landmarks stay where the first photo showed them.
    """
    source = mesh.source
    camera, params = source.camera, source.params
    if source.landmarks is None:
        return mesh
    triangle, bary = (x.numpy() for x in source.landmarks)
    points = source.landmarks.on(mesh.head(params), mesh.head.faces).numpy()
    pixel = project_points(points.astype(np.float32), camera)[0]
    if (camera.width, camera.height) == evidence.size:
        ratio = float(np.exp(log_focal)) / float(camera.K[0, 0])
        K = camera.K.clone()
        K[0, 0], K[1, 1] = K[0, 0] * ratio, K[1, 1] * ratio
        camera = Camera(K, camera.cam_from_world, camera.width, camera.height)
        params = params.replace(translation=params.translation * ratio)
    params = params.replace(identity=torch.from_numpy(identity).float())
    flow, start = SurfaceFlow(triangle, bary, pixel), params
    for _ in range(ROUNDS):
        params = fit_pose(params, start, flow, camera, mesh.head)
    source = replace(source, camera=camera, params=params)
    return replace(mesh, bound=replace(mesh.bound, source=source))
