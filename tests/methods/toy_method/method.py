"""An avatar that shows its landmarks as dots, and follows how bright the driving frame is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.package import Package, write_package
from headcast.avatar.provenance import Provenance
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.base import BaseMethod, MethodOptions
from headcast.observe.types import Observation
from headcast.progress import Progress
from headcast.render.types import Rendering
from headcast.video import Clip


@dataclass(frozen=True)
class DotOptions(MethodOptions):
    """Options of the toy."""

    radius: int = 2
    """Radius of a dot, pixels."""
    folder: Path | None = None
    """Shows how optional paths look in help texts."""


@dataclass(frozen=True)
class DotsAvatar(BaseAvatar):
    """White squares at the projected landmarks, as bright as the driving frame."""

    bound: BoundHead
    radius: int

    kind = "dots"
    mesh = None

    def render(
        self, params: HeadParams, camera: Camera, light: torch.Tensor | None = None,
        signal: torch.Tensor | None = None,
    ) -> Rendering:  # fmt: skip
        """Render the dots."""
        alpha, r = torch.zeros(camera.height, camera.width), self.radius
        for x, y in camera.project(self.head.landmarks(self.head(params), 478)).round().long().tolist():
            if r <= x < camera.width - r and r <= y < camera.height - r:
                alpha[y - r : y + r, x - r : x + r] = 1
        value = 1.0 if signal is None else float(signal[0])
        return Rendering(value * alpha[..., None].expand(-1, -1, 3), alpha, alpha, "linear")

    def read_signal(self, frame: np.ndarray, camera: Camera, params: HeadParams) -> torch.Tensor:
        """Read the frame's mean brightness, 0..1."""
        return torch.tensor([float(frame.mean()) / 255])

    def save(self, path: str | Path) -> None:
        """Write the avatar."""
        meta = {**self.bound.meta(self.kind), "radius": self.radius}
        write_package(path, Package(meta, self.bound.tensors(), {}, self.thumbnail()))

    @classmethod
    def from_package(cls, package: Package, path: Path) -> DotsAvatar:
        """Open the avatar."""
        return cls(BoundHead.from_package(package, path, own=("radius",)), int(package.meta["radius"]))


class Dots(BaseMethod):
    """The toy."""

    name = "dots"
    description = "landmarks as dots"
    Options = DotOptions
    variants: ClassVar[Mapping[str, MethodOptions]] = {"thick": DotOptions(radius=4)}

    def version(self) -> str:
        """Return what stands for a hash of weights."""
        return "dots-1"

    def reconstruct(
        self, observations: Sequence[Observation], head: HeadModel, options: Any, *, seed: int = 0,
        consent: str | None = None, progress: Progress | None = None,
    ) -> DotsAvatar:  # fmt: skip
        """Bind the fitted head."""
        first = observations[0]
        source = SourceView(first.camera, first.params, torch.as_tensor(first.light).float())
        made = Provenance(method=self.name, seed=seed, consent=consent, photos=len(observations))
        return DotsAvatar(BoundHead(head, source, made), options.radius)


class SparseDots(Dots):
    """A second name of one folder."""

    name = "sparse-dots"


class Dimmer(BaseMethod):
    """An image animator: the photo, as bright as the driving frames."""

    name = "dimmer"
    description = "the photo in the driver's brightness"

    def animate_image(
        self, photo: np.ndarray, driver: Clip, options: Any, *, seed: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Yield the photo dimmed."""
        for frame in driver.frames:
            yield (photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2] * (frame.mean() / 255)).astype(
                np.uint8
            )


def convert_dots(content: object) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Convert a checkpoint."""
    return {}, {"licence": "CC0"}
