"""What a frame of an avatar of Gaussians costs, part by part: the kernels against plain torch, in one run.

python -m benchmarks.avatar [--avatar me.avatar] [--repeats 15] [--size 512]

Without ``--avatar`` one is made from the demo photo. Then the frames of the speech preset are rendered and
encoded as ``headcast animate`` does it, for frames a second of the whole.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.harness import machine, milliseconds, row
from headcast import api
from headcast.avatar.gaussian import GaussianAvatar, render_lit_gaussians
from headcast.demo import demo_photo
from headcast.drive import Drive, drive_from
from headcast.render.gaussians import render_gaussians
from headcast.view import flatten, over_colour, to_rgba

GREY = (128, 128, 128)


def parts(avatar: GaussianAvatar, drive: Drive, repeats: int) -> None:
    """Prints the parts of one frame, those of the plain path beside them."""
    p, camera = drive.params[len(drive) // 6], drive.cameras[0]
    surface, light, few = avatar.mesh.surface, avatar.source.light, max(3, repeats // 4)
    posed, placed = surface.posed(p), avatar.placed(p)
    world, shown = avatar.world(placed), avatar.packed.shown(posed, camera, light)
    drawn = avatar.render_fast(p, camera)
    splats = (shown.means, shown.log_scales, shown.quaternions, shown.logits, shown.colours)

    def line(name: str, ours: Callable[[], object], plain: Callable[[], object]) -> None:
        row(name, milliseconds(ours, repeats), milliseconds(plain, few))

    line("pose the mesh", lambda: surface.vertices_by_kernels(p), lambda: surface.vertices(p))
    row("normals and mouth beside it", milliseconds(lambda: surface.posed(p), repeats))
    line(
        "place, light and cull",
        lambda: avatar.packed.shown(posed, camera, light),
        lambda: avatar.world(avatar.placed(p)),
    )
    line(
        "splat",
        lambda: render_gaussians(*splats, camera),
        lambda: render_lit_gaussians(world, placed, camera),
    )
    line("over a colour", lambda: over_colour(drawn, GREY), lambda: flatten(to_rgba(drawn), GREY))
    line(
        "whole frame",
        lambda: over_colour(avatar.render_fast(p, camera), GREY),
        lambda: flatten(to_rgba(avatar.render_reference(p, camera)), GREY),
    )


def whole(avatar: GaussianAvatar, size: int, folder: str) -> None:
    """Prints frames a second of ``animate`` without its start, encoding included."""
    api.animate(avatar, "speech", Path(folder) / "a.mp4", frames=10, size=(size, size))
    start = time.perf_counter()
    api.animate(avatar, "speech", Path(folder) / "a.mp4", size=(size, size))
    seconds = time.perf_counter() - start
    count = len(drive_from(avatar, "speech"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nanimate: {count} frames in {seconds:.1f} s, {count / seconds:.1f} a second; peak {peak:.0f} MB")


def main() -> None:
    """Prints the table and a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--avatar", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    avatar = api.create(demo_photo()) if args.avatar is None else api.load(args.avatar)
    if not isinstance(avatar, GaussianAvatar):
        parser.error(f"{args.avatar} holds no Gaussians")
    drive = drive_from(avatar, "speech", size=(args.size, args.size))
    print(f"{machine()}; {len(avatar.gaussians)} Gaussians at {args.size}²\n")
    print("| ms: median (minimum) | kernels | plain torch | ratio of minima |\n|---|---|---|---|")
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        parts(avatar, drive, args.repeats)
        whole(avatar, args.size, folder)


if __name__ == "__main__":
    main()
