"""The product under test: commands as a user types them, each in a process of its own; avatars are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from outputs.files import read, read_folder
from outputs.inputs import LONDON, PORTRAITS
from outputs.store import Item

__all__ = ["AVATARS", "Failed", "Product", "Skipped", "environment"]

AVATARS: dict[str, tuple[str, ...]] = {
    "demo-mesh": ("astronaut.png", "--representation", "mesh"),
    "demo-gaussians": ("astronaut.png",),
    "demo-portrait4d": ("astronaut.png", "--method", "portrait4d"),
    "demo-texture4k": ("astronaut.png", "--representation", "mesh", "--texture", "4k"),
    "demo-texture1k": ("astronaut.png", "--texture", "1k"),
    "demo-small": ("astronaut.png", "--texture-size", "256", "--seed", "3", "--consent", "A test."),
    "video-gaussians": ("stills.mp4",),
    "video-portrait4d": ("stills.mp4", "--method", "portrait4d"),
    "two-gaussians": (f"{LONDON[0]}.jpg", f"{LONDON[1]}.jpg"),
    **{f"{p}-mesh": (f"{p}.jpg", "--representation", "mesh") for p in PORTRAITS},
    **{f"{p}-gaussians": (f"{p}.jpg",) for p in PORTRAITS},
    **{f"{p}-portrait4d": (f"{p}.jpg", "--method", "portrait4d") for p in PORTRAITS},
    **{f"{p}-texture1k": (f"{p}.jpg", "--representation", "mesh", "--texture", "1k") for p in PORTRAITS},
}
"""Avatars by name: photos and options of ``headcast create``."""


class Failed(Exception):
    """A command ended with an error."""


class Skipped(Exception):
    """What an item needs is not here."""


def environment(threads: int) -> dict[str, str]:
    """Of every process: a fixed number of threads, no weights of the user's own, memory filled when taken.

    x264 looks ahead into memory that it has not written; filled by glibc (MALLOC_PERTURB_), videos repeat.
    """
    fixed = {
        name: str(threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    }
    return {
        **os.environ,
        **fixed,
        "HEADCAST_WEIGHTS": "none",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONHASHSEED": "0",
        "MALLOC_PERTURB_": "170",
    }


@dataclass(frozen=True)
class Product:
    """headcast, as PYTHONPATH names it.

    Attributes:
        work: where commands run and leave files; ``inputs`` lies in it.
        threads: of each process.
    """

    work: Path
    threads: int

    def __call__(self, *words: object) -> str:
        """Runs ``headcast WORDS``; gives standard output.

        Raises:
            Failed: with the last words of the command.
        """
        return self.python("-m", "headcast", *words)

    def python(self, *words: object) -> str:
        """Runs the interpreter in the work folder."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.work,
            env=environment(self.threads),
            text=True,
            capture_output=True,
        )
        if done.returncode:
            last = "; ".join(done.stderr.strip().splitlines()[-3:])
            raise Failed(f"{' '.join(map(str, words))}: exit code {done.returncode}: {last}")
        return done.stdout

    def avatar(self, name: str) -> str:
        """File of an avatar (in the work folder), made if it isn't there."""
        out = f"{name}.avatar"
        if not (self.work / out).is_file():
            words = AVATARS[name]
            self.need(words[0])
            photos = [f"inputs/{w}" if Path(w).suffix in (".png", ".jpg", ".mp4") else w for w in words]
            self("create", *photos, "-o", out)
        return out

    def baked(self) -> str:
        """The demo photo's tri-plane avatar, baked."""
        if not (self.work / "demo-baked.avatar").is_file():
            self("bake", self.avatar("demo-portrait4d"), "-o", "demo-baked.avatar")
        return "demo-baked.avatar"

    def need(self, photo: str) -> None:
        """Raises ``Skipped`` where a portrait is wanted that was not given."""
        if not (self.work / "inputs" / photo).is_file():
            raise Skipped(f"{photo} is not here; name the folder of training portraits with --photos")

    def results(self, out: str) -> Item:
        """A file that a command wrote, and its run.json."""
        path = self.work / out
        beside = path.with_name(f"{path.name}.run.json")
        item = read_folder(path) if path.is_dir() else read(path)
        return item | read(beside).under("run") if beside.is_file() else item
