"""A motion: expression weights, head rotation and gaze over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, check_names
from headcast.head.params import HeadParams

__all__ = ["Motion"]


@dataclass(frozen=True)
class Motion:
    """Motion of a head, independent of its identity.

    Attributes:
        fps: frames per second.
        expression: (T, 52) weights in the order of ``EXPRESSIONS``.
        neck: (T, 3) rotation of the head relative to the shoulders, axis-angle, radians.
        gaze: (T, 2, 2) rotation of the eyeballs as in ``HeadParams``; None: the ``eyeLook*`` weights say.
        camera_yaw: (T,) degrees by which the camera moves around the head.
        labels: (T,) words shown under frames, or empty.
        audio_from: the file whose sound belongs to the motion.
        name: where it came from, for messages.
        notes: what the user should know of the recording.
    """

    fps: float
    expression: Float[Tensor, "t 52"]
    neck: Float[Tensor, "t 3"]
    gaze: Float[Tensor, "t 2 2"] | None = None
    camera_yaw: Float[Tensor, "t"] | None = None
    labels: tuple[str, ...] = ()
    audio_from: Path | None = None
    name: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.expression.shape[0]

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return len(self) / self.fps

    @staticmethod
    def from_curves(
        fps: float,
        frames: int,
        curves: Mapping[str, Sequence[float] | Tensor],
        name: str = "",
        neck: Tensor | None = None,
    ) -> Motion:
        """Make a motion from named expression curves with a value per frame; the unnamed stay zero.

        Raises:
            HeadcastError: an unknown name.
        """
        check_names(curves, name or "motion")
        expression = torch.zeros(frames, len(EXPRESSIONS))
        for key, values in curves.items():
            expression[:, EXPRESSION_INDEX[key]] = torch.as_tensor(values, dtype=torch.float32)
        return Motion(
            fps=fps,
            expression=expression,
            neck=torch.zeros(frames, 3) if neck is None else neck.float(),
            name=name,
        )

    def curve(self, name: str) -> Float[Tensor, "t"]:
        """Return one expression weight over time."""
        check_names([name], self.name or "motion")
        return self.expression[:, EXPRESSION_INDEX[name]]

    def resampled(self, fps: float) -> Motion:
        """Resample to another frame rate, linear between frames; the duration stays within a frame."""
        if not math.isfinite(fps) or fps <= 0:
            raise HeadcastError(f"{self.name or 'motion'}: cannot be played at {fps} frames per second")
        count = max(1, round(len(self) * fps / self.fps))
        return self.sampled(torch.arange(count, dtype=torch.float64) * (self.fps / fps), fps)

    def sampled(self, at: Float[Tensor, "n"], fps: float) -> Motion:
        """Return the motion at fractional frame numbers, linear between frames, still beyond the last.

        Args:
            at: (n,) frame numbers, 1.5 is halfway between the second frame and the third.
            fps: frames per second of the result.
        """
        at = at.double().clamp(min=0, max=len(self) - 1)
        low = at.long()
        high = (low + 1).clamp(max=len(self) - 1)
        part = (at - low).float()

        def mix(x: Float[Tensor, "t ..."]) -> Float[Tensor, "n ..."]:
            w = part.reshape(-1, *[1] * (x.dim() - 1)).to(x.dtype)
            return x[low] * (1 - w) + x[high] * w

        labels = tuple(self.labels[int(i)] for i in at.round().long()) if self.labels else ()
        return replace(
            self,
            fps=float(fps),
            expression=mix(self.expression),
            neck=mix(self.neck),
            gaze=None if self.gaze is None else mix(self.gaze),
            camera_yaw=None if self.camera_yaw is None else mix(self.camera_yaw),
            labels=labels,
        )

    def first(self, frames: int) -> Motion:
        """Keep the first ``frames`` frames; a shorter motion stays as it is."""
        return self._taken(torch.arange(min(frames, len(self))))

    def looped(self, frames: int) -> Motion:
        """Repeat from the start until there are ``frames`` frames; a longer motion is cut."""
        return self._taken(torch.arange(frames) % len(self))

    def _taken(self, index: Tensor) -> Motion:
        return replace(
            self,
            expression=self.expression[index],
            neck=self.neck[index],
            gaze=None if self.gaze is None else self.gaze[index],
            camera_yaw=None if self.camera_yaw is None else self.camera_yaw[index],
            labels=tuple(self.labels[int(i)] for i in index) if self.labels else (),
        )

    def params(self, rest: HeadParams) -> HeadParams:
        """Return (T,) parameters of the motion on a given head; identity and pose are those of ``rest``."""
        t = len(self)

        def still(x: Tensor) -> Tensor:
            return x.expand(t, *x.shape)

        return HeadParams(
            identity=still(rest.identity),
            expression=self.expression.to(rest.expression),
            rotation=still(rest.rotation),
            translation=still(rest.translation),
            neck=self.neck.to(rest.neck),
            jaw=torch.zeros_like(self.neck).to(rest.jaw),
            gaze=None if self.gaze is None else self.gaze.to(rest.expression),
        )
