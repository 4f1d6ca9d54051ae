"""Opens an exported GLB in four other programs: python tools/check_glb.py FILE.glb [--avatar ME.avatar]

The Khronos validator, three.js and assimp run in node (packages in ``web/node_modules``: ``npm ci --prefix
web``), Blender as the bpy module of a Python of its own (``make blender``, or the variable HEADCAST_BPY
names one).
With the avatar, the poses that three.js makes and the picture that Blender draws are compared with ours.
Prints a line for each check, says what it skipped and why, and exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headcast.avatar.base import Avatar, load_avatar
from headcast.avatar.export.base import mesh_of
from headcast.avatar.export.pieces import head_pieces
from headcast.avatar.export.splats import rest_pose
from headcast.head.model import JOINTS
from headcast.head.names import EXPRESSIONS
from headcast.rotation import axis_angle_to_matrix, matrix_to_quaternion
from headcast.view import front_view, to_rgba

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
WEB = Path(os.environ.get("HEADCAST_WEB", ROOT / "web"))
WEIGHTS = {"jawOpen": 0.6, "browInnerUp": 1.0, "mouthSmileLeft": 0.5}
NECK = (0.1, 0.4, 0.0)
LOOK = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}


@dataclass(frozen=True)
class Outcome:
    """One check: ``passed`` is None when it was skipped; ``words`` say what was found, or why not."""

    name: str
    passed: bool | None
    words: str


def blender_python() -> Path | None:
    """A Python that has bpy."""
    given = os.environ.get("HEADCAST_BPY")
    path = Path(given) if given else ROOT / ".bpy" / "bin" / "python"
    return path if path.exists() else None


def check(glb: Path, avatar: Avatar | None = None, picture: Path | None = None) -> list[Outcome]:
    """All checks of a file; ``picture`` is where ours and Blender's drawing go side by side."""
    return [*check_in_node(glb, avatar), *check_in_blender(glb, avatar, picture)]


def check_in_node(glb: Path, avatar: Avatar | None) -> list[Outcome]:
    """The Khronos validator, three.js and assimp."""
    names = ("Khronos validator", "three.js", "assimp")
    missing = None if shutil.which("node") else "node is not installed"
    for package in ("gltf-validator", "three", "assimpjs"):
        if not missing and not (WEB / "node_modules" / package).is_dir():
            missing = f"{package} is not in {WEB.name}/node_modules: npm ci --prefix web"
    if missing:
        return [Outcome(name, None, missing) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(glb, Path(folder) / "a.glb"))
        half = matrix_to_quaternion(axis_angle_to_matrix(torch.tensor(NECK) / 2)).tolist()
        xyzw = [*half[1:], half[0]]
        pose = {"weights": WEIGHTS, "joints": {"neck": xyzw, "head": xyzw}}
        ran = subprocess.run(
            ["node", str(HERE / "check_glb.mjs"), str(copy), str(WEB)],
            input=json.dumps(pose),
            text=True,
            capture_output=True,
            check=False,
        )
        if ran.returncode:
            return [Outcome(name, False, ran.stderr.strip()[-300:]) for name in names]
        found = json.loads(ran.stdout.splitlines()[-1])
        posed = np.fromfile(f"{copy}.three.f32", np.float32).reshape(-1, 3)
    ours = sum(m["vertices"] for m in found["three"]["meshes"])
    return [
        validated(found["validator"]),
        *in_three(found["three"], posed, avatar),
        in_assimp(found["assimp"], ours),
    ]


def validated(report: dict[str, Any]) -> Outcome:
    """What the validator says."""
    words = f"{report['errors']} errors, {report['warnings']} warnings"
    return Outcome("Khronos validator", report["errors"] == 0, "; ".join([words, *report["messages"][:5]]))


def in_assimp(found: dict[str, Any], vertices: int) -> Outcome:
    """Whether assimp imports all vertices and bones; ``vertices``: as many as three.js read."""
    if "error" in found:
        return Outcome("assimp", False, found["error"])
    count = sum(m["vertices"] for m in found["meshes"])
    bones = {b for m in found["meshes"] for b in m["bones"]}
    good = count == vertices and bones <= set(JOINTS) and "head" in bones
    return Outcome("assimp", good, f"{len(found['meshes'])} meshes, {count} vertices, {len(bones)} bones")


