"""What every kind of avatar can do, and how a file finds its kind."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from headcast.avatar.package import Package, damaged, read_package
from headcast.errors import HeadcastError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from headcast.avatar.source import Source
    from headcast.camera import Camera
    from headcast.head.model import HeadModel
    from headcast.head.params import HeadParams
    from headcast.render.types import Rendering

__all__ = ["KINDS", "Avatar", "load"]

KINDS: dict[str, str] = {
    "mesh": "headcast.avatar.mesh:MeshAvatar",
    "gaussians": "headcast.avatar.gaussian:GaussianAvatar",
    "triplane": "headcast.methods.portrait4d.avatar:TriplaneAvatar",
}
"""Where each kind lives; imported only when a file of that kind is opened."""


@runtime_checkable
class Avatar(Protocol):
    """An animatable head of one person.

    Attributes:
        head: the head model bound to this person: its rest shape holds what the identity basis cannot.
        source: camera, parameters and light of the photo it was made from.
        info: how it was made: method, kind, head, weights, seed, consent, synthetic-media mark.
    """

    @property
    def head(self) -> HeadModel: ...

    @property
    def source(self) -> Source: ...

    @property
    def info(self) -> dict[str, Any]: ...

    def render(
        self, params: HeadParams, camera: Camera, light: Float[Tensor, "9 3"] | None = None
    ) -> Rendering:
        """A picture of the head with straight alpha; ``params`` are unbatched.

        Args:
            light: (9, 3) irradiance in the world frame, linear; None: the avatar's own.
        """
        ...

    def save(self, path: str | Path) -> None:
        """Writes an ``.avatar`` file, all or nothing."""
        ...

    @classmethod
    def from_package(cls, package: Package, path: Path) -> Avatar:
        """The avatar that a package holds; ``path`` is for messages."""
        ...


def load(path: str | Path) -> Avatar:
    """Opens an ``.avatar`` file of any kind.

    Raises:
        HeadcastError: missing, damaged, of a newer version, of an unknown kind, bound to another head.
    """
    path = Path(path)
    package = read_package(path)
    kind = package.meta.get("kind")
    if not isinstance(kind, str):
        raise damaged(path, "no kind")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise HeadcastError(
            f"{path}: avatar of the unknown kind '{kind[:40]}' (known: {known}); upgrade headcast"
        )
    module, name = KINDS[kind].split(":")
    return getattr(importlib.import_module(module), name).from_package(package, path)
