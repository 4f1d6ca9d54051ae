"""How fast Gaussians render, forward and backward: the kernels against the plain torch reference, in one run.

python -m benchmarks.gaussians [--repeats 20] [--sizes 30000 100000]

The scene is a shell of an ellipsoid that covers 49 % of 512 x 512 pixels, at 30k Gaussians with about 15
blends a covered pixel. The floor is what the blends would cost with everything in registers.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch

from benchmarks.harness import machine, milliseconds, row
from headcast.camera import Camera
from headcast.render import gaussians_torch
from headcast.render.gaussians import render_gaussians

SIZE = 512
PEAK = 3.9e9  # blends a second, register-resident, measured on 2 cores with AVX-512


def shell(n: int) -> tuple[list[torch.Tensor], Camera]:
    """means, log-scales, quaternions, logits, colours; and the camera."""
    g = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1)
    thickness = 1 + 0.03 * torch.randn(n, 1, generator=g)
    means = direction * torch.tensor([0.085, 0.12, 0.1]) * thickness
    log_scales = math.log(0.00077 * math.sqrt(30000 / n)) + 0.3 * torch.randn(n, 3, generator=g)
    quaternions, logits = torch.randn(n, 4, generator=g), 1.5 * torch.randn(n, generator=g) - 0.7
    camera = Camera.orbit(torch.zeros(3), 1.0, yaw=20, pitch=5, focal=SIZE * 3.57, width=SIZE, height=SIZE)
    return [means, log_scales, quaternions, logits, torch.rand(n, 3, generator=g)], camera


def work(scene: list[torch.Tensor], camera: Camera, backend: str, backward: bool) -> Callable[[], object]:
    """A call that renders, with or without the gradients of everything."""
    inputs = [x.clone().requires_grad_(backward) for x in scene]

    def call() -> None:
        r = render_gaussians(*inputs, camera, background=torch.zeros(3), backend=backend)  # type: ignore[arg-type]
        outputs = (r.rgb, r.alpha, r.depth)
        if backward:
            torch.autograd.grad(outputs, inputs, [torch.ones_like(x) for x in outputs])

    return call


def blends(scene: list[torch.Tensor], camera: Camera) -> tuple[int, int]:
    """Number of blends in the picture and of pixels with one."""
    plain, counts = gaussians_torch._weights, [0, 0]

    def counted(*args: torch.Tensor) -> torch.Tensor:
        weights = plain(*args)  # type: ignore[arg-type]
        counts[0] += int((weights > 0).sum())
        counts[1] += int((weights > 0).any(0).sum())
        return weights

    gaussians_torch._weights = counted  # type: ignore[assignment]
    try:
        with torch.no_grad():
            gaussians_torch.render(*scene, camera, None, True, 0.01)
    finally:
        gaussians_torch._weights = plain
    return counts[0], counts[1]


def main() -> None:
    """Prints one table row per number of Gaussians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[30000, 100000])
    args = parser.parse_args()
    print(machine() + "\n")
    print("| 512x512, ms: median (minimum) | kernels | plain torch | ratio of minima |\n|---|---|---|---|")
    for n in args.sizes:
        scene, camera = shell(n)
        for name, backward in (("forward", False), ("forward and backward", True)):
            ours = milliseconds(work(scene, camera, "numba", backward), args.repeats)
            row(f"{n} Gaussians, {name}", ours, milliseconds(work(scene, camera, "torch", backward), 2))
        count, covered = blends(scene, camera)
        share = 2e3 * count / PEAK / ours[1]  # every blend forward and again backward
        facts = f"{covered / SIZE**2:.0%} covered, {count / covered:.1f} blends a covered pixel"
        print(f"| {facts}, {share:.0%} of the floor | | | |")


if __name__ == "__main__":
    main()
