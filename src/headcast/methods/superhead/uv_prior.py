"""The UV prior: the input's Gaussians on the face, whose residuals fields over the face's UV give.

w: coefficients of the skin model and a pyramid of latent maps; g: the weights of the UV restorer. Both are
fields over UV, sampled where each Gaussian lies: what they say of a place is said once, for all views and
expressions. The start, before any inversion, is the mean of two estimates of the albedo: the Gaussians' own,
which have the ringing of their optimisation, and the mesh's texture, which is soft; a trained restorer then
changes it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate, pad

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.rig import Gaussians
from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel
from headcast.interpolation import smoothstep
from headcast.methods.superhead.prior import InversionTarget
from headcast.methods.superhead.uv_maps import (
    SIDE,
    covered_texels,
    covered_triangles,
    label_maps,
    surface_maps,
    texture_map,
)
from headcast.methods.superhead.uv_network import CHANNELS, UVRestorer, load_uv_restorer
from headcast.render.uv import rasterize_uv
from headcast.splats.degrade import DEGRADED, pixel_size
from headcast.splats.uv_colours import gaussian_uv, uv_colours

__all__ = ["SIDE", "UVPrior", "covered_triangles"]

LEVELS = (32, 64, 128)
"""Sides of the latent maps, which are summed. None is finer: anchors know nothing of pores and lashes."""
FLAT = 2.0  # levels of a texture's deviation up to which it is one colour
STEP = 0.12
"""Of a latent, in log albedo (display values): a step of Adam moves all levels by this times the rate."""
GEOMETRY_STEP = (0.5, 0.1, 0.05)
"""Of a latent, in logits of opacity, log scale, and a Gaussian's reach along the normal."""
LOG_RANGE, OPACITY_RANGE, SCALE_RANGE, OFFSET_RANGE = 1.6, 3.0, 0.5, 2.0
BORDER = 12.0  # texels from the border of what is covered over which residuals grow to their full size
SHARPEN, SHARPEN_REACH = 0.9, 0.9  # of the texture: overlapping Gaussians blur it; reach in texels
OWN = 0.5
"""Weight of the Gaussians' own albedo in the mean with the texture's, where the photo is small."""
SHARP_PIXEL_M, SMALL_PIXEL_M = 0.0007, 0.0015
"""Pixels of a photo, on the head, between which it becomes small: Gaussians of a sharp one do not ring."""
SKIN_STEP = 0.05  # of a latent, in standard deviations of the skin model
DISPLAY_GAMMA = 2.2  # from logarithms of linear light to those of display values
NEAR = 0.3  # of a latent's deviation: how far from w the locality loss looks
DARKEST = 0.02  # albedo in display values below which residuals are not amplified


