"""Imports only go down: the import graph is drawn from the sources, imports inside functions included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

# Lowest first. Packages of one row don't know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "progress", "__init__"),
    ("registry", "owner", "limits"),
    ("files",),
    ("parsing",),
    ("array_files",),
    ("device", "rotation", "weights", "demo", "marks", "interpolation", "crops"),
    ("pickles",),
    ("shots", "containers", "video_layout"),
    ("camera",),
    ("image", "video_out"),
    ("video_colour",),
    ("video",),
    ("nets", "head", "render"),
    ("synth", "face_networks"),
    ("doctor",),
    ("training", "metrics"),
    ("priors",),
    ("motion",),
    ("view",),
    ("observe", "avatar"),
    ("restore",),
    ("texture", "splats"),
    ("methods",),
    ("relight",),
    ("drive",),
    ("api",),
    ("evaluate", "batch"),
    ("studio",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, row in enumerate(FLOORS) for name in row}
SOURCE = Path(__file__).resolve().parent.parent / "src" / "headcast"


def module_name(path: Path) -> str:
    """Dotted name below ``headcast``; empty for the package itself."""
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(p): p for p in sorted(SOURCE.rglob("*.py"))}


def imports_of(path: Path, name: str) -> set[str]:
    """Modules of this package that a file imports, anywhere in it (annotations-only imports excepted)."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for n in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: write imports out in full"
            base = node.module or ""
            found |= {f"{base}.{a.name}" for a in node.names} | {base}
    below = {f.removeprefix("headcast.") for f in found if f.startswith("headcast.")}
    return {f for f in below if f in MODULES and f != name}


GRAPH = {name: imports_of(path, name) for name, path in MODULES.items()}


def top(name: str) -> str:
    """The floor's entry that a module belongs to. A method's own evaluation protocols are the evaluator's."""
    if name.startswith("methods.") and ".protocols" in name:
        return "evaluate"
    return name.split(".")[0] or "__init__"


def test_every_module_has_a_floor() -> None:
    assert {top(m) for m in MODULES} <= set(LEVEL), sorted({top(m) for m in MODULES} - set(LEVEL))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name: str) -> None:
    for other in GRAPH[name]:
        a, b = top(name), top(other)
        assert a == b or LEVEL[b] < LEVEL[a], f"{name} may not import {other}: {b} is not below {a}"


def test_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(GRAPH[name]):
                # a package's __init__ is imported before its modules and may name them for its users
                if not name.startswith(other + "."):
                    visit(other, (*path, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())
