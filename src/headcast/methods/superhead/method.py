"""Register SuperHead as a method: enhancing an avatar, and creating one that is enhanced at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headcast.errors import HeadcastError
from headcast.methods.base import BaseMethod, get_method
from headcast.methods.superhead.options import SuperHeadOptions
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["SuperHead"]

FIT_END = 0.12  # fraction of the time of ``reconstruct`` after which there is an avatar to enhance


class SuperHead(BaseMethod):
    """Super-resolve an avatar by inversion of a prior in UV (SuperHead, Sec. 4)."""

    name = "superhead"
    description = "the default method, then super-resolved by inversion of a prior; for small or soft photos"
    Options = SuperHeadOptions

    def check(self, options: SuperHeadOptions) -> None:
        """Refuse a restorer whose weights were not imported.

        Raises:
            HeadcastError: they are missing.
        """
        from headcast.weights.store import load_imported

        if options.restorer != "headcast":
            load_imported(options.restorer)

    def observe_fraction(self, options: SuperHeadOptions) -> float:
        """Return the small part of the time in which the photos are observed."""
        return 0.05

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: SuperHeadOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Reconstruct by the default method, then enhance."""
        method = get_method()
        avatar = method.reconstruct(
            observations,
            head,
            method.Options(),
            seed=seed,
            consent=consent,
            progress=subrange(progress, 0.0, FIT_END),
        )
        return self.enhance(avatar, options, seed=seed, progress=subrange(progress, FIT_END, 1.0))

    def enhance(
        self, avatar: Avatar, options: SuperHeadOptions, *, seed: int = 0, progress: Progress | None = None
    ) -> Avatar:
        """Super-resolve an avatar of Gaussians.

        Raises:
            HeadcastError: it has no Gaussians.
        """
        from headcast.methods.superhead.enhance import enhance_avatar

        if avatar.splats is None:
            remedy = "headcast bake makes one" if avatar.mesh is None else "create it as Gaussians"
            raise HeadcastError(f"enhance: takes avatars of Gaussians, this is a {avatar.kind}; {remedy}")
        return enhance_avatar(avatar.splats, options, seed=seed, progress=progress)
