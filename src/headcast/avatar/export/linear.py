"""The head as a linear blendshape rig: one rest shape and 52 deltas, rules baked where they are linear.

What a sum of shapes cannot express (``docs/export.md`` measures the difference): a closing lid does not take
over from looks and squints, ``mouthClose`` is not held back by a closed jaw, lids don't lie on the eyeball
between two shapes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.lids import eye_profile
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.params import HeadParams

__all__ = ["linear_shapes"]

CLEARANCE = 0.00015
"""Minimum gap between eyeball and lids during a linear blink, metres."""
MOST = 0.004
"""Maximum retraction of an eyeball under a closed lid, metres."""


def linear_shapes(
    head: HeadModel, identity: Float[Tensor, "i"]
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "52 v 3"]]:
    """Return the rest shape (head frame, metres) and the delta of each expression at weight 1.

    The eyeLook shapes turn the eyeballs, too. ``mouthClose`` closes the lips of an open jaw. A blink retracts
    the eyeball under the lids, whose straight path would otherwise cut through it.
    """
    count = len(EXPRESSIONS)
    weights = torch.cat([torch.zeros(1, count), torch.eye(count), torch.zeros(1, count)])
    jaw, close = EXPRESSION_INDEX["jawOpen"], EXPRESSION_INDEX["mouthClose"]
    weights[-1, jaw] = weights[-1, close] = 1
    params = HeadParams.neutral(head.identities, (len(weights),)).replace(
        identity=identity.expand(len(weights), -1), expression=weights
    )
    with torch.no_grad():
        shapes = head(params)
        neutral, deltas = shapes[0], shapes[1:-1] - shapes[0]
        deltas[close] = shapes[-1] - shapes[1 + jaw]
        for side in (0, 1):
            retract_eyeball(head, identity, side, neutral, deltas)
    return neutral, deltas


def retract_eyeball(
    head: HeadModel,
    identity: Float[Tensor, "i"],
    side: int,
    neutral: Float[Tensor, "v 3"],
    deltas: Float[Tensor, "52 v 3"],
) -> None:
    """Add the minimum retraction of the eyeball to a blink that keeps it under the lids throughout.

    Heads whose lids are not projected onto the eyes are unchanged.
    """
    name = ("eyeLeft", "eyeRight")[side]
    blink = deltas[EXPRESSION_INDEX[("eyeBlinkLeft", "eyeBlinkRight")[side]]]
    if name not in head.part_names or not len(head.lid_rim):
        return
    eyeball = torch.unique(head.faces[head.part_faces(name)])
    back, steps = torch.tensor([0.0, 0.0, -1.0]), torch.linspace(0, MOST, 41)
    sufficient = [d for d in steps if gap(head, identity, side, neutral, blink, back * d) >= CLEARANCE]
    blink[eyeball] += back * (sufficient[0] if sufficient else steps[-1])


def gap(
    head: HeadModel,
    identity: Float[Tensor, "i"],
    side: int,
    neutral: Float[Tensor, "v 3"],
    blink: Float[Tensor, "v 3"],
    retreat: Float[Tensor, "3"],
) -> float:
    """Return the minimum distance of the lids' edge from the eyeball's surface during a linear blink."""
    edge = head.lid_index[side][head.lid_rim]
    if len(edge) == 0:
        return MOST
    joint = head.joints(identity)[4 + side]
    growth = 1 + identity @ head.eye_growth
    fraction = torch.linspace(0.1, 0.9, 9)[:, None, None]
    ray = neutral[edge] + fraction * (blink[edge] - retreat) - joint
    distance = ray.norm(dim=-1)
    surface = eye_profile(ray[..., 2] / distance, head.eye_profile, growth[side])
    return float((distance - surface).min())
