"""What is measured: whole commands of the public surface, the same words for both versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.versions.environment import Version

__all__ = ["VIEWS", "Work", "render_command", "works"]

HERE = Path(__file__).resolve().parent
STEPS = 100
"""Frames of ``Runtime.step``."""
SPLATS, SPLAT_ROUNDS = 30_000, 100
"""Gaussians that are rendered, and how often, forward and backward."""
VIEWS: dict[str, tuple[str, ...]] = {
    "source": ("--view", "source"),
    "side": ("--yaw", "30"),
    "smile": ("--expression", "mouthSmileLeft=.8,mouthSmileRight=.8,jawOpen=.2"),
}
"""Images that are judged: options of ``headcast render``."""


@dataclass(frozen=True)
class Work:
    """One thing that both versions do.

    Attributes:
        name: for tables and ``--only``.
        command: the words, for a version and the folder that its files are in.
        needs: the work whose result it starts from.
        timed_inside: the command times itself (a loop, without its imports).
    """

    name: str
    command: Callable[[Version, Path], list[str]]
    needs: str | None = None
    timed_inside: bool = False


def headcast(version: Version, *words: object) -> list[str]:
    """``python -m headcast`` of a version."""
    return [str(version.python), "-m", "headcast", *map(str, words)]


def render_command(version: Version, folder: Path, view: str) -> list[str]:
    """Render one of ``VIEWS`` of the avatar that ``create`` made."""
    return headcast(version, "render", folder / "create.avatar", *VIEWS[view], "-o", folder / f"{view}.png")


def works(photo: Path, frames: int) -> tuple[Work, ...]:
    """All works, in their order."""

    def script(name: str, *words: object) -> Callable[[Version, Path], list[str]]:
        return lambda v, f: [str(v.python), "-P", str(HERE / name), *(str(w).format(f) for w in words)]

    return (
        Work("import", lambda v, f: [str(v.python), "-P", "-c", "import headcast.api"]),
        Work("create", lambda v, f: headcast(v, "create", photo, "-o", f / "create.avatar")),
        Work(
            "mesh",
            lambda v, f: headcast(v, "create", photo, "--representation", "mesh", "-o", f / "mesh.avatar"),
        ),
        Work(
            "animate",
            lambda v, f: headcast(
                v, "animate", f / "create.avatar", "--preset", "speech", "--frames", frames, "-o", f / "a.mp4"
            ),
            needs="create",
        ),
        Work("render", lambda v, f: render_command(v, f, "side"), needs="create"),
        Work("runtime", script("drive_runtime.py", "{}/create.avatar", STEPS), "create", True),
        Work("splat", script("drive_splats.py", SPLATS, SPLAT_ROUNDS), timed_inside=True),
    )
