"""Held-out synthetic heads rendered by Blender's Cycles, with the truth of their skin: an evaluation set.

    make blender
    python tools/uhr_cycles.py --out cycles [--heads 12] [--lights 2] [--size 1024] [--texture 2048]
        [--truth 2048] [--threads 0]

People of the test split, bald and without glasses, seen from about the front; per light an environment of
soft lobes and a sun of finite size. A file a picture (``head00_light0.safetensors``: the channels of
``uhr_texture.data.Looks.whole``, the first three from Cycles); those that exist are left alone. Pictures
larger than ``--truth`` have their truth enlarged from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from headcast.image import linear_to_srgb, load_image, save_png
from headcast.methods.uhr_texture.data import framed, truth_maps
from headcast.methods.uhr_texture.network import resized
from headcast.synth import SynthConfig, make_batch
from headcast.synth.assets import load_assets
from headcast.synth.batch import SynthBatch
from headcast.synth.dice import Dice
from headcast.weights import save_tensors

BLENDER = Path(__file__).with_name("blender_uhr.py")


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
        "direction": way, "colour": rng.uniform(0.8, 1.0, 3).tolist(), "angle": rng.uniform(0.05, 0.5),
        "energy": rng.uniform(0.3, 2.2),
    }  # fmt: skip


def export(b: SynthBatch, folder: Path) -> dict:
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
    for name, x in (("albedo", linear_to_srgb(t[..., :3])), ("normal", normal), ("gloss", gloss)):
        save_png(folder / f"{name}.png", (x.clamp(0, 1) * 65535).round().int().numpy().astype(np.uint16))
    return {n: str(folder / f"{n}.png") for n in ("albedo", "normal", "gloss")} | {
        "mesh": str(folder / "mesh.npz")
    }


def over_grey(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture before grey, 0..1."""
    a = alpha[..., None].astype(np.float32) / 255
    return (rgb * a + 110 * (1 - a)).astype(np.float32) / 255


def one(args: argparse.Namespace, number: int) -> None:
    """All lights of one person."""
    files = [args.out / f"head{number:02d}_light{k}.safetensors" for k in range(args.lights)]
    if all(f.exists() for f in files):
        return
    side = min(args.size, args.truth)
    config = SynthConfig(
        split="test", size=side, texture=args.texture, people=1, pbr=True, hair=False, glasses=False,
    )  # fmt: skip
    dice = Dice(np.array([[1, number]], np.int64), args.seed, torch.device("cpu"))
    b = make_batch(config, torch.device("cpu"), args.seed, np.array([number]), views=framed(dice, side))
    views = framed(dice, args.size)
    truth = resized(truth_maps(b), args.size, args.size)[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        job = export(b, folder)
        job |= {
            "samples": args.samples, "threads": args.threads, "shots": [],
            "camera": {"K": views.K[0].tolist(), "cam_from_world": views.cam_from_world[0].tolist(),
                       "size": [args.size, args.size]},
        }  # fmt: skip
        for k in range(args.lights):
            rng = np.random.default_rng([args.seed, number, k])
            np.save(folder / f"sky{k}.npy", sky_of(rng))
            shot = {"sky": str(folder / f"sky{k}.npy"), "picture": str(folder / f"picture{k}.png")}
            job["shots"].append(shot | {"lamp": lamp_of(rng)})
        (folder / "job.json").write_text(json.dumps(job))
        command = [args.blender, str(BLENDER), str(folder / "job.json")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for k, file in enumerate(files):
            seen = load_image(folder / f"picture{k}.png")
            alpha = np.full(seen.rgb.shape[:2], 255, np.uint8) if seen.alpha is None else seen.alpha
            rgb = over_grey(seen.rgb, alpha)
            maps = truth.clone()
            maps[:3] = torch.from_numpy(rgb).permute(2, 0, 1)
            maps[15] *= torch.from_numpy(alpha > 250).float()
            args.out.mkdir(parents=True, exist_ok=True)
            save_tensors(file, {"maps": maps.half()}, {"what": "cycles"})
            print(file, flush=True)


def main() -> None:
    """Renders what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--blender", default=".bpy/bin/python")
    sizes = {"size": 1024, "texture": 2048, "truth": 2048, "samples": 32}
    for name, value in {"heads": 12, "first": 0, "lights": 2, **sizes, "threads": 0, "seed": 707}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    for number in range(args.first, args.heads):
        one(args, number)


if __name__ == "__main__":
    main()
