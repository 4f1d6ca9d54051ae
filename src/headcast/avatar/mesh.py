"""A textured head: the bound mesh, an albedo texture and the light of the photo."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.avatar.base import Avatar
from headcast.avatar.lids import Lids, Patch
from headcast.avatar.package import Package, damaged, write_package
from headcast.avatar.shell import Shell, shells_from
from headcast.avatar.source import Source, check_tensor
from headcast.avatar.surface import Surface
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.embed import OURS
from headcast.head.foreign.known import stored_head
from headcast.head.model import BLINKS, HeadModel
from headcast.head.params import HeadParams
from headcast.head.skin import uv_key
from headcast.image import linear_to_srgb
from headcast.render.types import Rendering

__all__ = ["MeshAvatar", "SkinMaps", "bind", "thumbnail_of"]

THUMBNAIL = 256
SIDES = ("left", "right")


@dataclass(frozen=True)
class SkinMaps:
    """What skin is besides its colour, in the head's UV; for exports, our own rendering does not look at it.

    Attributes:
        micronormal: (n + 1) / 2 in the tangent frame, OpenGL's +Y. specular: F0 is .04 times it.
    """

    micronormal: UInt8[np.ndarray, "h w 3"]
    specular: UInt8[np.ndarray, "h w"]

    @classmethod
    def from_package(cls, package: Package, path: Path) -> SkinMaps | None:
        """Those that a package holds, if any.

        Raises:
            HeadcastError: one of the two is missing or of another shape.
        """
        normal, specular = (package.textures.get(n) for n in ("micronormal", "specular"))
        if normal is None and specular is None:
            return None
        if normal is None or specular is None or normal.shape != (*specular.shape, 3):
            raise damaged(path, "its skin maps don't belong together")
        return cls(normal, specular)


@dataclass(frozen=True)
class MeshAvatar:
    """A head as a textured mesh.

    Attributes:
        head: the head model bound to this person (see ``bind``).
        texture: albedo in the head's UV, sRGB display values.
        source: camera, parameters and light of the photo.
        info: how it was made.
        shells: surfaces beyond the head, always in the order of their names: Gaussians count triangles.
        lids: what lids look like when they are shut; ``texture`` has them as in the photo.
        maps: skin beyond its colour, where a photo was fine enough to tell (``create --texture``).
    """

    head: HeadModel
    texture: UInt8[np.ndarray, "h w 3"]
    source: Source
    info: dict[str, Any]
    shells: tuple[Shell, ...] = ()
    lids: Lids | None = None
    maps: SkinMaps | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", tuple(sorted(self.shells, key=lambda s: s.name)))

    @property
    def identity(self) -> Float[Tensor, "i"]:
        """Coefficients of the head model's identity basis."""
        return self.source.params.identity

    @cached_property
    def surface(self) -> Surface:
        """Head and shells as one mesh."""
        return Surface(self.head, self.shells, self.texture, self.lids)

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        *,
        antialias: int = 2,
    ) -> Rendering:
        """A picture with straight alpha in sRGB; ``params`` are unbatched.

        Args:
            light: (9, 3) irradiance in the world frame, linear; None: the photo's own.
            antialias: samples per pixel and direction.
        """
        light = self.source.light if light is None else light
        return self.surface.render(params, camera, light, antialias=antialias)

    def thumbnail(self) -> UInt8[np.ndarray, "h w 4"]:
        """The photo's view, small, on transparent ground."""
        return thumbnail_of(self)

    def save(self, path: str | Path) -> None:
        """Writes an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        write_package(path, self.package())

    def package(self) -> Package:
        """What its file holds."""
        meta = {
            **self.info, "kind": "mesh",
            "head": {"name": self.head.name, "hash": self.head.hash, "topology": uv_key(self.head)},
        }  # fmt: skip
        tensors = {**self.source.tensors(), "rest": self.head.shape(self.identity)}
        textures = {"albedo": self.texture}
        if self.lids is not None:
            tensors["lids.corner"] = torch.stack([p.corner for p in self.lids.patches]).int()
            textures.update({f"lid-{k}": p.texture for k, p in zip(SIDES, self.lids.patches, strict=True)})
        if self.maps is not None:
            textures.update(micronormal=self.maps.micronormal, specular=self.maps.specular)
        for shell in self.shells:
            tensors.update(shell.tensors())
            textures[f"shell-{shell.name}"] = shell.texture
        return Package(meta, tensors, textures, self.thumbnail())

    @classmethod
    def from_package(cls, package: Package, path: Path, head: HeadModel | None = None) -> MeshAvatar:
        """The avatar that a package holds, bound to the installed head model (or ``head``).

        Raises:
            HeadcastError: parts are missing or make no sense, or the head model has another topology.
        """
        head = stored_head(package.meta.get("head")) if head is None else head
        check_head(package.meta, head, path)
        t = package.tensors
        source = Source.from_tensors(t, head.identities, len(head.faces), path)
        rest = check_tensor(t, "rest", tuple(head.neutral.shape), path)
        texture = package.textures.get("albedo")
        if texture is None or texture.ndim != 3 or texture.shape[2] != 3:
            raise damaged(path, "no albedo texture")
        offset = rest - head.shape(source.params.identity)
        info = {k: v for k, v in package.meta.items() if k not in ("format", "version")}
        shells = shells_from(t, package.textures, path)
        lids = lids_from(package, texture, source.params, path) if "lids.corner" in t else None
        maps = SkinMaps.from_package(package, path)
        return cls(bind(head, offset), texture, source, info, shells, lids, maps)


def lids_from(
    package: Package, texture: UInt8[np.ndarray, "h w 3"], params: HeadParams, path: Path
) -> Lids:  # fmt: skip
    """Stored shut lids, checked.

    Raises:
        HeadcastError: something is missing, or lies outside of the texture.
    """
    corner = check_tensor(package.tensors, "lids.corner", (2, 2), path).long()
    patches = []
    for k, name in enumerate(SIDES):
        picture = package.textures.get(f"lid-{name}")
        if picture is None or picture.ndim != 3 or picture.shape[2] != 3:
            raise damaged(path, f"no picture of the {name} lid")
        end = corner[k] + torch.tensor([picture.shape[1], picture.shape[0]])
        if int(corner[k].min()) < 0 or bool((end > torch.tensor([texture.shape[1], texture.shape[0]])).any()):
            raise damaged(path, f"the {name} lid lies outside of the texture")
        patches.append(Patch(corner[k], picture))
    return Lids((patches[0], patches[1]), params.expression[list(BLINKS)])


def thumbnail_of(avatar: Avatar) -> UInt8[np.ndarray, "h w 4"]:
    """The photo's view of any avatar, small, on transparent ground."""
    camera = avatar.source.camera
    small = camera.scaled(min(1.0, THUMBNAIL / max(camera.width, camera.height)))
    with torch.no_grad():
        out = avatar.render(avatar.source.params, small)
    rgb = out.rgb if out.colour_space == "srgb" else linear_to_srgb(out.rgb)
    rgba = torch.cat([rgb, out.alpha[..., None]], -1)
    return (rgba.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def bind(head: HeadModel, offset: Float[Tensor, "v 3"]) -> HeadModel:
    """The head model with a rest shape moved by ``offset`` (head frame, metres); the rest is shared."""
    if not bool((offset != 0).any()):
        return head
    bound = copy.copy(head)
    bound._buffers = {**head._buffers, "neutral": head.neutral + offset}
    return bound


def check_head(meta: dict[str, Any], head: HeadModel, path: Path) -> None:
    """Refuses an avatar bound to a head that the installed one cannot stand in for."""
    made = meta.get("head")
    if not isinstance(made, dict):
        raise damaged(path, "it does not say which head it was made with")
    if made.get("hash") != head.hash and made.get("topology") != uv_key(head):
        name, made_hash = str(made.get("name"))[:40], str(made.get("hash"))[:16]
        remedy = "create it again or install its version"
        if not name.startswith(OURS):
            remedy = "run headcast doctor --convert with your copy of that head's file once"
        raise HeadcastError(
            f"{path}: made with the head model '{name}' ({made_hash}), whose mesh differs from the installed "
            f"'{head.name}' ({head.hash}); {remedy}"
        )
