"""``portrait4d`` as a registered method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headcast.methods.base import BaseMethod, MethodOptions
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["Portrait4D", "Portrait4DOptions"]


@dataclass(frozen=True)
class Portrait4DOptions(MethodOptions):
    """Options of the method ``portrait4d``."""

    baked: bool = False
    """Turn the tri-planes into Gaussians on a rigged mesh at once, as headcast bake does."""


class Portrait4D(BaseMethod):
    """Reconstruct tri-planes from the first photo (or a video's best frame) in one forward pass."""

    name = "portrait4d"
    description = "tri-planes in one forward pass from the first photo; its weights are a preview"
    Options = Portrait4DOptions
    variants: ClassVar[Mapping[str, MethodOptions]] = {"baked": Portrait4DOptions(baked=True)}

    def available(self) -> bool:
        """Return whether weights are installed."""
        from headcast.methods.portrait4d.weights import weights_file

        return weights_file().is_file()

    def check(self, options: Portrait4DOptions) -> None:
        """Raise a ``HeadcastError`` if no weights are installed."""
        from headcast.methods.portrait4d.weights import check_portrait4d_weights

        check_portrait4d_weights()

    def version(self) -> str:
        """Return the hash of the weights in use."""
        from headcast.methods.portrait4d.weights import load_portrait4d

        return load_portrait4d().hash

    def observe_fraction(self, options: Portrait4DOptions) -> float:
        """Return nearly all: the forward pass takes a second."""
        return 0.3 if options.baked else 0.9

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: Portrait4DOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Encode the first photo; bake the result if asked for."""
        import torch

        from headcast.methods.bake import bake_avatar
        from headcast.methods.portrait4d.infer import reconstruct

        with torch.no_grad():
            avatar = reconstruct(observations, head, seed=seed, consent=consent)
        if not options.baked:
            return avatar
        return bake_avatar(avatar, seed=seed, progress=subrange(progress, 0.1, 1.0))
