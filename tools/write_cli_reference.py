"""Write docs/cli.md from the parser: ``python tools/write_cli_reference.py``."""

from __future__ import annotations

from pathlib import Path

import tyro

from headcast.cli.reference import write_reference

__all__ = ["FILE", "main"]

FILE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"


def main() -> None:
    """Write the file."""
    FILE.write_text(write_reference(), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
