"""``make demo``: make an avatar from a real photo, animate it and export it for other programs. Write into a
folder and print where."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from headcast.cli.main import main as headcast
from headcast.cli.output import print_note, print_result
from headcast.cli.sheet import write_avatar_sheet
from headcast.demo import demo_photo
from headcast.errors import HeadcastError

__all__ = ["Demo", "main"]


@dataclass(frozen=True)
class Demo:
    """Make an avatar of a bundled public-domain portrait, animate it, and render a contact sheet."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/demo")
    """Output folder of the results."""
    photo: Literal["astronaut", "hopper"] = "astronaut"
    """Which bundled portrait to use."""
    size: int = 512
    """Side of the videos, pixels."""


def main(options: Demo) -> int:
    """Run the commands a user would type, printing each; return the exit code."""
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    photo, avatar = demo_photo(options.photo), folder / "me.avatar"
    appearance_flags = ["--size", options.size, "--background", "#d8dade"]
    steps = [
        ["create", photo, "-o", avatar],
        ["animate", avatar, "--preset", "speech", *appearance_flags, "-o", folder / "talk.mp4"],
        ["animate", avatar, "--preset", "turntable", *appearance_flags, "-o", folder / "turntable.mp4"],
        ["export", avatar, "--to", "glb", "-o", folder / "me.glb"],
        ["export", avatar, "--to", "html", "-o", folder / "me.html"],
    ]
    for step in steps:
        start = time.perf_counter()
        print(shlex.join(["headcast", *map(str, step)]), file=sys.stderr)
        code = headcast([*(str(word) for word in step), "--overwrite"])
        if code:
            return code
        print(f"  {time.perf_counter() - start:.1f} s", file=sys.stderr)
    write_avatar_sheet(photo, avatar, folder / "sheet.png")
    print_result(str(folder / "sheet.png"))
    print_note("open it: headcast studio")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Demo)))
    except HeadcastError as e:
        print_note(str(e))
        sys.exit(2)
