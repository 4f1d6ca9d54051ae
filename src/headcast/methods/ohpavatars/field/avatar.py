"""``FieldAvatar``: a head as a deformable radiance field, carried by the head model's posed surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.entries import damaged
from headcast.avatar.package import Package, write_package
from headcast.avatar.source import check_tensor
from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.methods.ohpavatars.field.march import pose_heads
from headcast.methods.ohpavatars.field.network import FieldSize, RadianceField
from headcast.methods.ohpavatars.field.render import render_field
from headcast.render.types import Rendering

__all__ = ["FieldAvatar"]

PREFIX = "field."
LARGEST = FieldSize(levels=32, features=8, coarsest=512, finest=4096, log2_size=22, expression=64, width=256)
"""What a file may claim."""


@dataclass(frozen=True, eq=False)
class FieldAvatar(BaseAvatar):
    """A head as a radiance field; the body is not part of it.

    Attributes:
        bound: head model bound to this person, which carries the field; source view, provenance.
        field: density and colour in the canonical frame.
    """

    bound: BoundHead
    field: RadianceField

    kind = "field"
    mesh = None

    @property
    def relightable(self) -> bool:
        """Never: its colours hold the photo's light."""
        return False

    @cached_property
    def canonical(self) -> Float[Tensor, "v 3"]:
        """Return the vertices of the canonical pose: this identity without expression, head frame, metres."""
        rest = HeadParams.neutral(self.head.identities).replace(identity=self.bound.identity)
        with torch.no_grad():
            return self.head(rest)

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
    ) -> Rendering:
        """Render with straight alpha in sRGB; ``params`` are unbatched, ``light`` is ignored."""
        heads = pose_heads(self.head, [params], self.canonical)
        return render_field(self.field, heads, params, camera)

    def save(self, path: str | Path) -> None:
        """Write an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        meta = {**self.bound.meta(self.kind), "field": list(self.field.size)}
        state = {PREFIX + k: v.float() for k, v in self.field.state_dict().items()}
        occupied = {f"{PREFIX}occupancy": torch.nan_to_num(self.field.occupancy, posinf=1e6)}
        tensors = {**self.bound.tensors(), **state, **occupied}
        write_package(path, Package(meta, tensors, {}, self.thumbnail()))

    @classmethod
    def from_package(cls, package: Package, path: Path) -> FieldAvatar:
        """Open the avatar that a package holds.

        Raises:
            HeadcastError: parts are missing or make no sense.
        """
        bound = BoundHead.from_package(package, path, own=("field",))
        size = stored_size(package.meta.get("field"), path)
        field = RadianceField(size)
        state = {
            k: check_tensor(package.tensors, PREFIX + k, tuple(v.shape), path)
            for k, v in field.state_dict().items()
        }
        field.load_state_dict(state)
        return cls(bound, field.eval().requires_grad_(False))


def stored_size(value: object, path: Path) -> FieldSize:
    """Check the network's size that a file claims.

    Raises:
        HeadcastError: it makes no sense.
    """
    numbers = value if isinstance(value, list) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != len(LARGEST) or not whole:
        raise damaged(path, "no size of the field's network")
    if not all(1 <= n <= most for n, most in zip(numbers, LARGEST, strict=True)):
        raise damaged(path, "a field of an impossible size")
    return FieldSize(*numbers)
