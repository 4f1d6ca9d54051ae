"""``TriplaneAvatar``: what Ψ keeps of a source picture, drawn in any pose and from any camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from headcast.avatar.base import BaseAvatar
from headcast.avatar.bound import BoundHead
from headcast.avatar.package import Package, damaged, write_package
from headcast.avatar.source import check_tensor
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.crop import crop_box, crop_camera
from headcast.methods.portrait4d.motion_embedding import expression_code, faces_of
from headcast.methods.portrait4d.neck_field import NeckField
from headcast.methods.portrait4d.network import Appearance, Config, Head
from headcast.methods.portrait4d.weights import Networks, load_networks
from headcast.render.types import Rendering
from headcast.render.volume import rays_of

__all__ = ["TriplaneAvatar"]


@dataclass(frozen=True)
class TriplaneAvatar(BaseAvatar):
    """A head as tri-planes that Ψ makes anew for every expression.

    Attributes:
        bound: head model bound to this person (for the neck's field, for cameras), source view, provenance.
        appearance: what Ψ kept of the photo (the cached part).
        networks: Ψ and its companions.
        motion: the photo's own embedding v_s, kept where there is no map from weights to embeddings.
    """

    bound: BoundHead
    appearance: Appearance
    networks: Networks
    motion: Float[Tensor, " m"] | None = None

    kind = "triplane"
    mesh = None

    @cached_property
    def config(self) -> Config:
        """Sizes of Ψ."""
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
            return self.networks.motion(faces_of(image, points[None], self.networks.face_side))[0]

    @cached_property
    def at_rest(self) -> Float[Tensor, " m"]:
        """What is added to an actor's embedding: the photo's, less that of the actor with its expression."""
        from headcast.methods.portrait4d.actor import acted

        own = acted(self.networks, self.source.params)
        return -own if self.motion is None else self.motion - own

    def said(self, params: HeadParams) -> Float[Tensor, " m"]:
        """The embedding of expression weights: by the learned map, else by an actor that performs them."""
        if self.networks.said is not None:
            return self.networks.said(expression_code(params[(None,)]))[0]
        from headcast.methods.portrait4d.actor import acted

        return self.at_rest + acted(self.networks, params)

    def posed(self, params: HeadParams, motion: Float[Tensor, " m"] | None = None) -> Head:
        """Tri-planes for an expression: by ``params``' weights, or by a driver's embedding."""
        driver = self.said(params) if motion is None else motion
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
        left, top, side = crop_box(camera, params)
        n = self.config.side
        square = crop_camera(camera, params, left, top, side, n)
        psi = self.networks.psi
        head = self.posed(params, signal)
        field = None
        if bool(params.neck.abs().amax() > 1e-4):
            c = self.config
            field = NeckField(self.head, params[(None,)], c.cube, c.units_per_metre)
        rays = rays_of([square], n // 4, self.config.cube / 2, self.config.units_per_metre)
        drawn = psi.render(head, rays, field)
        alpha = interpolate(drawn.alpha, (n, n), mode="bilinear")
        depth = interpolate(drawn.depth / self.config.units_per_metre, (n, n), mode="bilinear")
        behind = interpolate((drawn.behind + 1) / 2, (n, n), mode="bilinear")
        # what shines through is the photo's background: it is taken off, else it would frame the head
        rgb = ((drawn.image.clamp(-1, 1) + 1) / 2 - (1 - alpha) * behind).clamp(min=0)
        whole = pasted(
            torch.cat([torch.minimum(rgb, alpha), alpha, depth * alpha], 1), left, top, side, camera
        )
        alpha = whole[3]
        solid = alpha.clamp(min=1e-4)
        return Rendering(
            (whole[:3] / solid).clamp(0, 1).permute(1, 2, 0), alpha, whole[4] / solid * (alpha > 0), "srgb"
        )

    def isosurface(
        self, params: HeadParams
    ) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
        """Vertices (head frame, metres), sRGB colours with the photo's light, triangles; straight neck.

        Raises:
            HeadcastError: nothing in it is solid.
        """
        from headcast.methods.portrait4d.surface import surface_of

        with torch.no_grad():
            planes = self.posed(params).planes
        found = surface_of(self.networks.psi, planes)
        return found.points, found.colours, found.faces

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
        kept = {k: getattr(self.appearance, k).half() for k in ("tokens", "detail", "background")}
        tensors = {**self.bound.tensors(), **kept}
        if self.motion is not None:
            tensors["motion"] = self.motion.float()
        write_package(path, Package(meta, tensors, {}, self.thumbnail()))

    @classmethod
    def from_package(cls, package: Package, path: Path, networks: Networks | None = None) -> TriplaneAvatar:
        """Open the avatar that a package holds, with the installed networks or ``networks``.

        Raises:
            HeadcastError: parts are missing or make no sense, or were made by other networks.
        """
        bound = BoundHead.from_package(package, path, own=("columns", "networks"))
        t = package.tensors
        networks = load_networks() if networks is None else networks
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
            check_tensor(t, "tokens", (1, columns**2, c.width), path),
            columns,
            check_tensor(t, "detail", (1, c.detail_widths[1], c.side // 2, c.side // 2), path),
            check_tensor(t, "background", (1, c.features, c.side, c.side), path),
        )
        motion = check_tensor(t, "motion", (c.motion,), path) if networks.said is None else None
        return cls(bound, appearance, networks, motion)


def pasted(
    square: Float[Tensor, "1 c n n"], left: float, top: float, side: float, camera: Camera
) -> Float[Tensor, "c h w"]:
    """The square back in the camera's picture, zero around it."""
    if side > 1.5 * max(camera.width, camera.height) * 64:
        raise HeadcastError("the camera stands inside of the head; move it away")
    x = ((torch.arange(camera.width) + 0.5 - left) / side) * 2 - 1
    y = ((torch.arange(camera.height) + 0.5 - top) / side) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return grid_sample(square, grid[None], align_corners=False)[0]
