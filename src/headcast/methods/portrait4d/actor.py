"""Motion embeddings of expression codes for official weights, which embed images of faces only.

Not in the paper, whose expressions come from videos. An actor, the default method's mesh of the demo photo,
is rendered with the expression; used is the difference of its embedding from that of the photo's expression.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar
from headcast.demo import demo_photo
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.motion_embedding import align_faces
from headcast.methods.portrait4d.weights import Portrait4DNetworks
from headcast.view import front_view

__all__ = ["actor", "embed_acted_expression"]

SIDE = 320
"""Side of the actor's renderings, pixels."""


@cache
def actor() -> MeshAvatar:
    """Reconstruct the actor, once a process (takes seconds)."""
    from headcast.methods.base import reconstruct_mesh
    from headcast.observe.observe import observe_photo

    head = HeadModel.load()
    with torch.no_grad():
        return reconstruct_mesh([observe_photo(demo_photo(), head=head)], head)


def embed_acted_expression(networks: Portrait4DNetworks, params: HeadParams) -> Float[Tensor, " m"]:
    """Embed the actor's face, rendered with the weights, jaw and gaze of ``params`` (unbatched)."""
    mesh = actor()
    view = front_view(mesh, (SIDE, SIDE))
    posed = view.params.replace(expression=params.expression, jaw=params.jaw, gaze=params.gaze)
    with torch.no_grad():
        rendering = mesh.render(posed, view.camera)
        alpha = rendering.alpha[..., None]
        image = (rendering.rgb * alpha + 0.5 * (1 - alpha)) * 2 - 1
        marks = view.camera.project(mesh.head.landmarks(mesh.head(posed), 68))
        faces = align_faces(image.permute(2, 0, 1)[None], marks[None], networks.face_side)
        return networks.motion(faces)[0]
