"""A real clip and what is detected in it once, for all that are compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.evaluate.compare import Comparer, Truth, face_square
from headcast.evaluate.movement import Performance, clip_of, measure_performance
from headcast.evaluate.networks import EvaluationNetworks, FaceEncoder
from headcast.metrics.features import to_input
from headcast.observe.masks import segment
from headcast.observe.types import Detection
from headcast.video import read_video

__all__ = ["MAX_SIDE", "ClipTruth", "features_of", "read_clip", "windows_of"]

MAX_SIDE = 1024
"""Longer clips' frames are reduced to this, for all methods alike."""


@dataclass(frozen=True)
class ClipTruth:
    """Frames of a real clip.

    Attributes:
        frames: (T, H, W, 3). fps: frames per second.
        sources: frames that avatars are made from. measured: frames that are compared, neighbours on both
            sides.
    """

    name: str
    path: Path
    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    sources: tuple[int, ...]
    measured: tuple[int, ...]
    comparer: Comparer

    @cached_property
    def truths(self) -> dict[int, Truth]:
        """Prepare the measured frames and the first source for comparison."""
        return {t: self.prepare_frame(t) for t in sorted({*self.measured, self.sources[0]})}

    def prepare_frame(self, t: int) -> Truth:
        """Prepare one frame with its matte and hair mask."""
        rgb, name = self.frames[t], f"{self.name} frame {t}"
        points = self.comparer.landmarks.real_points(rgb, name)
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        masks = segment(rgb, Detection(points=points, box=(x0, y0, x1, y1), score=1.0))
        person = masks.person > 0.5
        regions = {"foreground": person, "hair": (masks.hair > 0.5) & person}
        return self.comparer.truth(rgb, name, masks.person, regions)

    @cached_property
    def performance(self) -> Performance:
        """Track expressions and head rotations of all frames."""
        return measure_performance(clip_of(self.frames, self.fps, self.name))


def read_clip(
    path: Path, comparer: Comparer, frames: int, measured: int, sources: int = 1, step: bool = False
) -> ClipTruth:
    """Read the first ``frames`` frames of a clip's longest shot; ``measured`` of them are to be compared.

    They are spread from the first after the sources to the last but one; with ``step`` every n-th.

    Raises:
        HeadcastError: unreadable, or too short.
    """
    from headcast.errors import HeadcastError

    clip = read_video(path, frames, max_side=MAX_SIDE)
    count = len(clip.frames)
    first = (
        (0,)
        if sources == 1
        else tuple(dict.fromkeys(np.linspace(0, count // 4, sources).round().astype(int).tolist()))
    )
    start, end = first[-1] + 1, count - 2
    if end < start:
        raise HeadcastError(f"{path}: only {count} frames; at least {first[-1] + 4} are needed")
    if step:
        every = max(1, count // measured)
        chosen = [t for t in range(every, end + 1, every) if t >= start]
    else:
        spread = np.linspace(start, end, min(measured, end - start + 1))
        chosen = np.unique(spread.round().astype(int)).tolist()
    return ClipTruth(
        name=path.stem,
        path=path,
        frames=np.asarray(clip.frames[:]),
        fps=clip.fps,
        sources=first,
        measured=tuple(chosen),
        comparer=comparer,
    )


def features_of(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    points: Sequence[Float[np.ndarray, "478 2"] | None],
    networks: EvaluationNetworks,
) -> dict[str, Float[np.ndarray, "n d"]]:
    """Compute vectors of faces for figures of whole sets; images without a face are left out."""
    squares = [face_square(x, p) for x, p in zip(images, points, strict=True) if p is not None]
    found: dict[str, np.ndarray] = {}
    sources = {}
    if networks.encoder is not None:
        sources["ours"] = partial(pooled_features, networks.encoder[0])
    if networks.inception is not None:
        sources["inception"] = networks.inception[0].embed
    for key, network in sources.items() if squares else ():
        parts = [to_input(squares[i : i + 8]).to(networks.device) for i in range(0, len(squares), 8)]
        found[key] = np.concatenate([network(x).detach().float().cpu().numpy() for x in parts])
    return found


@torch.no_grad()
def pooled_features(encoder: FaceEncoder, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
    """Average the encoder's two coarsest maps over the image."""
    return torch.cat([m.mean((2, 3)) for m in list(encoder.features(x))[-2:]], 1)


def windows_of(
    frames: UInt8[np.ndarray, "t h w 3"],
    points: Float[np.ndarray, "478 2"] | None,
    networks: EvaluationNetworks,
) -> dict[str, Float[np.ndarray, "n d"]]:
    """Compute I3D's features of windows of 16 frames (none overlapping), in one square around ``points``."""
    from headcast.metrics.i3d import FRAMES

    if networks.i3d is None or points is None or len(frames) < FRAMES:
        return {}
    found = []
    for start in range(0, len(frames) - FRAMES + 1, FRAMES):
        x = to_input([face_square(f, points, 224) for f in frames[start : start + FRAMES]])
        found.append(networks.i3d[0](x.transpose(0, 1)[None].to(networks.device)).cpu().numpy())
    return {"fvd": np.concatenate(found)}
