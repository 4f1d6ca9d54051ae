"""The interface of all avatars, and the registry by which a file finds its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from headcast import registry
from headcast.avatar.entries import damaged
from headcast.avatar.package import Package, read_package
from headcast.errors import HeadcastError
from headcast.parsing import short_reason

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from headcast.avatar.bound import BoundHead
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.avatar.mesh import MeshAvatar
    from headcast.avatar.provenance import Provenance
    from headcast.avatar.source import SourceView
    from headcast.camera import Camera
    from headcast.head.maps import SkinMaps
    from headcast.head.model import HeadModel
    from headcast.head.params import HeadParams
    from headcast.render.types import ColouredSurface, Rendering

__all__ = ["KINDS", "Avatar", "BaseAvatar", "Renderer", "avatar_kinds", "load_avatar"]

KINDS: dict[str, str] = {
    "mesh": "headcast.avatar.mesh:MeshAvatar",
    "gaussians": "headcast.avatar.gaussian:GaussianAvatar",
}
"""Classes of the kinds that every method may make; methods declare their own (see ``avatar_kinds``)."""


@runtime_checkable
class Renderer(Protocol):
    """Renders one avatar, frame after frame. A renderer may hold buffers: give each thread its own."""

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
    ) -> Rendering:
        """Render the head with straight alpha.

        Args:
            params: unbatched.
            light: (9, 3) irradiance in the world frame, linear; None: the avatar's own.
            signal: result of ``Avatar.read_signal`` for a driving frame; None: ``params`` alone drive.
        """
        ...


@runtime_checkable
class Avatar(Renderer, Protocol):
    """An animatable head of one person. ``BaseAvatar`` has most of it.

    An avatar is its own simplest renderer: ``render`` may be called from several threads.

    Attributes:
        bound: head model bound to this person, source view, provenance.
        kind: name of the kind, as stored in files.
        mesh: the textured mesh it consists of or is bound to; None: none (``headcast bake`` makes one).
        splats: itself if it consists of Gaussians, else None.
        skin_maps: skin maps besides the albedo; None: unknown.
        relightable: whether ``render`` follows its ``light``.
    """

    @property
    def bound(self) -> BoundHead: ...

    @property
    def kind(self) -> str: ...

    @property
    def head(self) -> HeadModel: ...

    @property
    def source(self) -> SourceView: ...

    @property
    def provenance(self) -> Provenance: ...

    @property
    def info(self) -> dict[str, Any]: ...

    @property
    def mesh(self) -> MeshAvatar | None: ...

    @property
    def splats(self) -> GaussianAvatar | None: ...

    @property
    def skin_maps(self) -> SkinMaps | None: ...

    @property
    def relightable(self) -> bool: ...

    def renderer(self) -> Renderer:
        """Return a renderer for one thread, whose buffers are kept between frames."""
        ...

    def read_signal(
        self, frame: UInt8[np.ndarray, "h w 3"], camera: Camera, params: HeadParams
    ) -> Tensor | None:
        """Read the driving signal beyond ``HeadParams`` that this kind of avatar follows from a frame.

        Args:
            camera, params: how the driver's head was tracked in this frame (unbatched).

        Returns:
            A vector for ``render``; None for kinds that ``HeadParams`` drive alone.
        """
        ...

    def isosurface(self, params: HeadParams) -> ColouredSurface | None:
        """Extract a surface where the avatar is a field without a mesh; None: it has a mesh."""
        ...

    def save(self, path: str | Path) -> None:
        """Write an ``.avatar`` file, all or nothing."""
        ...

    @classmethod
    def from_package(cls, package: Package, path: Path) -> Avatar:
        """Open the avatar that a package holds; ``path`` is for messages."""
        ...


class BaseAvatar(ABC):
    """Common implementation of all kinds of avatars.

    A subclass adds ``kind``, ``bound``, ``mesh`` (or None), ``render``, ``save`` and ``from_package``.
    """

    kind = ""
    bound: BoundHead
    mesh: MeshAvatar | None

    @property
    def head(self) -> HeadModel:
        """Return the head model bound to this person."""
        return self.bound.head

    @property
    def source(self) -> SourceView:
        """Return the source view: camera, parameters and light of the photo."""
        return self.bound.source

    @property
    def provenance(self) -> Provenance:
        """Return how the avatar was made."""
        return self.bound.provenance

    @property
    def info(self) -> dict[str, Any]:
        """Return the facts that ``headcast info`` and exported files show."""
        return self.bound.info(self.kind)

    @property
    def splats(self) -> GaussianAvatar | None:
        """Return None: no Gaussians, unless a subclass has some."""
        return None

    @property
    def skin_maps(self) -> SkinMaps | None:
        """Return the skin maps of the mesh, if there is a mesh."""
        return None if self.mesh is None or self.mesh is self else self.mesh.skin_maps

    @property
    def relightable(self) -> bool:
        """Whether ``render`` follows its ``light``."""
        return True

    @abstractmethod
    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
    ) -> Rendering:
        """Render the head with straight alpha (see ``Renderer.render``)."""

    def renderer(self) -> Renderer:
        """Return itself: no buffers to keep, unless a subclass has some."""
        return self

    def read_signal(
        self, frame: UInt8[np.ndarray, "h w 3"], camera: Camera, params: HeadParams
    ) -> Tensor | None:
        """Read nothing: ``HeadParams`` drive alone, unless a subclass overrides this."""
        return None

    def isosurface(self, params: HeadParams) -> ColouredSurface | None:
        """Extract nothing, unless a subclass is a field."""
        return None

    def thumbnail(self) -> UInt8[np.ndarray, "h w 4"]:
        """Render the source view, small, on a transparent background."""
        from headcast.avatar.thumbnail import render_thumbnail

        return render_thumbnail(self)


def avatar_kinds() -> dict[str, str]:
    """Return the class of each kind, as ``module:class``; imported when a file of that kind is opened."""
    return {**KINDS, **registry.collect("avatar_kinds")}


def load_avatar(path: str | Path) -> Avatar:
    """Open an ``.avatar`` file of any kind.

    Raises:
        HeadcastError: missing, damaged, of a newer version, of an unknown kind, bound to another head.
    """
    path = Path(path)
    package = read_package(path)
    kind = package.meta.get("kind")
    if not isinstance(kind, str):
        raise damaged(path, "no kind")
    kinds = KINDS if kind in KINDS else avatar_kinds()
    if kind not in kinds:
        known, name = ", ".join(kinds), short_reason(kind)[:40]
        raise HeadcastError(f"{path}: avatar of the unknown kind '{name}' (known: {known}); upgrade headcast")
    return registry.load_entry(kinds[kind]).from_package(package, path)
