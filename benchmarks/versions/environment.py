"""A revision in a git worktree with an environment of its own, kept between runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Version", "VersionError", "build", "checkout", "commit_of", "here", "two_versions"]


class VersionError(Exception):
    """A revision that cannot be had or run; one line for the user."""


@dataclass(frozen=True)
class Version:
    """One of the two under comparison.

    Attributes:
        name: for tables.
        tree: its sources.
        python: interpreter of its environment.
    """

    name: str
    tree: Path
    python: Path

    def environ(self) -> dict[str, str]:
        """Environment variables of its processes: this tree's package comes before an installed one."""
        return {**os.environ, "PYTHONPATH": str(self.tree / "src")}

    def check(self) -> None:
        """Import the package.

        Raises:
            VersionError: it cannot be imported, or another tree's is.
        """
        done = subprocess.run(
            [self.python, "-c", "import headcast; print(headcast.__file__)"],
            env=self.environ(),
            cwd=self.tree,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise VersionError(f"{self.name}: headcast cannot be imported by {self.python}: {words}")
        if not Path(done.stdout.strip()).resolve().is_relative_to(self.tree.resolve()):
            raise VersionError(f"{self.name}: {self.python} imports {done.stdout.strip()}, not {self.tree}")


def git(root: Path, *words: str) -> str:
    """Output of a git command.

    Raises:
        VersionError: it failed.
    """
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VersionError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def commit_of(root: Path, revision: str) -> str:
    """The commit's hash, shortened.

    Raises:
        VersionError: there is no such revision.
    """
    try:
        return git(root, "rev-parse", "--short=10", "--verify", f"{revision}^{{commit}}")
    except VersionError as e:
        raise VersionError(f"{revision}: no such revision here; git fetch it, or give another") from e


def checkout(root: Path, revision: str, cache: Path) -> Path:
    """The revision's files in ``cache/tree``: a worktree, made unless it is there.

    Raises:
        VersionError: no such revision; something else lies there.
    """
    tree, commit = cache / "tree", commit_of(root, revision)
    if (tree / ".git").exists():
        found = git(tree, "rev-parse", "--short=10", "HEAD")
        if found != commit:
            raise VersionError(f"{tree}: holds {found}, not {commit}; give another --cache or remove it")
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    git(root, "worktree", "prune")
    git(root, "worktree", "add", "--detach", str(tree), commit)
    return tree


def build(tree: Path, cache: Path) -> Path:
    """Python of ``cache/venv``, filled by the revision's own ``tools/install.py``, which skips what is done.

    Raises:
        VersionError: the installation failed.
    """
    folder = cache / "venv"
    done = subprocess.run([sys.executable, tree / "tools" / "install.py", folder], cwd=tree, check=False)
    if done.returncode:
        raise VersionError(f"{tree}: its tools/install.py failed; mend that, or give --environment VENV")
    return python_of(folder)


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment.

    Raises:
        VersionError: there is none.
    """
    for place in ("bin/python", "Scripts/python.exe"):
        if (folder / place).exists():
            return folder / place
    raise VersionError(f"{folder}: no virtual environment")


def here(root: Path) -> Version:
    """The working tree, run by this interpreter."""
    return Version("now", root, Path(sys.executable))


def two_versions(
    root: Path, revision: str, cache: Path | None, environment: Path | None
) -> tuple[tuple[Version, Version], Path]:
    """Prepare a revision and the working tree, each with its environment; also return the revision's cache.

    Args:
        cache: folder for the revision; None: ``build/against/COMMIT``. environment: its; None: it is built.

    Raises:
        VersionError: one of them cannot be had.
    """
    commit = commit_of(root, revision)
    cache = (cache or root / "build" / "against" / commit).resolve()
    tree = checkout(root, revision, cache)
    python = python_of(environment.absolute()) if environment else build(tree, cache)
    versions = (Version(commit, tree, python), here(root))
    for version in versions:
        version.check()
    return versions, cache
