"""``uhr_texture`` as a registered skin mapper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headcast.methods.base import BaseMethod
from headcast.methods.uhr_texture.options import TextureOptions
from headcast.progress import Progress

if TYPE_CHECKING:
    from headcast.avatar.mesh import MeshAvatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["UhrTexture"]


class UhrTexture(BaseMethod):
    """Albedo, micronormal and specular maps of up to 8192 texels."""

    name = "uhr_texture"
    description = "albedo, micronormal and specular maps of one photo, up to 8192 texels"
    Options = TextureOptions

    def available(self) -> bool:
        """Tell whether the three networks are here."""
        from headcast.methods.uhr_texture.weights import available

        return available()

    def check(self, options: TextureOptions) -> None:
        """Refuse a size that cannot be made, and missing weights or encoders."""
        from headcast.methods.uhr_texture.ktx2 import check_program
        from headcast.methods.uhr_texture.run import side_of
        from headcast.methods.uhr_texture.weights import check_skin_weights

        side_of(options.size)
        check_skin_weights(options.weights)
        if options.format == "ktx2":
            check_program()

    def check_size(self, size: str) -> None:
        """Refuse a size that cannot be made, and missing weights."""
        self.check(TextureOptions(size=size))

    def base_texture_size(self) -> int:
        """Return the side of the fitted texture under the maps."""
        from headcast.methods.uhr_texture.run import BASE

        return BASE

    def map_photo(
        self,
        observation: Observation,
        head: HeadModel,
        folder: Path,
        options: TextureOptions,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Write the maps of a photo and a GLB; return notes."""
        from headcast.methods.uhr_texture.run import texture_photo

        return texture_photo(observation, head, folder, options, progress, seed)

    def apply(
        self,
        avatar: MeshAvatar,
        observation: Observation,
        head: HeadModel,
        size: str,
        folder: Path | None,
        *,
        progress: Progress | None = None,
    ) -> MeshAvatar:
        """Return the avatar with the maps of its first photo."""
        from headcast.methods.uhr_texture.run import apply_maps

        return apply_maps(avatar, observation, head, size, folder, progress)
