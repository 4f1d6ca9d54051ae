"""``make demo``: a real photo becomes a head that speaks and turns, here and in other programs. Writes into a
folder and says where."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from headcast.cli.main import main as headcast
from headcast.cli.sheet import write_sheet
from headcast.demo import demo_photo
from headcast.errors import HeadcastError

__all__ = ["Demo", "main"]


@dataclass(frozen=True)
class Demo:
    """Makes an avatar of a bundled public-domain portrait, lets it speak and turn, and draws a sheet."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/demo")
    """Folder of the results."""
    photo: Literal["astronaut", "hopper"] = "astronaut"
    """Which portrait."""
    size: int = 512
    """Pixels."""


def main(options: Demo) -> int:
    """Runs the commands a user would type, printing each."""
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    photo, avatar = demo_photo(options.photo), folder / "me.avatar"
    look = ["--size", options.size, "--background", "#d8dade"]
    steps = [
        ["create", photo, "-o", avatar],
        ["animate", avatar, "--preset", "speech", *look, "-o", folder / "talk.mp4"],
        ["animate", avatar, "--preset", "turntable", *look, "-o", folder / "turntable.mp4"],
        ["export", avatar, "--to", "glb", "-o", folder / "me.glb"],
        ["export", avatar, "--to", "html", "-o", folder / "me.html"],
    ]
    for step in steps:
        start = time.perf_counter()
        print(shlex.join(["headcast", *map(str, step)]), file=sys.stderr)
        code = headcast([str(word) for word in step])
        if code:
            return code
        print(f"  {time.perf_counter() - start:.1f} s", file=sys.stderr)
    write_sheet(photo, avatar, folder / "sheet.png")
    print(folder / "sheet.png")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Demo)))
    except HeadcastError as e:
        sys.stderr.write(f"headcast: {e}\n")
        sys.exit(2)
