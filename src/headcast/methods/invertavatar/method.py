"""``invertavatar`` as a registered method: the incremental inversion over our head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headcast.errors import HeadcastError
from headcast.methods.base import BaseMethod, MethodOptions
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.head.model import HeadModel
    from headcast.methods.invertavatar.avatar import IncrementalAvatar
    from headcast.methods.invertavatar.incremental import IncrementalInversion
    from headcast.observe.types import Observation

__all__ = ["InvertAvatar", "InvertAvatarOptions"]

FRAMES_END = 0.6  # fraction of the time of ``reconstruct`` after which Gaussians begin


@dataclass(frozen=True)
class InvertAvatarOptions(MethodOptions):
    """Options of the method ``invertavatar``."""

    texture_size: int | None = None
    """Side of the texture in texels; by default as the first photo's detail asks."""


class InvertAvatar(BaseMethod):
    """Take frames in one after the other; each improves the same avatar (InvertAvatar, Sec. 3.4)."""

    name = "invertavatar"
    description = "several photos or a video, one after the other; further ones improve it (headcast refine)"
    Options = InvertAvatarOptions
    leaves_out = True

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: InvertAvatarOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Invert the first frame by the default method, then take in the others."""
        import torch

        from headcast.methods.invertavatar.incremental import begin_inversion
        from headcast.splats.polish import with_gaussians

        made = begin_inversion(
            observations,
            head,
            seed=seed,
            consent=consent,
            texture_size=options.texture_size,
            progress=subrange(progress, 0.0, FRAMES_END),
        )
        with torch.enable_grad():
            rest = subrange(progress, FRAMES_END, 1.0)
            covered = with_gaussians(made.mesh, made.frames[:1], seed=seed, progress=rest)
        return finished(covered, made)

    def update(
        self,
        avatar: Avatar,
        observations: Sequence[Observation],
        options: InvertAvatarOptions,
        *,
        progress: Progress | None = None,
    ) -> IncrementalAvatar:
        """Take further frames into an avatar; nothing but its own file is needed.

        Raises:
            HeadcastError: the avatar was made by another method.
        """
        from headcast.head.foreign.known import stored_head
        from headcast.methods.invertavatar.avatar import IncrementalAvatar
        from headcast.methods.invertavatar.incremental import IncrementalInversion, take_in
        from headcast.splats.polish import cover_mesh

        if not isinstance(avatar, IncrementalAvatar):
            raise HeadcastError(
                f"update: this avatar ({avatar.kind}) keeps no evidence; create it with --method {self.name}"
            )
        head = stored_head(avatar.bound.meta(avatar.kind)["head"])
        notes = tuple(note for o in observations for note in o.notes)
        start = IncrementalInversion(avatar.mesh, avatar.state, (), notes)
        made = take_in(start, observations, head, progress=subrange(progress, 0.0, FRAMES_END))
        if not made.frames:
            return finished(avatar, made)
        covered = cover_mesh(
            made.mesh, seed=avatar.provenance.seed, progress=subrange(progress, FRAMES_END, 1.0)
        )
        return finished(covered, made)


def finished(avatar: GaussianAvatar, made: IncrementalInversion) -> IncrementalAvatar:
    """Return the avatar with its evidence and the record of what was used and what was left out."""
    from headcast.methods.invertavatar.avatar import IncrementalAvatar

    known = avatar.provenance
    new = tuple(note for note in made.skipped if note not in known.warnings)
    provenance = replace(
        known,
        method=InvertAvatar.name,
        photos=made.state.used,
        warnings=(*known.warnings, *new),
        extra={**known.extra, "frames_left_out": made.state.skipped},
    )
    mesh = replace(avatar.mesh, bound=replace(avatar.mesh.bound, provenance=provenance))
    return IncrementalAvatar(mesh, avatar.gaussians, made.state)
