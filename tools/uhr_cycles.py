"""Held-out synthetic heads rendered by Blender's Cycles, with the truth of their skin: an evaluation set.

    make blender
    python tools/uhr_cycles.py --out cycles [--heads 12] [--lights 2] [--size 1024] [--texture 2048]
        [--truth 2048] [--samples 32] [--noise 0.1] [--threads 0]

People of the test split, bald and without glasses, seen from about the front; per light an environment of
soft lobes and a sun of finite size. One file per image (``head00_light0.safetensors``: channels of
``uhr_texture.data.HeadViews.whole``, the first three from Cycles); existing files are kept. First every head
in the first light, then in the next; ``heads`` holds Blender's input and may be deleted afterwards.
Images larger than ``--truth`` have their truth enlarged from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

from headcast.image import linear_to_srgb, load_image, save_png
from headcast.methods.uhr_texture.data import frame_views, truth_maps
from headcast.methods.uhr_texture.network import resize_maps
from headcast.synth import SynthConfig, make_batch
from headcast.synth.assets import load_assets
from headcast.synth.batch import SynthBatch
from headcast.synth.rng import CounterRng
from headcast.weights import load_tensors, save_tensors

BLENDER = Path(__file__).with_name("blender_uhr.py")
MAPS = ("albedo", "normal", "gloss")


def sky_of(rng: np.random.Generator) -> np.ndarray:
    """(32, 64, 3) radiance: a base and five lobes, some small and bright as windows are."""
    y, x = np.meshgrid(
        (np.arange(32) + 0.5) / 32 * np.pi, (np.arange(64) + 0.5) / 64 * 2 * np.pi, indexing="ij"
    )
    d = np.stack([np.sin(y) * np.cos(x), np.sin(y) * np.sin(x), np.cos(y)], -1)
    out = np.full((32, 64, 3), 0.15) * rng.uniform(0.8, 1.2, 3)
    for _ in range(5):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        sharp, strength = rng.uniform(2, 30), rng.uniform(0.1, 1.0)
        out += (
            np.exp(sharp * (d @ way - 1))[..., None] * strength * np.sqrt(sharp) * rng.uniform(0.75, 1.25, 3)
        )
    return out


def lamp_of(rng: np.random.Generator) -> dict:
    """A sun somewhere in front."""
    azimuth, height = rng.uniform(-1.3, 1.3), rng.uniform(0.0, 1.0)
    way = [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
    return {
        "direction": way,
        "colour": rng.uniform(0.8, 1.0, 3).tolist(),
        "angle": rng.uniform(0.05, 0.5),
        "energy": rng.uniform(0.3, 2.2),
    }


def export(b: SynthBatch, folder: Path) -> None:
    """Mesh and maps of a head as files."""
    head = load_assets(torch.device("cpu"), b.textures.shape[1]).head
    with torch.no_grad():
        v = head(b.params)[0]
    uv = head.uv[head.faces_uv].numpy()
    np.savez(folder / "mesh.npz", vertices=v.numpy(), faces=head.faces.numpy(), uv=uv)
    t = b.textures[0]
    z = (1 - t[..., 3:5].square().sum(-1, keepdim=True)).clamp(min=0).sqrt()
    normal = (torch.cat([t[..., 3:5], z], -1) + 1) / 2
    gloss = torch.cat([t[..., 5:7], torch.zeros_like(z)], -1)
    for name, x in zip(MAPS, (linear_to_srgb(t[..., :3]), normal, gloss), strict=True):
        save_png(folder / f"{name}.png", (x.clamp(0, 1) * 65535).round().int().numpy().astype(np.uint16))


def over_grey(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture before grey, 0..1."""
    a = alpha[..., None].astype(np.float32) / 255
    return (rgb * a + 110 * (1 - a)).astype(np.float32) / 255


def made(args: argparse.Namespace, number: int) -> Path:
    """The folder with a person's mesh, maps, camera and truth."""
    folder = args.out / "heads" / f"{number:02d}"
    if (folder / "camera.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    side = min(args.size, args.truth)
    config = SynthConfig(
        split="test",
        size=side,
        texture=args.texture,
        people=1,
        pbr=True,
        hair=False,
        glasses=False,
    )
    dice = CounterRng(np.array([[1, number]], np.int64), args.seed, torch.device("cpu"))
    b = make_batch(config, torch.device("cpu"), args.seed, np.array([number]), views=frame_views(dice, side))
    save_tensors(folder / "truth.safetensors", {"maps": truth_maps(b)[0].half()}, {"what": "truth"})
    export(b, folder)
    views = frame_views(dice, args.size)
    camera = {"K": views.K[0].tolist(), "cam_from_world": views.cam_from_world[0].tolist()}
    (folder / "camera.json").write_text(json.dumps(camera | {"size": [args.size, args.size]}))
    return folder


def one(args: argparse.Namespace, number: int, k: int) -> None:
    """One person in one light."""
    file = args.out / f"head{number:02d}_light{k}.safetensors"
    if file.exists():
        return
    folder = made(args, number)
    rng = np.random.default_rng([args.seed, number, k])
    np.save(folder / "sky.npy", sky_of(rng))
    picture = folder / "picture.png"
    shot = {"sky": str(folder / "sky.npy"), "picture": str(picture), "lamp": lamp_of(rng)}
    job = {n: str(folder / f"{n}.png") for n in MAPS} | {
        "mesh": str(folder / "mesh.npz"),
        "camera": json.loads((folder / "camera.json").read_text()),
        "samples": args.samples,
        "noise": args.noise,
        "threads": args.threads,
        "shots": [shot],
    }
    (folder / "job.json").write_text(json.dumps(job))
    start = time.perf_counter()
    subprocess.run(
        [args.blender, str(BLENDER), str(folder / "job.json")], check=True, stdout=subprocess.DEVNULL
    )
    seen = load_image(picture)
    alpha = np.full(seen.rgb.shape[:2], 255, np.uint8) if seen.alpha is None else seen.alpha
    rgb = torch.from_numpy(over_grey(seen.rgb, alpha)).permute(2, 0, 1)
    maps = load_tensors(folder / "truth.safetensors")[0]["maps"].float()
    maps = resize_maps(maps[None], args.size, args.size)[0]
    maps[:3] = rgb
    maps[15] *= torch.from_numpy(alpha > 250).float()
    save_tensors(file, {"maps": maps.half()}, {"what": "cycles"})
    print(f"{file} {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Renders what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--blender", default=".bpy/bin/python")
    sizes = {"size": 1024, "texture": 2048, "truth": 2048, "samples": 32}
    for name, value in {"heads": 12, "first": 0, "lights": 2, **sizes, "threads": 0, "seed": 707}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--noise", type=float, default=0.1, help="at which a pixel gets no more; 0: never")
    args = parser.parse_args()
    for k in range(args.lights):
        for number in range(args.first, args.heads):
            one(args, number, k)


if __name__ == "__main__":
    main()
