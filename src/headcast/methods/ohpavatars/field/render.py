"""Render the field for a posed head: rays go on in rounds, and end where no light passes any more."""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.methods.ohpavatars.field.encode import Composited, composite_packed
from headcast.methods.ohpavatars.field.march import (
    CUBE_LOW,
    CUBE_SIDE,
    STEP,
    HeadRays,
    PosedHeads,
    Samples,
    camera_rays,
    march,
)
from headcast.methods.ohpavatars.field.network import RadianceField
from headcast.render.types import Rendering
from headcast.rotation import axis_angle_to_matrix

__all__ = ["composite_samples", "render_field", "trace_rays"]

SAMPLES_A_ROUND = 8  # of a ray, after which it is asked whether light still passes
RAYS_AT_ONCE = 1 << 15
MIN_PASSING = 2e-3  # fraction of the light, below which a ray ends


def composite_samples(
    field: RadianceField, heads: PosedHeads, rays: HeadRays, samples: Samples
) -> Composited:
    """Evaluate the field at samples and composite them; differentiable in the field's parameters."""
    expression = heads.expression[rays.head[samples.ray]]
    density, colour = field(samples.points, samples.mouth, expression)
    steps = torch.full_like(samples.depth, STEP)
    return composite_packed(samples.start, samples.counts, density, colour, steps, samples.depth)


@torch.no_grad()
def trace_rays(field: RadianceField, heads: PosedHeads, rays: HeadRays) -> Float[Tensor, "r 5"]:
    """Trace rays to their ends; return premultiplied colour, coverage, and depth times coverage."""
    out, passing = torch.zeros(len(rays.origin), 5), torch.ones(len(rays.origin))
    index, after, occupied = torch.arange(len(out)), None, field.occupied
    while len(index):
        alive = HeadRays(*(x[index] for x in rays))
        samples = march(heads, alive, occupied, after=after, most=SAMPLES_A_ROUND)
        found = composite_samples(field, heads, alive, samples)
        values = torch.cat([found.colour, found.alpha[:, None], found.depth[:, None]], 1)
        out[index] += passing[index, None] * values
        passing[index] *= 1 - found.alpha
        go_on = torch.isfinite(samples.after) & (passing[index] > MIN_PASSING)
        index, after = index[go_on], samples.after[go_on]
    return out


@torch.no_grad()
def render_field(field: RadianceField, heads: PosedHeads, params: HeadParams, camera: Camera) -> Rendering:
    """Render one posed head (row 0 of ``heads``) with straight alpha, in sRGB display values."""
    pixels = pixels_of_cube(params, camera)
    out = torch.zeros(camera.height, camera.width, 5)
    for part in pixels.split(RAYS_AT_ONCE):
        rays = camera_rays(camera, params, part + 0.5, 0)
        values = trace_rays(field, heads, rays)
        forward = axis_angle_to_matrix(params.rotation).T @ camera.cam_from_world[2, :3]
        values[:, 4] *= rays.direction @ forward  # distance along the ray to depth
        out[part[:, 1], part[:, 0]] = values
    alpha = out[..., 3]
    solid = alpha.clamp(min=1e-4)
    rgb = (out[..., :3] / solid[..., None]).clamp(0, 1)
    return Rendering(rgb, alpha, out[..., 4] / solid * (alpha > 0), "srgb")


def pixels_of_cube(params: HeadParams, camera: Camera) -> Int[Tensor, "r 2"]:
    """Return the pixels (x, y) of the box around the field's cube in an image; none where it is behind."""
    corners = torch.tensor(list(product((0.0, CUBE_SIDE), repeat=3))) + torch.tensor(CUBE_LOW)
    world = corners @ axis_angle_to_matrix(params.rotation).T + params.translation
    if float(camera.to_camera(world)[:, 2].min()) <= 0:
        low, high = torch.zeros(2), torch.tensor([camera.width, camera.height]).float()
    else:
        at = camera.project(world)
        low, high = at.amin(0).floor(), at.amax(0).ceil()
    x0, y0 = (int(v) for v in low.clamp(min=0))
    x1, y1 = min(int(high[0]), camera.width), min(int(high[1]), camera.height)
    y, x = torch.meshgrid(torch.arange(y0, max(y1, y0)), torch.arange(x0, max(x1, x0)), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)
