"""Runs every benchmark of this folder, one process each: ``python -m benchmarks [name ...]``.

``against`` is left out: it compares with a revision, which must be named.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Exit code 1 when one of them failed."""
    here = Path(__file__).parent
    others = ("__main__", "__init__", "harness", "against")
    every = sorted(p.stem for p in here.glob("*.py") if p.stem not in others)
    failed = False
    for name in sys.argv[1:] or every:
        print(f"\n## {name}\n", flush=True)
        run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=here.parent, check=False)
        failed = failed or run.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
