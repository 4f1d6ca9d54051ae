"""Exported files read back and drawn against our own rendering, and what linear shapes lose: prints tables.

python -m benchmarks.export [ME.avatar]      (without a file: an avatar of the demo photo)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from tests.avatar.export.heads import picture, psnr, view_of
from tests.avatar.export.read_glb import Scene
from tests.avatar.export.read_splats import read_spz
from tests.avatar.export.test_mesh_ply import drawn
from tests.avatar.export.test_splats_of_avatars import drawn as splatted
from tests.avatar.export.test_splats_of_avatars import fields

from benchmarks.harness import machine
from headcast import api
from headcast.avatar.export.base import export_avatar, mesh_of
from headcast.avatar.export.linear import linear_shapes
from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.demo import demo_photo
from headcast.head.names import EXPRESSION_INDEX as E
from headcast.head.params import HeadParams
from headcast.motion.presets import preset

SIZE, SPLATS = 512, 384


def files(avatar: MeshAvatar, folder: Path) -> None:
    """Seconds, size and likeness of each format of meshes."""
    camera, params = view_of(avatar, SIZE)
    ours = picture(avatar, camera, params)
    print("| file | seconds | MB | PSNR to our rendering |\n|---|---|---|---|")
    for name, to, options in (
        ("GLB, lit", "glb", {"shading": "lit"}),
        ("GLB, baked light", "glb", {"shading": "baked"}),
        ("mesh PLY", "mesh-ply", {}),
    ):
        start = time.perf_counter()
        path = export_avatar(avatar, folder / f"a.{to[-3:]}", to, **options)[0]
        seconds = time.perf_counter() - start
        glb = to == "glb"
        read = Scene(path).render(camera, avatar.source.light) if glb else drawn(path, camera)
        megabytes = path.stat().st_size / 1e6
        print(f"| {name} | {seconds:.1f} | {megabytes:.1f} | {psnr(read, ours):.1f} dB |")


def splats(avatar: GaussianAvatar, folder: Path) -> None:
    """The same of formats of Gaussians; the viewer's file is drawn by a browser in ``tests/web``."""
    camera, params = view_of(avatar, SPLATS)
    ours = picture(avatar, camera, params)
    for name, file, options in (
        (f"splat PLY, {len(avatar.gaussians):,} Gaussians", "a.ply", {"to": "splat-ply", "axes": "y-up"}),
        ("SPZ", "a.spz", {}),
        ("HTML", "a.html", {}),
    ):
        start = time.perf_counter()
        path = export_avatar(avatar, folder / file, **options)[0]
        seconds, megabytes = time.perf_counter() - start, path.stat().st_size / 1e6
        likeness = "|"
        if path.suffix != ".html":
            read = fields(path) if path.suffix == ".ply" else read_spz(path)
            likeness = f" {psnr(splatted(read, camera), ours):.1f} dB |"
        print(f"| {name} | {seconds:.1f} | {megabytes:.1f} |{likeness}")


def poses() -> dict[str, torch.Tensor]:
    """Expressions (T, 52) by what they are."""
    rest = HeadParams.neutral(1)
    each = torch.eye(52)[[i for i in range(52) if i != E["mouthClose"]]]
    found = {
        "each shape alone, weight 1 (but mouthClose)": each,
        "each shape alone, weight 0.5 (but mouthClose)": each / 2,
        "the speech preset": preset("speech").params(rest).expression[::4],
    }
    for does, other in (("squints", "eyeSquintLeft"), ("looks down", "eyeLookDownLeft")):
        e = torch.zeros(1, 52)
        e[0, [E["eyeBlinkLeft"], E[other]]] = 1
        found[f"a closed eye that {does}"] = e
    alone = torch.zeros(1, 52)
    alone[0, E["mouthClose"]] = 1
    return {**found, "mouthClose on a closed jaw": alone}


def linear(avatar: MeshAvatar) -> None:
    """Distance of the exported shapes' sum from the head model, on the skin."""
    head, identity = avatar.head, avatar.identity
    neutral, deltas = linear_shapes(head, identity)
    skin = torch.unique(head.faces[head.part_faces("skin")])
    print("\n| expression | mean mm | most mm |\n|---|---|---|")
    for name, e in poses().items():
        params = HeadParams.neutral(head.identities, (len(e),))
        params = params.replace(identity=identity.expand(len(e), -1), expression=e)
        with torch.no_grad():
            apart = head(params) - neutral - torch.einsum("bk,kvc->bvc", e, deltas)
        mm = apart[:, skin].norm(dim=-1) * 1e3
        print(f"| {name} | {mm.mean():.3f} | {mm.max():.2f} |")


def main() -> None:
    """Both tables."""
    avatar = api.load(sys.argv[1]) if len(sys.argv) > 1 else api.create(demo_photo())
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as folder:
        files(mesh_of(avatar), Path(folder))
        if isinstance(avatar, GaussianAvatar):
            splats(avatar, Path(folder))
    linear(mesh_of(avatar))


if __name__ == "__main__":
    main()
