"""The UV prior: one Gaussian a texel of the face's UV, whose residuals a latent and a UV restorer give.

w: coefficients of the skin model and a pyramid of latent maps, both added to the input's albedo; g: the
weights of the UV restorer. All are zero at first, so that the untrained prior is the input, resampled.
Consistent over views and expressions by construction: what it says of a texel is said once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import Gaussians, frames_of
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.head.skin import SkinModel
from headcast.interpolation import smoothstep
from headcast.methods.superhead.prior import InversionTarget
from headcast.methods.superhead.uv_network import CHANNELS, UVRestorer
from headcast.render.uv import rasterize_uv
from headcast.splats.init import SPREAD, head_classes, place_gaussians
from headcast.splats.uv_colours import gaussian_uv, uv_colours

__all__ = ["SIDE", "UVPrior", "covered_triangles"]

SIDE = 512
"""Texels of a side of the residual maps; one Gaussian lies at each covered texel."""
LEVELS = (32, 64, 128, 256, 512)
"""Sides of the latent maps, which are summed."""
STEP = 0.12
"""Of a latent, in log albedo (display values): a step of Adam moves all levels by this times the rate."""
GEOMETRY_STEP = (0.5, 0.1, 0.05)
"""Of a latent, in logits of opacity, log scale, and a Gaussian's reach along the normal."""
LOG_RANGE, OPACITY_RANGE, SCALE_RANGE, OFFSET_RANGE = 1.6, 3.0, 0.5, 2.0
BORDER = 12.0  # texels from the border of what is covered over which residuals grow to their full size
SHARPEN, SHARPEN_REACH = 0.9, 0.9  # of the input's albedo: overlapping Gaussians blur it; reach in texels
SKIN_STEP = 0.05  # of a latent, in standard deviations of the skin model
DISPLAY_GAMMA = 2.2  # from logarithms of linear light to those of display values
NEAR = 0.3  # of a latent's deviation: how far from w the locality loss looks
LABELS = ("face", "lips", "lids", "nose", "brows", "ears", "sclera", "iris", "teeth", "mouth")
DARKEST = 0.02  # albedo in display values below which residuals are not amplified


def covered_triangles(head: HeadModel) -> Bool[Tensor, "f"]:
    """Return the triangles of face, eyes and mouth: what portraits show in detail."""
    classes = head_classes(head)
    return classes["face"] | classes["eyes"] | classes["inside"]


class UVPrior:
    """G(w, g) in the head's UV (see the module).

    Args:
        network: a trained UV restorer; None: untrained, which is the input.
    """

    name: ClassVar[str] = "uv"

    def __init__(self, head: HeadModel, network: UVRestorer | None = None, seed: int = 0) -> None:
        self.covered = covered_triangles(head)
        self.is_trained = network is not None
        self.tuning = self.is_trained
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = network or UVRestorer(into=3 + 1 + 3 + len(LABELS) + CHANNELS)
        self.network.eval()
        self.skin = SkinModel.load_for(head)
        count = 0 if self.skin is None else len(self.skin.components)
        self.coefficients = torch.zeros(count, requires_grad=True)
        self.maps = [torch.zeros(1, CHANNELS, s, s, requires_grad=True) for s in LEVELS]

    def invert_init(self, canonical: InversionTarget) -> None:
        """Place a Gaussian at every covered texel, of the input's colour there."""
        avatar = canonical.avatar
        self.texels, self.start = resample(avatar, self.covered)
        self.place = self.texels % SIDE, self.texels // SIDE
        self.border = border_ramp(avatar.head, self.texels, self.covered)
        self.inputs = input_maps(avatar, self.texels, self.start)

    def latent(self) -> list[Tensor]:
        """Return the coefficients of the skin model and the latent maps."""
        return [self.coefficients, *self.maps]

    def weights(self) -> list[Tensor]:
        """Return the UV restorer's parameters."""
        return list(self.network.parameters())

    def latent_map(self, maps: list[Tensor]) -> Float[Tensor, "1 6 s s"]:
        """Sum the levels of a latent pyramid at full size."""
        total = maps[-1]
        for m in maps[:-1]:
            total = total + interpolate(m, (SIDE, SIDE), mode="bilinear")
        return total

    def decode(self, latent: Float[Tensor, "1 6 s s"]) -> Float[Tensor, "1 6 s s"]:
        """Return residual maps of a latent: its own values, and what the UV restorer makes of it."""
        scale = torch.tensor([STEP] * 3 + list(GEOMETRY_STEP))[:, None, None]
        residual = latent * scale
        if self.tuning:
            residual = residual + self.network(torch.cat([self.inputs, latent], 1))
        return residual

    def gaussians(self) -> Gaussians:
        """Return the start's Gaussians with the residuals at their texels."""
        residual = self.decode(self.latent_map(self.maps))
        if self.skin is not None:
            residual = torch.cat([residual[:, :3] + self.skin_change(), residual[:, 3:]], 1)
        x, y = self.place
        at = residual[0][:, y, x].T * self.border[:, None]
        return apply_residual(self.start, at)

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
            found = self.gaussians()
        gain = np.zeros((SIDE * SIDE, 3), np.float32)
        ratio = found.albedo.clamp(min=DARKEST).log() - self.start.albedo.clamp(min=DARKEST).log()
        gain[self.texels.numpy()] = ratio.numpy()
        texture = avatar.mesh.texture
        size = texture.shape[1::-1]
        large = cv2.resize(gain.reshape(SIDE, SIDE, 3), size, interpolation=cv2.INTER_LINEAR)
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


