"""``TriplaneAvatar``: Ψ's features of a source image, rendered in any pose and from any camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.entries import damaged
from headcast.avatar.package import Package, write_package
from headcast.avatar.source import check_tensor
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.crop import crop_box, crop_camera
from headcast.methods.portrait4d.motion_embedding import align_faces, expression_code
from headcast.methods.portrait4d.neck_field import NeckField
from headcast.methods.portrait4d.network import Appearance, Config, Head
from headcast.methods.portrait4d.weights import Portrait4DNetworks, load_portrait4d
from headcast.render.types import ColouredSurface, Rendering
from headcast.render.volume import rays_of

__all__ = ["TriplaneAvatar"]


@dataclass(frozen=True)
class TriplaneAvatar(BaseAvatar):
    """A head as tri-planes that Ψ generates for every expression.

    Attributes:
        bound: head model bound to this person (for the neck field and for cameras), source view, provenance.
        appearance: Ψ's features of the photo (the cached part).
        networks: Ψ and its companions.
        motion: the photo's own embedding v_s, stored where there is no map from expression codes.
    """

    bound: BoundHead
    appearance: Appearance
    networks: Portrait4DNetworks
    motion: Float[Tensor, " m"] | None = None

    kind = "triplane"
    mesh = None

    @cached_property
    def config(self) -> Config:
        """The configuration of Ψ."""
        return self.networks.psi.config

    @property
    def relightable(self) -> bool:
        """Never: its colours hold the photo's light."""
        return False

    def read_signal(
        self, frame: UInt8[np.ndarray, "h w 3"], camera: Camera, params: HeadParams
    ) -> Float[Tensor, " m"]:
        """Read the motion embedding v_d of a driver's frame; ``params``: its tracked head, unbatched."""
        with torch.no_grad():
            points = camera.project(self.head.landmarks(self.head(params), 68))
            image = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].float() / 127.5 - 1
            return self.networks.motion(align_faces(image, points[None], self.networks.face_side))[0]

    @cached_property
    def actor_offset(self) -> Float[Tensor, " m"]:
        """Offset of an actor's embedding: the photo's, less that of the actor with the photo's expression."""
        from headcast.methods.portrait4d.actor import embed_acted_expression

        own = embed_acted_expression(self.networks, self.source.params)
        return -own if self.motion is None else self.motion - own

    def embed_expression(self, params: HeadParams) -> Float[Tensor, " m"]:
        """Embed an expression: by the learned map of its code, else by an actor that performs it."""
        if self.networks.expression_to_motion is not None:
            return self.networks.expression_to_motion(expression_code(params[(None,)]))[0]
        from headcast.methods.portrait4d.actor import embed_acted_expression

        return self.actor_offset + embed_acted_expression(self.networks, params)

    def posed(self, params: HeadParams, motion: Float[Tensor, " m"] | None = None) -> Head:
        """Generate tri-planes for an expression: from ``params``' weights, or from a driver's embedding."""
        driver = self.embed_expression(params) if motion is None else motion
        return self.networks.psi.head(self.appearance, driver[None])

    def render(
        self,
        params: HeadParams,
        camera: Camera,
        light: Float[Tensor, "9 3"] | None = None,
        signal: Tensor | None = None,
    ) -> Rendering:
        """Render with straight alpha in sRGB; ``params`` are unbatched.

        Args:
            light: ignored: not ``relightable``.
            signal: a driver's motion embedding (``read_signal``) in place of the expression weights.
        """
        c = self.config
        box = crop_box(camera, params, c.centre)
        left, top, side = box
        n = c.side
        square = crop_camera(camera, params, box, n, c.origin)
        psi = self.networks.psi
        head = self.posed(params, signal)
        field = None
        if bool(params.neck.abs().amax() > 1e-4):
            field = NeckField(self.head, params[(None,)], c.cube_side, c.units_per_metre, c.origin)
        rays = rays_of([square], n // 4, c.cube_side / 2, c.units_per_metre)
        output = psi.render(head, rays, field)
        alpha = interpolate(output.alpha, (n, n), mode="bilinear")
        depth = interpolate(output.depth / c.units_per_metre, (n, n), mode="bilinear")
        background = interpolate((output.background + 1) / 2, (n, n), mode="bilinear")
        # the photo's background shines through: subtract it, else it would frame the head
        rgb = ((output.image.clamp(-1, 1) + 1) / 2 - (1 - alpha) * background).clamp(min=0)
        full = paste_crop(
            torch.cat([torch.minimum(rgb, alpha), alpha, depth * alpha], 1), left, top, side, camera
        )
        alpha = full[3]
        solid = alpha.clamp(min=1e-4)
        return Rendering(
            (full[:3] / solid).clamp(0, 1).permute(1, 2, 0), alpha, full[4] / solid * (alpha > 0), "srgb"
        )

    def isosurface(self, params: HeadParams) -> ColouredSurface:
        """Extract vertices (head frame, metres), sRGB colours in the photo's light, triangles; straight neck.

        Raises:
            HeadcastError: nothing in it is solid.
        """
        from headcast.methods.portrait4d.surface import extract_surface

        with torch.no_grad():
            planes = self.posed(params).planes
        return extract_surface(self.networks.psi, planes)

    def save(self, path: str | Path) -> None:
        """Write an ``.avatar`` file, all or nothing.

        Raises:
            HeadcastError: the place cannot be written.
        """
        meta = {
            **self.bound.meta(self.kind),
            "columns": self.appearance.columns,
            "networks": self.networks.hash,
        }
        features = {k: getattr(self.appearance, k).half() for k in ("tokens", "detail", "background")}
        tensors = {**self.bound.tensors(), **features}
        if self.motion is not None:
            tensors["motion"] = self.motion.float()
        write_package(path, Package(meta, tensors, {}, self.thumbnail()))

    @classmethod
    def from_package(
        cls, package: Package, path: Path, networks: Portrait4DNetworks | None = None
    ) -> TriplaneAvatar:
        """Open the avatar that a package holds, with the installed networks or ``networks``.

        Raises:
            HeadcastError: parts are missing or make no sense, or were made by other networks.
        """
        bound = BoundHead.from_package(package, path, own=("columns", "networks"))
        t = package.tensors
        networks = load_portrait4d() if networks is None else networks
        c = networks.psi.config
        columns = package.meta.get("columns")
        if not isinstance(columns, int) or columns != c.side // 16:
            raise damaged(path, "made by networks of another size")
        if package.meta.get("networks", "") != networks.hash:
            raise HeadcastError(
                f"{path}: made with other weights of portrait4d than those installed; create it again, or "
                "put the weights back"
            )
        appearance = Appearance(
            check_tensor(t, "tokens", (1, columns**2, c.token_width), path),
            columns,
            check_tensor(t, "detail", (1, c.detail_widths[1], c.side // 2, c.side // 2), path),
            check_tensor(t, "background", (1, c.plane_channels, c.side, c.side), path),
        )
        motion = (
            check_tensor(t, "motion", (c.motion_dim,), path)
            if networks.expression_to_motion is None
            else None
        )
        return cls(bound, appearance, networks, motion)


def paste_crop(
    square: Float[Tensor, "1 c n n"], left: float, top: float, side: float, camera: Camera
) -> Float[Tensor, "c h w"]:
    """Paste the square into the camera's image, zero around it."""
    if side > 1.5 * max(camera.width, camera.height) * 64:
        raise HeadcastError("the camera stands inside of the head; move it away")
    x = ((torch.arange(camera.width) + 0.5 - left) / side) * 2 - 1
    y = ((torch.arange(camera.height) + 0.5 - top) / side) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return grid_sample(square, grid[None], align_corners=False)[0]
