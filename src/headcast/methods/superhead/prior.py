"""What a prior of heads must offer, so that Sec. 4 of the paper is written once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import Frames, Gaussians
from headcast.methods.superhead.anchors import AnchorSet

__all__ = ["HeadPrior", "InversionTarget"]


@dataclass(frozen=True)
class InversionTarget:
    """The head in the base pose (θ_neu, ψ_neu), whose Gaussians a prior generates.

    Attributes:
        avatar: the low-resolution input on the refined mesh.
        anchors: with the refined shape β* in their parameters.
        frames: of the triangles in the base pose, world.
    """

    avatar: GaussianAvatar
    anchors: AnchorSet
    frames: Frames


@runtime_checkable
class HeadPrior(Protocol):
    """A generator G(w, g) of Gaussian heads that can be inverted.

    Attributes:
        name: for the run's record.
        covered: (F,) triangles of the head whose Gaussians it generates; those of others stay the input's.
    """

    name: ClassVar[str]
    covered: Bool[Tensor, "f"]

    def invert_init(self, canonical: InversionTarget) -> None:
        """Start the latent w from the input; afterwards ``gaussians`` is a copy of what it replaces."""
        ...

    def latent(self) -> list[Tensor]:
        """Return the parameters w."""
        ...

    def weights(self) -> list[Tensor]:
        """Return the parameters g, moved in the last third."""
        ...

    def gaussians(self) -> Gaussians:
        """Return G(w, g), bound to covered triangles in their frames (Eq. 8), differentiable."""
        ...

    def locality(self, rng: torch.Generator) -> Float[Tensor, ""]:
        """Return PTI's locality loss: how much G has changed at latents near w since the last third began."""
        ...

    def begin_tuning(self) -> None:
        """Remember g as it is, for ``locality``."""
        ...

    def finish(self, avatar: GaussianAvatar) -> GaussianAvatar:
        """Write what was found to the mesh's own textures, for exports that take the mesh."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what an unfinished run must keep beside w and g."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take up the state of an unfinished run."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what the run's record says of it."""
        ...
