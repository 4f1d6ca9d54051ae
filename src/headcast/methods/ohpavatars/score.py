"""What a round gained or lost in the source view: likeness to the photo, and sharpness of the face."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headcast.methods.ohpavatars.script import SIDE, ScriptShot, face_camera, shot_view
from headcast.methods.ohpavatars.update import GREY, landmarks_in, render_rgba
from headcast.view import flatten

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.types import Observation

__all__ = ["SourceScore", "is_identity_lost", "nothing_to_gain", "score_source_view"]

RE_RENDERINGS = ((0.0, 0.0), (3.0, 0.0), (-3.0, 0.0), (0.0, 3.0), (0.0, -3.0), (2.0, 2.0), (-2.0, -2.0))
"""Yaw and pitch, degrees off the source view: differences between these are no loss of identity."""
STOP_SPREADS = 2.0  # standard deviations over re-renderings by which identity may fall


@dataclass(frozen=True)
class SourceScore:
    """Scores of the source view after a round.

    Attributes:
        identity: cosine of the face to the photo's, mean over re-renderings.
        spread: standard deviation of that cosine over re-renderings.
        sharpness: RMS of the Laplacian of luma in the face, in 1/1000 of the range.
        dropped: frames of the round that taught nothing.
    """

    identity: float
    spread: float
    sharpness: float
    dropped: int = 0

    def facts(self) -> dict[str, Any]:
        """Return plain values, rounded, for JSON."""
        return {k: round(v, 4) for k, v in asdict(self).items()}

    def line(self, round_number: int, frames: int) -> str:
        """Describe the round in one sentence."""
        dropped = f"; {self.dropped} of {frames} frames dropped" if self.dropped else ""
        return (
            f"round {round_number}: identity {self.identity:.3f} (spread {self.spread:.3f}), "
            f"sharpness {self.sharpness:.1f}{dropped}"
        )


def nothing_to_gain(observation: Observation) -> bool:
    """Tell whether a photo is large and sharp already, by the thresholds of ``observe.report``."""
    from headcast.observe.report import quality

    severity = {line.subject: line.severity for line in quality(observation)}
    return severity["size"] == "good" and severity["sharpness"] == "good"


def score_source_view(
    avatar: Avatar, observation: Observation, side: int = SIDE, dropped: int = 0
) -> SourceScore:
    """Score an avatar against the photo it was made from, from the source camera and close around it.

    Args:
        side: of the square that is rendered, pixels. dropped: frames of the round that taught nothing.
    """
    from headcast.metrics.face import face_mask
    from headcast.metrics.sharpness import detail
    from headcast.priors.embedding.infer import embed_face

    person = embed_face(observation.image, observation.detection.points[:, :2])
    alike, sharpness = [], 0.0
    for yaw, pitch in RE_RENDERINGS:
        view = shot_view(avatar, face_camera(avatar, side), ScriptShot(yaw, pitch))
        rgb, points = flatten(render_rgba(avatar, view), (GREY, GREY, GREY)), landmarks_in(avatar, view)
        alike.append(float(person @ embed_face(rgb, points)))
        if not (yaw or pitch):
            sharpness = 1000 * detail(rgb, face_mask(points, side, side))
    return SourceScore(float(np.mean(alike)), float(np.std(alike)), sharpness, dropped)


def is_identity_lost(before: SourceScore, now: SourceScore) -> bool:
    """Tell whether identity fell by more than ``STOP_SPREADS`` times its spread over re-renderings."""
    return now.identity < before.identity - STOP_SPREADS * before.spread
