"""Fills a virtual environment for this repository (``make setup``): ``install.py VENV [EXTRAS ...]``.

A plain ``pip install torch`` may resolve to gigabytes of CUDA packages: the index named by the variable
TORCH_INDEX is used when set, and a torch that is already there is kept. Other builds of OpenCV, which share
one folder with the headless one, are removed first. Torch's own test programs, which some builds bring (120
MB) and nothing imports, are removed from the environment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
TORCH = "2.13.0"
HEADLESS = "opencv-python-headless"
IN_THE_WAY = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless", "mediapipe")
CHECK = (
    "import cv2, numba, torch, headcast; from ai_edge_litert.interpreter import Interpreter; "
    "print('headcast', headcast.__version__, 'with torch', torch.__version__)"
)


def say(text: str) -> None:
    """One line for the user."""
    sys.stderr.write(f"setup: {text}\n")


class Environment:
    """A virtual environment and its pip."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not self.python.exists():
            say(f"making {folder.name} with Python {sys.version.split()[0]}")
            try:
                venv.create(folder, with_pip=True)
            except subprocess.CalledProcessError:
                sys.exit(
                    "setup: this Python cannot make environments; on Debian: apt-get install python3-venv"
                )

    def run(self, *arguments: str) -> str:
        """Output of a Python command; ends the program with its error."""
        done = subprocess.run([self.python, *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"setup: failed: {' '.join(arguments)}")
        return done.stdout

    def install(self, *arguments: str) -> None:
        """``pip install`` under the pinned versions."""
        self.run(
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-c",
            str(CONSTRAINTS),
            *arguments,
        )

    def installed(self) -> dict[str, str]:
        """Name to version of what is there."""
        listing = json.loads(self.run("-m", "pip", "list", "--format", "json", "--disable-pip-version-check"))
        return {p["name"].lower().replace("_", "-"): p["version"] for p in listing}


def plain_torch_is_cuda(environment: Environment) -> bool:
    """Whether pip, left alone, would bring the CUDA build."""
    report = environment.run(
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--disable-pip-version-check",
        "--report",
        "-",
        f"torch=={TORCH}",
    )
    names = [p["metadata"]["name"].lower() for p in json.loads(report)["install"]]
    return any(n.startswith(("nvidia-", "cuda-")) or n in ("triton", "pytorch-triton") for n in names)


def install_torch(environment: Environment) -> None:
    """Torch of the pinned version, unless one that works is there."""
    present = environment.installed().get("torch")
    if present:
        say(f"keeping torch {present}")
        return
    index = os.environ.get("TORCH_INDEX")
    if index:
        say(f"torch {TORCH} from the index in TORCH_INDEX")
        environment.install("--no-deps", "--index-url", index, f"torch=={TORCH}")
        return
    if plain_torch_is_cuda(environment):
        say(f"torch {TORCH} comes with CUDA here: gigabytes; for the CPU build set TORCH_INDEX")
    environment.install(f"torch=={TORCH}")


def clear_the_way(environment: Environment) -> None:
    """Remove other builds of OpenCV, which share a folder with ours, and what pins an old numpy."""
    others = [n for n in IN_THE_WAY if n in environment.installed()]
    if others:
        environment.run("-m", "pip", "uninstall", "--quiet", "-y", *others, HEADLESS)


def own_packages(environment: Environment) -> Path:
    """Folder of the environment's own packages."""
    return Path(environment.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def remove_torch_tests(packages: Path) -> int:
    """Remove the compiled tests that lie in torch's folder; return their bytes.

    Args:
        packages: folder of packages of an environment; what it sees of another one stays.
    """
    torch = packages / "torch"
    programs = [p for p in (torch / "bin").glob("*") if re.match(r"test_|\w+Test$", p.name) and p.is_file()]
    programs += [p for p in (torch / "test").rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in programs)
    for path in programs:
        path.unlink()
    shutil.rmtree(torch / "test", ignore_errors=True)
    return size


def requirements(extras: list[str]) -> list[str]:
    """What pyproject.toml asks for, without torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    return [r for r in wanted if not re.match(r"torch\b", r)]


def state_key(extras: list[str]) -> str:
    """Hash of all that decides what is installed."""
    sources = [CONSTRAINTS, ROOT / "pyproject.toml", Path(__file__)]
    key = hashlib.sha256(b"".join(p.read_bytes() for p in sources))
    key.update(
        repr((sys.version_info[:2], sorted(extras), str(ROOT), os.environ.get("TORCH_INDEX"))).encode()
    )
    return key.hexdigest()


def main(folder: Path, extras: list[str]) -> None:
    """Makes the environment as described, unless nothing changed since it was made."""
    key = state_key(extras)
    stamp = folder / ".headcast-setup"
    if stamp.is_file() and stamp.read_text() == key:
        return
    environment = Environment(folder)
    install_torch(environment)
    say("installing the other packages")
    clear_the_way(environment)
    environment.install("torch", *requirements(extras))
    environment.install("--no-deps", "-e", str(ROOT))
    removed = remove_torch_tests(own_packages(environment))
    if removed:
        say(f"removed {removed / 1e6:.0f} MB of torch's own test programs")
    say(environment.run("-c", CHECK).strip())
    stamp.write_text(key)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="VENV")
    parser.add_argument("extras", nargs="*", help="of pyproject.toml, by blanks or commas")
    given = parser.parse_args()
    main(given.folder, [e for e in ",".join(given.extras).split(",") if e])
