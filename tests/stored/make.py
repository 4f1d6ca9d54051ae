"""How the stored files were made: PYTHONPATH=REV/src python tests/stored/make.py, with REV = 9009308.

Files that an older headcast wrote must load in every newer one, so these are never written again with newer
code; when a format gets a new version, files of the last one go into a folder of their own.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).resolve().parent
PHOTO = "heads/train_000000/f00000_v00_rgb.png"
"""A synthetic head: seed 0, person 0."""
AVATARS: dict[str, tuple[str, ...]] = {
    "mesh": ("create", PHOTO, "--representation", "mesh", "--texture-size", "64", "--consent", "Nobody."),
    "gaussians": ("create", PHOTO, "--texture-size", "64"),
    "portrait4d": ("create", PHOTO, "--method", "portrait4d"),
    "baked": ("bake", "portrait4d.avatar"),
    "skin_maps": (
        "create",
        PHOTO,
        "--representation",
        "mesh",
        "--texture-size",
        "64",
        "--texture",
        "256",
    ),
}
THINNED = {"gaussians": 16, "baked": 16}
"""Of so many Gaussians one is kept, as much larger: a whole head's are several megabytes."""
COARSE = {"baked": 32}
"""Step of textures' values where the command has no option for their size."""
RECIPES: dict[str, tuple[str, ...]] = {
    "toy": ("--size", "12", "--images", "2", "--width", "4"),
    "uhr.normal": ("--size", "tiny", "--count", "1", "--pixels", "64", "--texture", "64"),
}
VIEW = ("--yaw", "20", "--expression", "jawOpen=.5,mouthSmileLeft=.6", "--size", "96", "--background", "grey")
STEPS, LATER = 4, 6


def headcast(work: Path, *words: object) -> None:
    """A command."""
    subprocess.run([sys.executable, "-m", "headcast", *map(str, words)], cwd=work, check=True)


def thinned(path: Path, keep: int, step: int) -> None:
    """Leaves out Gaussians and shades; the package then loads it and writes it anew."""
    import cv2
    import numpy as np
    from safetensors.torch import load, save

    from headcast import api

    with zipfile.ZipFile(path) as z:
        entries = {name: z.read(name) for name in z.namelist()}
    tensors = load(entries["tensors.safetensors"])
    few = {k: v[::keep].contiguous() if k.startswith("gaussian.") else v for k, v in tensors.items()}
    few["gaussian.log_scale"] += math.log(keep) / 2
    entries["tensors.safetensors"] = save(few)
    for name in [n for n in entries if n.startswith("textures/")]:
        pixels = cv2.imdecode(np.frombuffer(entries[name], np.uint8), cv2.IMREAD_UNCHANGED)
        entries[name] = cv2.imencode(".png", pixels // step * step)[1].tobytes()
    with zipfile.ZipFile(path, "w") as z:
        for name, data in entries.items():
            z.writestr(name, data)
    api.load(path).save(path)


def packed(out: Path, root: Path, files: list[Path]) -> None:
    """An archive of files, the same bytes whenever it is made."""
    raw = BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path in files:
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size = path.stat().st_size
            tar.addfile(entry, BytesIO(path.read_bytes()))
    out.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def make(work: Path, out: Path) -> None:
    """Everything."""
    headcast(work, "synth", "--identities", 1, "--size", 256, "--framing", "front", "--out", "heads")
    for name, words in AVATARS.items():
        headcast(work, *words, "-o", f"{name}.avatar")
    for name, keep in THINNED.items():
        thinned(work / f"{name}.avatar", keep, COARSE.get(name, 1))
    for name in AVATARS:
        headcast(work, "render", f"{name}.avatar", *VIEW, "-o", f"{name}.png")
        shutil.copyfile(work / f"{name}.png", out / f"{name}.png")
    packed(out / "avatars.tar.xz", work, [work / f"{name}.avatar" for name in AVATARS])
    kept, losses = [], {}
    for name, words in RECIPES.items():
        trainer = ("--log-every", 1, "--picture-every", 0, "--seed", 1, *words, "-o", name)
        headcast(work, "train", name, "--steps", STEPS, *trainer)
        kept += [p for p in sorted((work / name).rglob("*")) if p.is_file()]
        shutil.copytree(work / name, work / "later" / name)
        headcast(work / "later", "train", name, "--steps", LATER, *trainer)
        lines = (work / "later" / name / "log.jsonl").read_text().splitlines()
        losses[name] = [{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in lines]
    packed(out / "checkpoints.tar.xz", work, kept)
    (out / "losses.json").write_text(json.dumps(losses, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), parser.parse_args().out)