def bounded(x: Tensor, most: float) -> Tensor:
    """Return x for small values and never more than ``most`` in size."""
    return most * torch.tanh(x / most)


def resample(avatar: GaussianAvatar, covered: Bool[Tensor, "f"]) -> tuple[Int[Tensor, "n"], Gaussians]:
    """Return the covered texels and a Gaussian at each, coloured by the Gaussians that it replaces."""
    import cv2

    head = avatar.head
    rest = HeadParams.neutral(head.identities).replace(identity=avatar.source.params.identity)
    vertices = avatar.mesh.surface.posed(rest).vertices
    frames = frames_of(vertices, avatar.mesh.surface.faces)
    texture = torch.full((SIDE, SIDE, 3), 128, dtype=torch.uint8)
    placed = place_gaussians(
        vertices[: len(head.neutral)], head, texture, SIDE, SPREAD[0], covered, 0, frames
    )
    triangle = rasterize_uv(head.uv, head.faces_uv, SIDE).triangle.long()
    texels = torch.nonzero((triangle >= 0) & covered[triangle.clamp(min=0)])[:, 0]
    padded = torch.zeros(len(avatar.mesh.surface.faces), dtype=torch.bool)
    padded[: len(covered)] = covered
    index = torch.nonzero(padded[avatar.gaussians.triangle])[:, 0]
    uv = gaussian_uv(avatar, head, index, 0)
    weight = avatar.gaussians.opacity[index].sigmoid()
    found = uv_colours(uv, avatar.gaussians.albedo[index], weight, SIDE).albedo
    sharp = found + SHARPEN * (found - cv2.GaussianBlur(found, (0, 0), SHARPEN_REACH))
    albedo = torch.from_numpy(sharp.reshape(-1, 3))[texels].clamp(0, 1.4)
    return texels, replace(placed, albedo=albedo)


def border_ramp(head: HeadModel, texels: Int[Tensor, "n"], covered: Bool[Tensor, "f"]) -> Float[Tensor, "n"]:
    """Return 0 at covered texels next to uncovered ones (scalp, neck), 1 from ``BORDER`` texels away.

    Seams of the layout, such as the rims of lids and lips, are no border.
    """
    import cv2

    triangle = rasterize_uv(head.uv, head.faces_uv, SIDE).triangle.long()
    elsewhere = (triangle >= 0) & ~covered[triangle.clamp(min=0)]
    free = (~elsewhere).numpy().astype(np.uint8).reshape(SIDE, SIDE)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, 5).reshape(-1)[texels.numpy()]
    return smoothstep(torch.from_numpy(distance - 1), 0.0, BORDER)


def input_maps(
    avatar: GaussianAvatar, texels: Int[Tensor, "n"], start: Gaussians
) -> Float[Tensor, "1 17 s s"]:
    """Return the restorer's inputs: albedo, confidence (the photo's cosine), normals, labels."""
    head = avatar.head
    fragments = rasterize_uv(head.uv, head.faces_uv, SIDE)
    triangle, bary = fragments.triangle[texels].long(), fragments.barycentric[texels]
    corner = head.faces[triangle]
    posed = avatar.mesh.surface.posed(avatar.source.params)
    normal = normalize((posed.normals[corner] * bary[..., None]).sum(1), dim=-1)
    place = (posed.vertices[corner] * bary[..., None]).sum(1)
    towards = normalize(avatar.source.camera.center.to(place) - place, dim=-1)
    confidence = (normal * towards).sum(-1, keepdim=True).clamp(min=0)
    names = torch.tensor([head.region_names.index(n) if n in head.region_names else -1 for n in LABELS])
    region = head.region[corner[torch.arange(len(corner)), bary.argmax(1)]]
    labels = (region[:, None] == names[None]).float()
    values = torch.cat([start.albedo * 2 - 1, confidence, normal, labels], 1)
    maps = torch.zeros(SIDE * SIDE, values.shape[1])
    maps[texels] = values
    return maps.T.reshape(1, -1, SIDE, SIDE).contiguous()
