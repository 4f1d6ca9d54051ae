"""The public names and signatures of every module: ``python -m tests.api_surface`` writes them to a file.

A change of the surface then shows in review as a change of ``tests/api_surface.json``.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

FILE = Path(__file__).with_name("api_surface.json")
SOURCE = Path(__file__).resolve().parent.parent / "src" / "headcast"


def exported(tree: ast.Module) -> list[str]:
    """Names in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return []


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Arguments with defaults and annotations, and what is returned."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def describe(node: ast.stmt) -> object:
    """A function's signature, a class's bases, fields and public methods, or the word ``value``."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return signature(node)
    if not isinstance(node, ast.ClassDef):
        return "value"
    members: dict[str, object] = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            default = f" = {ast.unparse(item.value)}" if item.value else ""
            members[item.target.id] = ast.unparse(item.annotation) + default
        elif isinstance(item, ast.FunctionDef) and (not item.name.startswith("_") or item.name == "__init__"):
            members[item.name] = signature(item)
    return {"bases": [ast.unparse(b) for b in node.bases], "members": members}


def surface() -> dict[str, dict[str, object]]:
    """Module to public name to description, of all modules that say ``__all__``."""
    result: dict[str, dict[str, object]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = exported(tree)
        if not names:
            continue
        defined: dict[str, object] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                defined[node.name] = describe(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        defined[target.id] = "value"
        module = "headcast." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        result[module.removesuffix(".__init__")] = {n: defined.get(n, "imported") for n in sorted(names)}
    return result


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=1) + "\n")
