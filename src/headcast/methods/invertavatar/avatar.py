"""An avatar of Gaussians that keeps the evidence of its frames, so that later ones improve it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.package import Package
from headcast.methods.invertavatar.layers import layers_of
from headcast.methods.invertavatar.state import FusionState

if TYPE_CHECKING:
    from headcast.observe.types import Observation
    from headcast.progress import Progress

__all__ = ["IncrementalAvatar"]


@dataclass(frozen=True)
class IncrementalAvatar(GaussianAvatar):
    """Gaussians on a textured mesh, and what all frames so far said of it.

    Attributes:
        state: of constant size, whatever the number of frames.
    """

    state: FusionState

    kind = "invertavatar"

    def update(self, *observations: Observation, progress: Progress | None = None) -> IncrementalAvatar:
        """Return the avatar improved by further observations of the same person, in their order.

        Frames that must not be used are left out; ``provenance.warnings`` says which.
        """
        from headcast.methods.base import get_updater

        method = get_updater(self)
        improved = method.update(self, observations, method.Options(), progress=progress)
        assert isinstance(improved, IncrementalAvatar), "an updater keeps the kind"
        return improved

    def package(self) -> Package:
        """Return the package to be written to its file."""
        base = super().package()
        return replace(base, tensors={**base.tensors, **self.state.tensors()})

    @classmethod
    def from_package(cls, package: Package, path: Path) -> IncrementalAvatar:
        """Open the avatar that a package holds.

        Raises:
            HeadcastError: parts are missing or invalid.
        """
        made = GaussianAvatar.from_package(package, path)
        texels = {layer.name: len(layer.coarse.index) for layer in layers_of(made.mesh)}
        state = FusionState.from_tensors(package.tensors, texels, made.head.identities, path)
        return cls(made.mesh, made.gaussians, state)
