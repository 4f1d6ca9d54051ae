"""Expression weights for networks that know faces alone: an actor performs them, the encoder looks at it.

Not in the paper, whose expressions come from videos. The actor is the default method's mesh of the demo
photo; what counts is how its embedding differs from that of the photo's own expression.
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
from headcast.methods.portrait4d.motion_embedding import faces_of
from headcast.methods.portrait4d.weights import Networks
from headcast.view import front_view

__all__ = ["acted", "actor"]

SIDE = 320


@cache
def actor() -> MeshAvatar:
    """Made once a process (seconds)."""
    from headcast.methods.base import reconstruct_mesh
    from headcast.observe.observe import observe_photo

    head = HeadModel.load()
    with torch.no_grad():
        return reconstruct_mesh([observe_photo(demo_photo(), head=head)], head)


def acted(networks: Networks, params: HeadParams) -> Float[Tensor, " m"]:
    """The embedding of the actor's face with the weights, jaw and gaze of ``params`` (unbatched)."""
    who = actor()
    view = front_view(who, (SIDE, SIDE))
    posed = view.params.replace(expression=params.expression, jaw=params.jaw, gaze=params.gaze)
    with torch.no_grad():
        drawn = who.render(posed, view.camera)
        alpha = drawn.alpha[..., None]
        image = (drawn.rgb * alpha + 0.5 * (1 - alpha)) * 2 - 1
        marks = view.camera.project(who.head.landmarks(who.head(posed), 68))
        faces = faces_of(image.permute(2, 0, 1)[None], marks[None], networks.face_side)
        return networks.motion(faces)[0]
