"""Run by either version's Python: ``drive_splats.py COUNT ROUNDS`` times rendering Gaussians with gradients.

The scene is that of ``benchmarks/gaussians.py``. Besides the public interface it knows ``Camera.orbit`` and
``render_gaussians``, which have no command.
"""

import json
import math
import sys
import time

import torch

from headcast.camera import Camera
from headcast.render.gaussians import render_gaussians

SIDE = 512


def scene(count: int) -> list[torch.Tensor]:
    """means, log-scales, quaternions, logits and colours of a shell."""
    g = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=-1)
    thickness = 1 + 0.03 * torch.randn(count, 1, generator=g)
    means = direction * torch.tensor([0.085, 0.12, 0.1]) * thickness
    log_scales = math.log(0.00077 * math.sqrt(30000 / count)) + 0.3 * torch.randn(count, 3, generator=g)
    quaternions, logits = torch.randn(count, 4, generator=g), 1.5 * torch.randn(count, generator=g) - 0.7
    return [means, log_scales, quaternions, logits, torch.rand(count, 3, generator=g)]


def main(count: int, rounds: int) -> None:
    """Print the seconds of the loop, the first round (which compiles kernels) left out."""
    inputs = [x.requires_grad_() for x in scene(count)]
    camera = Camera.orbit(torch.zeros(3), 1.0, yaw=20, pitch=5, focal=SIDE * 3.57, width=SIDE, height=SIDE)

    def call() -> None:
        r = render_gaussians(*inputs, camera, background=torch.zeros(3))
        outputs = (r.rgb, r.alpha, r.depth)
        torch.autograd.grad(outputs, inputs, [torch.ones_like(x) for x in outputs])

    call()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(rounds):
        call()
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
