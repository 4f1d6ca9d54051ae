"""Rays a second of the deformable field: kernels with skipped space against plain torch without, in one run.

python -m benchmarks.field [--rays 1024] [--repeats 3]

The head is the model's mean one; the field is a solid shell around its surface, so that occupancy is that
of a trained head. Plain torch takes every sample between the cube's walls, carries it by the same triangle
(found on the same grid), and encodes, decodes and composites by torch's own operations.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.ohpavatars.field.march import (
    CELLS,
    CUBE_LOW,
    CUBE_SIDE,
    OCCUPANCY_CELLS,
    STEP,
    HeadRays,
    PosedHeads,
    camera_rays,
    march,
    pose_heads,
)
from headcast.methods.ohpavatars.field.network import RadianceField
from headcast.methods.ohpavatars.field.render import composite_samples, trace_rays

SHELL = 0.008  # metres on either side of the skin that are taken as occupied
SIDE = 256


def scene(count: int) -> tuple[RadianceField, PosedHeads, HeadRays]:
    """Return a field whose occupied cells lie around the skin, a posed head, and rays through its image."""
    torch.manual_seed(0)
    head = HeadModel.load()
    rest = HeadParams.neutral(head.identities)
    params = rest.with_expression({"jawOpen": 0.4}).replace(translation=torch.tensor([0.0, -0.02, -0.9]))
    heads, field = pose_heads(head, [params], head(rest)), RadianceField()
    vertices = head(rest)
    field.occupancy.zero_()
    around = torch.tensor([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]) * SHELL
    at = (vertices[:, None] + around - torch.tensor(CUBE_LOW)) / CUBE_SIDE * OCCUPANCY_CELLS
    x, y, z = at.reshape(-1, 3).long().clamp(0, OCCUPANCY_CELLS - 1).unbind(-1)
    field.occupancy[z, y, x] = 100.0
    camera = Camera.make(2.1 * SIDE, SIDE, SIDE)
    pixels = torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * SIDE
    return field, heads, camera_rays(camera, params, pixels, 0)


def plain(field: RadianceField, heads: PosedHeads, rays: HeadRays) -> Tensor:
    """Return colour and coverage of rays, every sample taken, by torch's operations alone."""
    low = torch.tensor(CUBE_LOW)
    walls = torch.stack(
        [(low - rays.origin) / rays.direction, (low + CUBE_SIDE - rays.origin) / rays.direction]
    )
    near = walls.amin(0).amax(1)
    depth = near[:, None] + STEP * (torch.arange(round(CUBE_SIDE * 1.3 / STEP)) + 0.5)
    at = (rays.origin[:, None] + depth[..., None] * rays.direction[:, None]).reshape(-1, 3)
    cell = ((at - low) / CUBE_SIDE * CELLS).long().clamp(0, CELLS - 1)
    triangle = heads.nearest[0][cell[:, 2], cell[:, 1], cell[:, 0]].long()
    affine = heads.affine[0][triangle.clamp(min=0)].reshape(-1, 3, 4)
    canonical = ((affine[..., :3] @ at[..., None])[..., 0] + affine[..., 3] - low) / CUBE_SIDE
    inside = (triangle >= 0) & ((canonical > 0) & (canonical < 1)).all(-1)
    features = field.grid(canonical.clamp(0, 1).T[None])[0].T
    expression = heads.expression[0].expand(len(at), -1)
    density, colour = field.decode(features, heads.mouth[triangle.clamp(min=0)], expression)
    density = (density * inside).reshape(depth.shape)
    passed = torch.exp(-density * STEP)
    through = torch.cumprod(torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], 1), 1)
    weight = through * (1 - passed)
    return torch.cat([(weight[..., None] * colour.reshape(*depth.shape, 3)).sum(1), weight.sum(1, True)], 1)


def rays_per_second(call: Callable[[], object], rays: int, repeats: int) -> float:
    """Return the fastest of a few calls, after one that compiles."""
    call()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return rays / best


def main() -> None:
    """Print rays a second, rendering and training, of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rays", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    field, heads, rays = scene(given.rays)

    def with_gradients(call: Callable[[], Tensor]) -> Callable[[], object]:
        return lambda: call().sum().backward()

    def trained() -> Tensor:
        found = composite_samples(field, heads, rays, march(heads, rays, field.occupied))
        return torch.cat([found.colour, found.alpha[:, None]], 1)

    with torch.no_grad():
        slow = rays_per_second(lambda: plain(field, heads, rays), given.rays, given.repeats)
        fast = rays_per_second(lambda: trace_rays(field, heads, rays), given.rays, given.repeats)
    slow_step = rays_per_second(with_gradients(lambda: plain(field, heads, rays)), given.rays, given.repeats)
    fast_step = rays_per_second(with_gradients(trained), given.rays, given.repeats)
    print(f"threads {torch.get_num_threads()}, {given.rays} rays, step {1000 * STEP:.0f} mm")
    for name, ours, theirs in (("render", fast, slow), ("train", fast_step, slow_step)):
        print(f"{name}: plain torch {theirs:.0f} rays/s, kernels {ours:.0f} rays/s, {ours / theirs:.1f}x")


if __name__ == "__main__":
    main()