class UVPrior:
    """G(w, g) in the head's UV (see the module).

    Args:
        network: a trained UV restorer, which the inversion changes; None: untrained.
    """

    name: ClassVar[str] = "uv"

    def __init__(self, head: HeadModel, network: UVRestorer | None = None, seed: int = 0) -> None:
        self.covered = covered_triangles(head)
        self.is_trained = network is not None
        self.tuning = False
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = UVRestorer()
        if network is not None:
            self.network.load_state_dict(network.state_dict())
        self.network.eval()
        self.skin = SkinModel.load_for(head)
        count = 0 if self.skin is None else len(self.skin.components)
        self.coefficients = torch.zeros(count, requires_grad=True)
        self.maps = [torch.zeros(1, CHANNELS, s, s, requires_grad=True) for s in LEVELS]

    @staticmethod
    def load(head: HeadModel, seed: int = 0) -> UVPrior:
        """Return the prior with the bundled weights, untrained where the package has none."""
        return UVPrior(head, load_uv_restorer(), seed)

    def invert_init(self, canonical: InversionTarget) -> None:
        """Take the input's Gaussians on covered triangles, and the colours that are restored."""
        avatar = canonical.avatar
        padded = torch.zeros(len(avatar.mesh.surface.faces), dtype=torch.bool)
        padded[: len(self.covered)] = self.covered
        index = torch.nonzero(padded[avatar.gaussians.triangle])[:, 0]
        own = avatar.gaussians[index]
        self.grid = (gaussian_uv(avatar, avatar.head, index, 0) * 2 - 1)[None, None]
        texels = covered_texels(avatar.head, self.covered)
        self.border = self.sample(border_map(avatar.head, texels, self.covered))
        if has_face(avatar.mesh):
            texture = torch.from_numpy(texture_map(avatar.mesh.texture)).permute(2, 0, 1)[None]
            self.base = texture.float() / 255
            other = self.sample(sharpened(self.base))
            mean = torch.lerp(own.albedo, other, (1 - own_weight(avatar)) * self.border)
            self.start = replace(own, albedo=mean.clamp(0, 1.4))
        else:
            weight = own.opacity.sigmoid()
            found = uv_colours(self.grid[0, 0] / 2 + 0.5, own.albedo, weight, SIDE).albedo
            self.base = torch.from_numpy(found).permute(2, 0, 1)[None].contiguous()
            self.start = own
        self.inputs = input_maps(avatar, self.base[0], texels)[None]
        with torch.no_grad():
            nothing = torch.zeros(1, CHANNELS, SIDE, SIDE)
            self.restored = self.network(torch.cat([self.inputs, nothing], 1))

    def sample(self, field: Float[Tensor, "1 c s s"]) -> Float[Tensor, "n c"]:
        """Sample a field over UV where the Gaussians lie."""
        return grid_sample(field, self.grid, "bilinear", "border", align_corners=False)[0, :, 0].T

    def latent(self) -> list[Tensor]:
        """Return the coefficients of the skin model and the latent maps."""
        return [self.coefficients, *self.maps]

    def weights(self) -> list[Tensor]:
        """Return the parameters of the UV restorer's U-Net; the linear filters stay as they were solved."""
        return [p for name, p in self.network.named_parameters() if name != "filters"]

    def latent_map(self, maps: list[Tensor]) -> Float[Tensor, "1 6 s s"]:
        """Sum the levels of a latent pyramid at full size."""
        total = torch.zeros(())
        for m in maps:
            total = total + (m if m.shape[-1] == SIDE else interpolate(m, (SIDE, SIDE), mode="bilinear"))
        return total

    def decode(self, latent: Float[Tensor, "1 6 s s"]) -> Float[Tensor, "1 6 s s"]:
        """Return residual maps of a latent: its own values, and what the UV restorer makes of it.

        Before the last third latents do not reach the restorer: its weights for them are zero.
        """
        scale = torch.tensor([STEP] * 3 + list(GEOMETRY_STEP))[:, None, None]
        if not self.tuning:
            return latent * scale + self.restored
        return latent * scale + self.network(torch.cat([self.inputs, latent], 1))

    def gaussians(self) -> Gaussians:
        """Return the start's Gaussians with the residuals at their places."""
        return apply_residual(self.start, self.sample(self.residual()) * self.border)

    def residual(self) -> Float[Tensor, "1 6 s s"]:
        """Return the residual fields of w and g."""
        residual = self.decode(self.latent_map(self.maps))
        if self.skin is not None:
            residual = torch.cat([residual[:, :3] + self.skin_change(), residual[:, 3:]], 1)
        return residual

    def skin_change(self) -> Float[Tensor, "1 3 s s"]:
        """Return the change of log albedo (display values) by the coefficients of the skin model."""
        assert self.skin is not None
        change = torch.tensordot(self.coefficients * SKIN_STEP, self.skin.components, 1) / DISPLAY_GAMMA
        return interpolate(change.permute(2, 0, 1)[None], (SIDE, SIDE), mode="bilinear")

    def begin_tuning(self) -> None:
        """Freeze a copy of g for the locality loss; from here on the UV restorer takes part."""
        self.tuning = True
        self.first = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def locality(self, rng: torch.Generator) -> Float[Tensor, ""]:
        """Return the mean squared change of the decoder's output at a random latent near w."""
        with torch.no_grad():
            latent = self.latent_map(self.maps)
            scale = NEAR * float(latent.std().clamp(min=0.1))
            small = torch.randn(1, CHANNELS, LEVELS[1], LEVELS[1], generator=rng) * scale
            near = torch.cat([self.inputs, latent + interpolate(small, (SIDE, SIDE), mode="bilinear")], 1)
            before = torch.func.functional_call(self.network, self.first, (near,))
        return (self.network(near) - before).square().mean()

    def state(self) -> dict[str, Tensor]:
        """Return g as it was when the last third began."""
        return {f"first.{k}": v for k, v in self.first.items()} if hasattr(self, "first") else {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take up what ``state`` returned."""
        first = {k.removeprefix("first."): v for k, v in state.items() if k.startswith("first.")}
        if first:
            self.first, self.tuning = first, True

    def facts(self) -> dict[str, Any]:
        """Describe the prior for the run's record."""
        return {"prior": self.name, "prior_trained": self.is_trained, "prior_gaussians": len(self.start)}

    def finish(self, avatar: GaussianAvatar) -> GaussianAvatar:
        """Multiply the head's texture by the gain that the albedo of its texels found."""
        import cv2

        with torch.no_grad():
            texels = covered_texels(avatar.head, self.covered)
            gain = bounded(
                self.residual()[0, :3] * border_map(avatar.head, texels, self.covered)[0], LOG_RANGE
            )
        texture = avatar.mesh.texture
        size = texture.shape[1::-1]
        large = cv2.resize(gain.permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_LINEAR)
        changed = np.round(texture * np.exp(large)).clip(0, 255).astype(np.uint8)
        mesh = replace(avatar.mesh, texture=changed)
        return GaussianAvatar(mesh, avatar.gaussians)


def apply_residual(start: Gaussians, residual: Float[Tensor, "n 6"]) -> Gaussians:
    """Change Gaussians by bounded residuals of log albedo, opacity, scale and offset along the normal."""
    colour, opacity, scale, offset = residual.split([3, 1, 1, 1], 1)
    reach = start.log_scale[:, :2].mean(1).exp()
    lift = bounded(offset[:, 0], OFFSET_RANGE) * reach
    along = torch.stack([torch.zeros_like(lift), lift, torch.zeros_like(lift)], 1)
    return replace(
        start,
        albedo=(start.albedo.clamp(min=DARKEST) * bounded(colour, LOG_RANGE).exp()).clamp(0, 1.4),
        opacity=start.opacity + bounded(opacity[:, 0], OPACITY_RANGE).clamp(min=0),
        log_scale=start.log_scale + bounded(scale, SCALE_RANGE),
        position=start.position + along,
    )


def own_weight(avatar: GaussianAvatar) -> float:
    """Return the weight of the Gaussians' own albedo: 1 for an avatar of a sharp photo, else ``OWN``."""
    pixel = pixel_size(avatar) * float(avatar.provenance.extra.get(DEGRADED, 1.0))
    small = smoothstep(torch.tensor(pixel), SHARP_PIXEL_M, SMALL_PIXEL_M)
    return 1 - (1 - OWN) * float(small)


def sharpened(albedo: Float[Tensor, "1 3 s s"]) -> Float[Tensor, "1 3 s s"]:
    """Sharpen a map as much as overlapping Gaussians will blur it."""
    reach = torch.arange(-3, 4)
    line = torch.exp(-0.5 * (reach / SHARPEN_REACH) ** 2)
    line = line / line.sum()
    padded = pad(albedo, (3, 3, 3, 3), mode="replicate")
    rows = conv2d(padded, line.reshape(1, 1, 1, 7).repeat(3, 1, 1, 1), groups=3)
    blurred = conv2d(rows, line.reshape(1, 1, 7, 1).repeat(3, 1, 1, 1), groups=3)
    return albedo + SHARPEN * (albedo - blurred)


def has_face(mesh: MeshAvatar) -> bool:
    """Return whether the texture shows more than one colour: imported avatars have none of their own."""
    return bool(mesh.texture.std() > FLAT)


def bounded(x: Tensor, most: float) -> Tensor:
    """Return x for small values and never more than ``most`` in size."""
    return most * torch.tanh(x / most)


def input_maps(
    avatar: GaussianAvatar, albedo: Float[Tensor, "3 s s"], texels: Int[Tensor, "n"]
) -> Float[Tensor, "17 s s"]:
    """Return the UV restorer's inputs: albedo, confidence (the photo's cosine), normals, labels."""
    posed = avatar.mesh.surface.posed(avatar.source.params)
    count = len(avatar.head.neutral)
    surface = surface_maps(
        avatar.head, posed.vertices[:count], posed.normals[:count], avatar.source.camera, texels
    )
    return torch.cat([albedo * 2 - 1, surface, label_maps(avatar.head, texels)])


def border_map(
    head: HeadModel, texels: Int[Tensor, "n"], covered: Bool[Tensor, "f"]
) -> Float[Tensor, "1 1 s s"]:
    """Return 0 at covered texels next to uncovered ones (scalp, neck), 1 from ``BORDER`` texels away.

    Seams of the layout, such as the rims of lids and lips, are no border.
    """
    import cv2

    triangle = rasterize_uv(head.uv, head.faces_uv, SIDE).triangle.long()
    elsewhere = (triangle >= 0) & ~covered[triangle.clamp(min=0)]
    free = (~elsewhere).numpy().astype(np.uint8).reshape(SIDE, SIDE)
    distance = torch.from_numpy(cv2.distanceTransform(free, cv2.DIST_L2, 5))
    return smoothstep(distance - 1, 0.0, BORDER)[None, None]
