"""Ask the package index whether everything headcast needs has a wheel for every platform that we name.

    python tools/check_platforms.py [--python 3.11] [PLATFORM ...]

Only packages with compiled parts are asked for, each by name, without its dependencies; nothing is installed,
and what is downloaded is deleted. Exit code 1: a wheel is missing; 3: the index does not answer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

__all__ = ["PLATFORMS", "compiled_requirements", "has_wheel", "main"]

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {
    "linux": "manylinux_2_28_x86_64",
    "macos": "macosx_14_0_arm64",
    "windows": "win_amd64",
}
PURE = ("pygltflib", "tyro", "rich", "jaxtyping")
"""Requirements without compiled parts: one wheel for all platforms."""
UNREACHABLE = ("ConnectionError", "Max retries", "Temporary failure", "timed out", "403", "502")


def compiled_requirements(text: str) -> list[str]:
    """Return the requirements of a pyproject.toml that have compiled parts."""
    wanted = tomllib.loads(text)["project"]["dependencies"]
    return [r for r in wanted if not r.startswith(PURE)]


def has_wheel(requirement: str, platform: str, python: str, folder: str) -> bool | None:
    """Return whether the index has a wheel; None: it does not answer."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--platform", platform, "--python-version", python, "-d", folder]
    if platform.startswith("manylinux"):
        command += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_27_x86_64"]
    done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr for word in UNREACHABLE):
        return None
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given")
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    """Ask for every package on every platform; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("platforms", nargs="*", choices=[*PLATFORMS, []], help="by default all")
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--only", default="", help="one requirement's name")
    options = parser.parse_args(arguments)
    missing = 0
    for requirement in compiled_requirements((ROOT / "pyproject.toml").read_text()):
        if options.only and not requirement.startswith(options.only):
            continue
        for name in options.platforms or PLATFORMS:
            with tempfile.TemporaryDirectory(prefix="headcast-wheels-") as folder:
                found = has_wheel(requirement, PLATFORMS[name], options.python, folder)
            if found is None:
                print("check_platforms: the package index does not answer", file=sys.stderr)
                return 3
            print(f"{requirement:32} {name:8} {'yes' if found else 'NO WHEEL'}", flush=True)
            missing += not found
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
