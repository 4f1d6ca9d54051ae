"""A textured head mesh: the bound head model, an albedo texture and the light of the photo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.entries import damaged
from headcast.avatar.lids import Lids, Patch
from headcast.avatar.package import Package, write_package
from headcast.avatar.shell import Shell, shells_from
from headcast.avatar.source import check_tensor
from headcast.avatar.surface import HeadSurface, SurfaceRenderer
from headcast.camera import Camera
from headcast.head.maps import SkinMaps
from headcast.head.model import BLINKS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.types import Rendering

__all__ = ["MeshAvatar", "MeshRenderer", "skin_maps_from"]

SIDES = ("left", "right")


@dataclass(frozen=True)
class MeshAvatar(BaseAvatar):
    """A head as a textured mesh.

    Attributes:
        bound: head model bound to this person, source view, provenance.
        texture: albedo in the head's UV, sRGB display values.
        shells: surfaces beyond the head, always in the order of their names: Gaussians count triangles.
        lids: textures of the closed eyelids; ``texture`` has them as in the photo.
        skin_maps: micronormal and specular, where the photo was sharp enough (``create --texture``); used
            by exporters, not by our own renderer.
    """

    bound: BoundHead
    texture: UInt8[np.ndarray, "h w 3"]
    shells: tuple[Shell, ...] = ()
    lids: Lids | None = None
    skin_maps: SkinMaps | None = None  # type: ignore[override]

    kind = "mesh"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", tuple(sorted(self.shells, key=lambda s: s.name)))

    @property
    def mesh(self) -> MeshAvatar:  # type: ignore[override]
        """Return the avatar itself: it is a mesh."""
        return self

    @property
    def identity(self) -> Float[Tensor, "i"]:
        """Return the coefficients of the head model's identity basis."""
        return self.bound.identity

    @cached_property
    def surface(self) -> HeadSurface:
        """Return head and shells as one mesh with one texture."""
        return HeadSurface(self.head, self.shells, self.texture, self.lids)

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
        *,
        antialias: int = 2,
    ) -> Rendering:
        """Render with straight alpha in sRGB; ``params`` are unbatched.

        Args:
            light: (9, 3) irradiance in the world frame, linear; None: the photo's own.
            antialias: samples per pixel and direction.
        """
        return self.renderer().render(params, camera, light, signal, antialias=antialias)

    def renderer(self) -> MeshRenderer:
        """Return a renderer that keeps the texture of the last pose's eyelids."""
        return MeshRenderer(self)

    def save(self, path: str | Path) -> None:
        """Write an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        write_package(path, self.package())

    def package(self) -> Package:
        """Return the package to be written to its file."""
        tensors = self.bound.tensors()
        textures = {"albedo": self.texture}
        if self.lids is not None:
            tensors["lids.corner"] = torch.stack([p.corner for p in self.lids.patches]).int()
            textures.update({f"lid-{k}": p.texture for k, p in zip(SIDES, self.lids.patches, strict=True)})
        textures.update(_textures_of(self.skin_maps))
        for shell in self.shells:
            tensors.update(shell.tensors())
            textures[f"shell-{shell.name}"] = shell.texture
        return Package(self.bound.meta(self.kind), tensors, textures, self.thumbnail())

    @classmethod
    def from_package(cls, package: Package, path: Path, head: HeadModel | None = None) -> MeshAvatar:
        """Open the avatar that a package holds, bound to the installed head model (or ``head``).

        Raises:
            HeadcastError: parts are missing or invalid, or the head model has another topology.
        """
        bound = BoundHead.from_package(package, path, head)
        t = package.tensors
        texture = package.textures.get("albedo")
        if texture is None or texture.ndim != 3 or texture.shape[2] != 3:
            raise damaged(path, "no albedo texture")
        shells = shells_from(t, package.textures, path)
        lids = read_lids(package, texture, bound.source.params, path) if "lids.corner" in t else None
        return cls(bound, texture, shells, lids, skin_maps_from(package, path))


class MeshRenderer:
    """Renders a ``MeshAvatar`` frame after frame, for one thread: eyelids are mixed in its own buffers."""

    def __init__(self, avatar: MeshAvatar) -> None:
        self.avatar, self.surface = avatar, SurfaceRenderer(avatar.surface)

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
        *,
        antialias: int = 2,
    ) -> Rendering:
        """Render a frame (see ``MeshAvatar.render``)."""
        light = self.avatar.source.light if light is None else light
        return self.surface.render(params, camera, light, antialias=antialias)


def _textures_of(maps: SkinMaps | None) -> dict[str, np.ndarray]:
    """Return the images in which a file stores skin maps."""
    if maps is None:
        return {}
    encoded = {"micronormal": maps.micronormal_bytes(), "specular": maps.specular_bytes()}
    return {name: image for name, image in encoded.items() if image is not None}


def skin_maps_from(package: Package, path: Path) -> SkinMaps | None:
    """Read the skin maps that a package holds, if any.

    Raises:
        HeadcastError: one of the two is missing or of another shape.
    """
    normal, specular = (package.textures.get(n) for n in ("micronormal", "specular"))
    if normal is None and specular is None:
        return None
    if normal is None or specular is None or normal.shape != (*specular.shape, 3):
        raise damaged(path, "its skin maps don't belong together")
    return SkinMaps.from_bytes(normal, specular)


def read_lids(package: Package, texture: UInt8[np.ndarray, "h w 3"], params: HeadParams, path: Path) -> Lids:
    """Read and check stored patches of closed lids.

    Raises:
        HeadcastError: something is missing, or lies outside of the texture.
    """
    corner = check_tensor(package.tensors, "lids.corner", (2, 2), path).long()
    patches = []
    for k, name in enumerate(SIDES):
        image = package.textures.get(f"lid-{name}")
        if image is None or image.ndim != 3 or image.shape[2] != 3:
            raise damaged(path, f"no texture of the {name} lid")
        end = corner[k] + torch.tensor([image.shape[1], image.shape[0]])
        if int(corner[k].min()) < 0 or bool((end > torch.tensor([texture.shape[1], texture.shape[0]])).any()):
            raise damaged(path, f"the {name} lid lies outside of the texture")
        patches.append(Patch(corner[k], image))
    return Lids((patches[0], patches[1]), params.expression[list(BLINKS)])
