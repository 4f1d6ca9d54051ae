"""Build wheel and sdist, check them, and use the wheel as a stranger would: ``python tools/make_dist.py``.

The wheel is installed into an empty environment, where the demo is run from it. TORCH_INDEX names the index
of the torch build, as for tools/install.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

__all__ = ["MAX_BYTES", "check_names", "main"]

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 95_000_000
NEEDED = (
    "headcast/weights/head.safetensors",
    "headcast/avatar/export/viewer/viewer.js.gz",
    "headcast/avatar/export/viewer/LICENSES.txt",
    "headcast/studio/page/index.html",
    "headcast/studio/page/studio.js",
    "headcast/studio/page/LICENSES.txt",
)
FORBIDDEN = ("node_modules/", "__pycache__/", ".pkl", ".pt", "private/", ".venv/")


def check_names(names: list[str], prefix: str = "") -> list[str]:
    """Return what is wrong with an archive's list of files, one sentence each."""
    wrong = [f"it lacks {n}" for n in NEEDED if f"{prefix}{n}" not in names]
    return wrong + [f"it holds {n}" for n in names if any(f in n or n.endswith(f) for f in FORBIDDEN)]


def new_environment(folder: Path) -> Path:
    """Make an empty environment; return its Python."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command: object, cwd: Path | None = None) -> None:
    """Run a command whose failure ends this program."""
    words = [str(c) for c in command]
    print("+", " ".join(words), flush=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if subprocess.run(words, cwd=cwd, env=environment, check=False).returncode:
        sys.exit(f"make_dist: failed: {' '.join(words)}")


def build(out: Path, work: Path) -> tuple[Path, Path]:
    """Build both archives; return wheel and sdist."""
    python = new_environment(work / "build")
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "hatchling")
    for old in [*out.glob("headcast-*.whl"), *out.glob("headcast-*.tar.gz")]:
        old.unlink()
    run(python, "-m", "hatchling", "build", "-d", out, cwd=ROOT)
    return next(out.glob("headcast-*.whl")), next(out.glob("headcast-*.tar.gz"))


def check(wheel: Path, sdist: Path) -> None:
    """Check sizes and contents; end this program where something is wrong."""
    with zipfile.ZipFile(wheel) as z:
        wrong = [f"{wheel.name}: {w}" for w in check_names(z.namelist())]
    with tarfile.open(sdist) as t:
        prefix = sdist.name.removesuffix(".tar.gz") + "/src/"
        wrong += [f"{sdist.name}: {w}" for w in check_names(t.getnames(), prefix)]
    for path in (wheel, sdist):
        size = path.stat().st_size
        print(f"{path.name}: {size / 1e6:.1f} MB")
        if size > MAX_BYTES:
            wrong.append(f"{path.name}: {size / 1e6:.1f} MB are more than {MAX_BYTES / 1e6:.0f}")
    if wrong:
        sys.exit("\n".join(wrong))


def use(wheel: Path, work: Path) -> None:
    """Install the wheel into an empty environment and run the demo there, outside the repository."""
    python = new_environment(work / "empty")
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    constraints = ("-c", ROOT / "constraints.txt")
    if index := os.environ.get("TORCH_INDEX"):
        run(*pip, "--index-url", index, "torch")
    run(*pip, *constraints, f"{wheel}[studio]", "scikit-image")
    run(python, "-m", "headcast.cli.demo", "-o", work / "demo", "--size", "256", cwd=work)
    run(python, "-m", "headcast", "info", work / "demo" / "me.avatar", cwd=work)
    run(python, "-m", "headcast", "studio", "--help", cwd=work)


def main() -> None:
    """Build, check and use the archives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--no-demo", action="store_true", help="build and check only")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="headcast-dist-") as name:
        wheel, sdist = build(out, Path(name))
        check(wheel, sdist)
        if not options.no_demo:
            use(wheel, Path(name))
    print(wheel, sdist, sep="\n")


if __name__ == "__main__":
    main()
