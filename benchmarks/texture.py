"""Time and memory of skin maps of a whole picture: stage 1, patches, seams, unwrapping, filling.

python -m benchmarks.texture [--sizes 1024 4096] [--texture 4096]

A synthetic head's geometry and a picture of noise: what is seen costs nothing. Networks of the ``small`` size
with the bundled weights where they are, else with random ones (the same work). Peak memory is the process's,
of each part alone where the system can forget the last peak (Linux).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch

from benchmarks.harness import machine
from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.uhr_texture import fill
from headcast.methods.uhr_texture.geometry import fitted_geometry, rasterize_geometry
from headcast.methods.uhr_texture.infer import image_maps, unwrap_maps
from headcast.methods.uhr_texture.network import CONFIGS, GDE, HFDR, Predictor
from headcast.methods.uhr_texture.unwrap import pixels_to_unwrap
from headcast.methods.uhr_texture.usual import face_weight, predefined_maps
from headcast.methods.uhr_texture.weights import SkinNetworks, available, load_skin_networks


def networks() -> SkinNetworks:
    """Bundled or random."""
    c = CONFIGS["small"]
    return (
        load_skin_networks()
        if available()
        else SkinNetworks(c, Predictor(c).eval(), GDE(c).eval(), HFDR(c).eval())
    )


def peak() -> float:
    """Most memory held since the last call, GB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        found = next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1e6
        Path("/proc/self/clear_refs").write_text("5")
        return found
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


@torch.no_grad()
def run(n: int, size: int, head: HeadModel, nets: SkinNetworks) -> dict[str, tuple[float, float]]:
    """Processor seconds and GB of each part."""
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[:3, 3] = torch.tensor([0.0, 0.02, 0.9])
    K = torch.tensor([[3.2 * n, 0, n / 2], [0, 3.2 * n, n / 2], [0, 0, 1]])
    camera = Camera(K, pose, n, n)
    mesh = fitted_geometry(head, HeadParams.neutral(head.identities), camera)
    rgb = torch.rand(3, n, n)
    peak()
    times, start = {}, time.process_time()

    def mark(name: str) -> None:
        nonlocal start
        times[name] = (time.process_time() - start, peak())
        start = time.process_time()

    image, _, _ = image_maps(rgb, nets)
    mark("both stages")
    triangle, bary = rasterize_geometry(mesh, camera)
    mark("drawing")
    pixels = pixels_to_unwrap(
        triangle, bary, mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, mesh.normals, torch.ones(n, n)
    )
    del triangle, bary
    mark("pixels")
    texture, seen = unwrap_maps(image, pixels, size)
    del pixels
    mark("unwrapping")
    seen = fill.soften_visibility(seen)
    texture, seen = fill.complete_by_symmetry(texture, seen, head)
    fill.blend_over(texture, seen, predefined_maps(None, head, size), face_weight(head, size))
    mark("filling")
    return times


def main() -> None:
    """Prints a table row per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--texture", type=int, default=0)
    args = parser.parse_args()
    head, nets = HeadModel.load(), networks()
    print(f"{machine()}\n")
    first = True
    for n in args.sizes:
        size = args.texture or n
        parts = run(n, size, head, nets)
        if first:
            print(
                "| picture | maps | " + " | ".join(f"{k}, s (GB)" for k in parts) + " | all, s (peak, GB) |"
            )
            print("|---" * (len(parts) + 3) + "|")
            first = False
        total, most = sum(t for t, _ in parts.values()), max(m for _, m in parts.values())
        cells = [f"{t:.1f} ({m:.2f})" for t, m in (*parts.values(), (total, most))]
        print(f"| {n}² | {size}² | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
