"""Motion from recordings that the user names: windows of performances, tracked from videos or captured.

What ships uses authored motion only (``expressions``); recordings are for those who have the right to theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX, EYE_LOOK
from headcast.synth.expressions import HeadMotion, mirror_order
from headcast.synth.rng import CounterRng

__all__ = ["Recording", "draw_recorded"]


@dataclass(frozen=True)
class Recording:
    """A recorded performance of T frames.

    Attributes:
        name: where it came from.
        fps: frames per second.
        expression: (T, 52) weights; eyeLook* don't count, ``gaze`` does.
        neck: (T, 3) axis-angle, radians.
        gaze: (T, 2, 2) as in ``HeadParams``.
    """

    name: str
    fps: float
    expression: Float[Tensor, "t 52"]
    neck: Float[Tensor, "t 3"]
    gaze: Float[Tensor, "t 2 2"]

    def __post_init__(self) -> None:
        """Refuse a recording that is empty or not finite."""
        values = (self.expression, self.neck, self.gaze)
        if not len(self.expression) or self.fps <= 0 or not all(bool(x.isfinite().all()) for x in values):
            raise HeadcastError(f"{self.name}: holds no motion that can be used")


def draw_recorded(
    recordings: tuple[Recording, ...],
    people: CounterRng,
    frames: int,
    fps: float,
    strength: float,
    clip: bool,
) -> HeadMotion:
    """Sample N = people x frames moments of recordings, a person's frames together.

    A person takes a recording (long ones more often), mirrored or not, and a window of it: ``frames`` at
    ``fps`` from a random start, or, without ``clip``, unrelated moments. Short recordings run back and forth.
    """
    lengths = tuple(len(r.expression) / r.fps for r in recordings)
    which = people.choice("recording", lengths).tolist()
    flipped = people.chance("mirrored recording", 0.5).tolist()
    start, loose = people.uniform("start"), people.uniform("moments", frames)
    steps = torch.arange(frames, device=people.device) / fps
    each = []
    for i, (r, flip) in enumerate(zip(which, flipped, strict=True)):
        length = lengths[r] - 1 / recordings[r].fps  # from the first frame to the last
        seconds = loose[i] * length if not clip else start[i] * max(length - float(steps[-1]), 0.0) + steps
        each.append(_sample(recordings[r], seconds, flip, strength))
    return HeadMotion(*(torch.cat([getattr(m, n) for m in each]) for n in ("expression", "neck", "gaze")))


def _sample(recording: Recording, seconds: Float[Tensor, " t"], flip: bool, strength: float) -> HeadMotion:
    """Interpolate linearly between frames; time beyond an end turns round."""
    last = len(recording.expression) - 1
    at = seconds * recording.fps % max(2 * last, 1)
    at = torch.where(at > last, 2 * last - at, at).clamp(0, last)
    low = at.long()
    high, part = (low + 1).clamp(max=last), at - low

    def mix(x: Tensor) -> Tensor:
        x = x.to(seconds)
        w = part.reshape(-1, *[1] * (x.dim() - 1))
        return x[low] * (1 - w) + x[high] * w

    e, neck, gaze = mix(recording.expression).clamp(0, 1), mix(recording.neck), mix(recording.gaze)
    e[:, [EXPRESSION_INDEX[n] for n in EYE_LOOK]] = 0
    if flip:
        e = e[:, mirror_order()]
        neck = neck * neck.new_tensor([1.0, -1.0, -1.0])
        gaze = gaze.flip(1) * gaze.new_tensor([-1.0, 1.0])
    return HeadMotion((e * strength).clamp(0, 1), neck, gaze)