def in_three(found: dict[str, Any], posed: np.ndarray, avatar: Avatar | None) -> list[Outcome]:
    """Names that three.js sees; and, with the avatar, how far its vertices are from ours."""
    heads = [m for m in found["meshes"] if m["targets"]]
    good = bool(heads) and all(m["targets"] == list(EXPRESSIONS) for m in heads)
    good = good and all(set(m["bones"]) == set(JOINTS) for m in found["meshes"])
    outcomes = [Outcome("three.js", good, f"r{found['version']}, {len(found['meshes'])} meshes, 52 shapes")]
    if avatar is not None:
        params = rest_pose(avatar, WEIGHTS).replace(neck=torch.tensor(NECK))
        with torch.no_grad():
            ours = [avatar.head(params)[p.rows] for p in head_pieces(avatar.head)]
            count = sum(len(p) for p in ours)
            apart = (torch.cat(ours) - torch.from_numpy(posed[:count])).norm(dim=-1)
        words = f"vertices of a pose: mean {apart.mean() * 1e3:.4f} mm, most {apart.max() * 1e3:.3f} mm"
        outcomes.append(Outcome("three.js pose", bool(apart.max() < 1e-3), words))
    return outcomes


def check_in_blender(glb: Path, avatar: Avatar | None, picture: Path | None) -> list[Outcome]:
    """Blender's importer, and its picture of a file with baked light."""
    python = blender_python()
    if python is None:
        return [Outcome("Blender", None, "no Python with bpy: make blender")]
    baked = b"KHR_materials_unlit" in glb.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "blender.png"
        given: dict[str, Any] = {"weights": LOOK}
        if avatar is not None:
            given |= {"camera": camera_of(avatar), "picture": str(drawn)}
        ran = subprocess.run(
            [str(python), str(HERE / "blender_glb.py"), str(glb)],
            input=json.dumps(given),
            text=True,
            capture_output=True,
            check=False,
        )
        if ran.returncode:
            return [Outcome("Blender", False, ran.stderr.strip()[-300:])]
        outcomes = [in_blender(json.loads(ran.stdout.strip().splitlines()[-1]))]
        if avatar is not None:
            outcomes.append(compared(avatar, drawn, baked, picture))
    return outcomes


def in_blender(found: dict[str, Any]) -> Outcome:
    """Shape keys, bones and colour spaces that Blender made."""
    shapes = [m["shapes"] for m in found["meshes"].values() if m["shapes"]]
    good = shapes == [list(EXPRESSIONS)] and set(found["bones"]) == set(JOINTS)
    spaces = found["colour spaces"].values()
    wanted = {"colour": "sRGB", "numbers": "Non-Color"}
    good = good and all(space == wanted.get(role, space) for space, role in spaces)
    good = good and any(role == "colour" for _, role in spaces)
    meshes = ", ".join(found["meshes"])
    words = f"{found['version']}: {meshes}; {len(shapes[0]) if shapes else 0} shape keys"
    return Outcome("Blender", good, words)


def camera_of(avatar: Avatar) -> dict[str, Any]:
    """The camera of ``headcast render``, for a head that lies in the origin."""
    view = front_view(avatar, (256, 256))
    move = torch.eye(4)
    move[:3, 3] = view.params.translation
    return {
        "K": view.camera.K.tolist(),
        "cam_from_head": (view.camera.cam_from_world @ move).tolist(),
        "size": [view.camera.width, view.camera.height],
    }


def compared(avatar: Avatar, drawn: Path, baked: bool, picture: Path | None) -> Outcome:
    """Decibels between Blender's picture and ours, both laid on grey; only baked light makes them alike."""
    from PIL import Image

    from headcast.render.shading import ambient

    view = front_view(avatar, (256, 256))
    with torch.no_grad():
        light = None if baked else ambient()
        ours = to_rgba(mesh_of(avatar).render(view.params.with_expression(LOOK), view.camera, light))
    both = [x.astype(np.float64) / 255 for x in (ours, np.array(Image.open(drawn).convert("RGBA")))]
    flat = [x[..., :3] * x[..., 3:] + 0.5 * (1 - x[..., 3:]) for x in both]
    decibels = float(-10 * np.log10(((flat[0] - flat[1]) ** 2).mean()))
    if picture is not None:
        Image.fromarray((np.concatenate(flat, 1) * 255).round().astype(np.uint8)).save(picture)
    least = 34 if baked else 18
    kind = "the photo's light" if baked else "white light from everywhere"
    return Outcome("Blender picture", decibels > least, f"{decibels:.1f} dB to ours under {kind}")


def main() -> int:
    """Runs the checks and prints them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("glb", type=Path)
    parser.add_argument("--avatar", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    outcomes = check(given.glb, load_avatar(given.avatar) if given.avatar else None, given.picture)
    for o in outcomes:
        word = {True: "passed", False: "FAILED", None: "skipped"}[o.passed]
        print(f"{o.name:<18} {word:<8} {o.words}")
    return int(any(o.passed is False for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
