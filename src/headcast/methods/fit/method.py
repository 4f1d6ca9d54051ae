"""Register ``fit`` as a method: options, variants and reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from headcast.methods.base import BaseMethod, MethodOptions, get_skin_mapper
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["Fit", "FitOptions"]

MESH_END = 0.4  # fraction of the time of ``create`` after which the mesh is there and Gaussians begin


@dataclass(frozen=True)
class FitOptions(MethodOptions):
    """Options of the method ``fit``."""

    representation: Literal["gaussians", "mesh"] = "gaussians"
    """Gaussians on a textured mesh, or the mesh alone, which is made sooner."""
    texture_size: int | None = None
    """Side of the texture in texels; by default as the photo's detail asks."""
    texture: str | None = None
    """Skin maps of 4k (or 1k, 2k, 8k), as headcast texture makes them, worn by the avatar."""
    maps_folder: Path | None = None
    """Where all skin maps go; by default beside the avatar, as NAME.maps."""

    def for_output(self, out: Path) -> FitOptions:
        """Put the folder of skin maps beside the avatar."""
        if self.texture is None or self.maps_folder is not None:
            return self
        return replace(self, maps_folder=out.with_suffix(".maps"))


class Fit(BaseMethod):
    """Fit the head model, paint its texture, add hair and body, cover it with Gaussians."""

    name = "fit"
    description = "textured mesh and Gaussians fitted to one or several photos or a video; the default"
    Options = FitOptions
    variants: ClassVar[Mapping[str, MethodOptions]] = {
        "gaussians": FitOptions(),
        "mesh": FitOptions(representation="mesh"),
    }

    def check(self, options: FitOptions) -> None:
        """Refuse skin maps that cannot be made."""
        if options.texture is not None:
            get_skin_mapper().check_size(options.texture)

    def observe_fraction(self, options: FitOptions) -> float:
        """Return half the time until the mesh is there."""
        return 0.5 if options.representation == "mesh" else MESH_END / 2

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: FitOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Reconstruct the mesh, put on its skin maps if asked for, and cover it with Gaussians."""
        import torch

        from headcast.methods.fit.reconstruct import fit_avatar
        from headcast.splats.polish import with_gaussians

        # fractions of this call's own time: the photos are observed already
        mesh_end = 1.0 if options.representation == "mesh" else 0.25
        fit_end = mesh_end if options.texture is None else 0.2 * mesh_end
        mapper = None if options.texture is None else get_skin_mapper()
        size = options.texture_size or (mapper.base_texture_size() if mapper else None)
        observations = list(observations)
        with torch.no_grad():
            mesh = fit_avatar(
                observations,
                head,
                texture_size=size,
                seed=seed,
                consent=consent,
                progress=subrange(progress, 0.0, fit_end),
            )
        if mapper is not None and options.texture is not None:
            mesh = mapper.apply(
                mesh,
                observations[0],
                head,
                options.texture,
                options.maps_folder,
                progress=subrange(progress, fit_end, mesh_end),
            )
        if options.representation == "mesh":
            return mesh
        return with_gaussians(mesh, observations, seed=seed, progress=subrange(progress, mesh_end, 1.0))
