"""How fast meshes render: the CPU kernels against the plain torch reference, in one run.

python -m benchmarks.mesh_render [--repeats 20] [--sizes 512 1024]

The scene is an ellipsoid of 20k vertices and 40k triangles that covers 42 % of the picture, with a 2048²
texture of noise. Ratios are of the minima, which other programs on the machine disturb least.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

import torch
from torch import Tensor

from benchmarks.harness import machine, milliseconds, row
from headcast.camera import Camera
from headcast.render.geometry import vertex_normals
from headcast.render.mesh import interpolate, rasterize_mesh
from headcast.render.shaded import render_textured
from headcast.render.shaded_reference import TexturedScene, render_textured_reference
from headcast.render.shading import ambient, directional
from headcast.render.texture import Pyramid

FIRST = """
import time
start = time.perf_counter()
import torch
import headcast.render.shaded
imported = time.perf_counter()
from benchmarks.mesh_render import camera, draw, ellipsoid, light
v, f, uv = ellipsoid(20, 30)
draw(v, f, uv, torch.rand(64, 64, 3), camera(64))
print(imported - start, time.perf_counter() - imported)
"""


def ellipsoid(rings: int = 100, sectors: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices, faces and uv of a closed shell the size of a head."""
    theta, phi = torch.linspace(0.001, torch.pi - 0.001, rings), torch.linspace(0, 2 * torch.pi, sectors)
    t, p = torch.meshgrid(theta, phi, indexing="ij")
    v = torch.stack([t.sin() * p.sin() * 0.085, t.cos() * 0.12, t.sin() * p.cos() * 0.1], -1).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(rings - 1), torch.arange(sectors - 1), indexing="ij")
    a = (i * sectors + j).reshape(-1)
    faces = torch.cat(
        [torch.stack([a, a + sectors, a + 1], 1), torch.stack([a + 1, a + sectors, a + sectors + 1], 1)]
    )
    return v, faces, torch.stack([p / (2 * torch.pi), t / torch.pi], -1).reshape(-1, 2)


def camera(size: int) -> Camera:
    """A square picture of the shell."""
    return Camera.orbit(torch.zeros(3), 1.0, yaw=20, pitch=5, focal=size * 3.57, width=size, height=size)


def light() -> Tensor:
    """Soft light with a lamp."""
    return ambient(0.5) + directional(torch.tensor([0.48, 0.6, 0.64]), torch.tensor([0.8, 0.75, 0.7]))


def draw(v: Tensor, f: Tensor, uv: Tensor, texture: Tensor | Pyramid, view: Camera) -> object:
    """The whole picture by the kernels."""
    gloss = torch.tensor([0.5, 0.028]).expand(len(v), 2)
    return render_textured(v, f, vertex_normals(v, f), uv, f, texture, view, light=light(), gloss=gloss)


def first_picture() -> None:
    """Prints what a process's first picture costs, with an empty and with a filled cache of kernels."""
    with tempfile.TemporaryDirectory() as folder:
        for state in ("empty", "filled"):
            code = f"import os; os.environ['HEADCAST_CACHE'] = {folder!r}\n" + FIRST
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            imports, first = map(float, run.stdout.split())
            print(f"first picture, {state} cache: {first:.2f} s, after {imports:.2f} s of imports")


def rows_of(size: int, repeats: int, pyramid: Pyramid) -> None:
    """Prints what is measured at one picture size."""
    v, f, uv = ellipsoid()
    normals, view, few = vertex_normals(v, f), camera(size), max(2, repeats // 8)
    seen, differentiable = rasterize_mesh(v, f, view), normals.clone().requires_grad_()
    gloss = torch.tensor([0.5, 0.028]).expand(len(v), 2)
    scene = TexturedScene(
        vertices=v,
        faces=f,
        normals=normals,
        uv=uv,
        faces_uv=f,
        pyramid=pyramid,
        camera=view,
        light=light(),
        gloss=gloss,
        openness=None,
        texture_space="srgb",
        colour_space="srgb",
        antialias=2,
        near=0.01,
    )
    kernels = (
        lambda: rasterize_mesh(v, f, view, backend="numba"),
        lambda: interpolate(seen, f, normals),
        lambda: draw(v, f, uv, pyramid, view),
    )
    reference = (
        lambda: rasterize_mesh(v, f, view, backend="reference"),
        lambda: interpolate(seen, f, differentiable),
        lambda: render_textured_reference(scene),
    )
    names = (
        "triangle, barycentrics, depth",
        "interpolation of 3 channels",
        "lit, textured, glossy, 2x2 samples",
    )
    for name, ours, plain in zip(names, kernels, reference, strict=True):
        row(f"{size}²: {name}", milliseconds(ours, repeats), milliseconds(plain, few))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    args = parser.parse_args()
    v, f, _ = ellipsoid()
    print(f"{machine()}; {len(v)} vertices, {len(f)} triangles; milliseconds, median (minimum)\n")
    print("| what | kernels | torch reference | times faster |\n|---|---|---|---|")
    row("vertex normals", milliseconds(lambda: vertex_normals(v, f), args.repeats))
    pyramid = Pyramid.make(torch.rand(2048, 2048, 3))
    for size in args.sizes:
        rows_of(size, args.repeats, pyramid)
    print()
    first_picture()


if __name__ == "__main__":
    main()
