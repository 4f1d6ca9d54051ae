"""Rules that a linter doesn't know: sizes, names, docstrings, no traces of the machine that built this."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "headcast"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path in FILES:
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def compiled(path: Path, node: ast.FunctionDef) -> bool:
    """Return whether a function is a kernel for numba or Triton."""
    words = " ".join(ast.unparse(d) for d in node.decorator_list)
    return "triton" in path.name or any(w in words for w in ("kernel", "helper", "jit"))


def token_count(node: ast.FunctionDef, source: str) -> int:
    """Count names, operators, numbers and strings of a function's body."""
    body = "\n".join(source.splitlines()[node.body[0].lineno - 1 : node.end_lineno])
    counted = (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(textwrap.dedent(body)).readline)
    return sum(t.type in counted for t in tokens)


def test_files_stay_small() -> None:
    sizes = {p: len(p.read_text().splitlines()) for p in FILES}
    assert not {str(p): n for p, n in sizes.items() if n > 600}


def test_nearly_all_functions_stay_under_sixty_lines() -> None:
    lengths = [((node.end_lineno or 0) - node.lineno + 1, f"{p.name}:{node.name}") for p, node in functions()]
    long = sorted(x for x in lengths if x[0] > 60)
    assert len(long) <= 0.05 * len(lengths), long


def test_functions_say_what_they_return() -> None:
    # numba kernels have no use for annotations
    silent = [(p, n) for p, n in functions() if n.returns is None and not compiled(p, n)]
    assert not [f"{p.name}:{n.lineno} {n.name}" for p, n in silent]


def test_public_functions_have_docstrings() -> None:
    public = [(p, n) for p, n in functions() if not n.name.startswith("_")]
    silent = [f"{p.name}:{n.lineno} {n.name}" for p, n in public if not ast.get_docstring(n)]
    assert len(silent) <= 0.1 * len(public), silent


def test_no_bare_except_and_no_print_outside_the_command_line() -> None:
    for path in FILES:
        for node in ast.walk(TREES[path]):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert "cli" in path.relative_to(SOURCE).parts, f"{path}:{node.lineno}: print"


def test_no_traces_of_the_builders_machine() -> None:
    # written with a gap, so that this file passes its own test
    traces = re.compile(
        "|".join(
            x.replace(" ", "")
            for x in ("/wo rk/", "/tm p/hc", "/ro ot/", "/ho me/", "http s?://(?:pypi|download\\.pytorch)")
        )
    )
    for pattern in ("*.py", "*.md", "*.toml", "*.txt", "Makefile", "*.json", ".ci/run"):
        for path in ROOT.rglob(pattern):
            parts = path.relative_to(ROOT).parts
            if any(
                x in parts
                for x in (
                    ".venv",
                    ".bpy",
                    ".git",
                    "out",
                    "build",
                    "dist",
                    "private",
                    "node_modules",
                    ".hypothesis",
                )
            ):
                continue
            found = traces.search(path.read_text(errors="replace"))
            assert not found, f"{path}: {found.group() if found else ''}"


def test_the_formatter_decides() -> None:
    skip = "fmt: " + "skip"  # in two parts, so that this file holds none
    files = [p for folder in ("src", "tests", "tools", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    assert not [str(p.relative_to(ROOT)) for p in files if skip in p.read_text()]


DIALECT = re.compile(
    r"\b(picture|pictures|freed|fooling|telling|judge|told|shut|contestants|lit up|laid anew|at hand)\b"
)
SAVED_WORDS = 14
"""Of these words, what saved files need: keys of checkpoints and pages, names of result folders."""


def test_sources_use_the_fields_words() -> None:
    found = [f"{p.relative_to(SOURCE)}: {word}" for p in FILES for word in DIALECT.findall(p.read_text())]
    assert len(found) <= SAVED_WORDS, found


def test_docstrings_say_something() -> None:
    short = [
        f"{p.relative_to(SOURCE)}:{node.lineno}"
        for p in FILES
        for node in ast.walk(TREES[p])
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and (text := ast.get_docstring(node))
        and len(text.split()) < 4
    ]
    assert not short


LONGEST, USUAL = 450, 300
"""Tokens of a function's body: at most, and of 95 in 100 functions."""


def test_functions_stay_short() -> None:
    sizes = [
        (token_count(node, path.read_text()), f"{path.relative_to(SOURCE)}: {node.name}")
        for path, node in functions()
        if not compiled(path, node)
    ]
    sizes.sort()
    assert not [s for s in sizes if s[0] > LONGEST]
    assert sizes[int(0.95 * len(sizes))][0] <= USUAL, sizes[int(0.95 * len(sizes)) :]


SHARED_NAMES = {
    "measure": "every protocol's module is entered by it",
    "Options": "every protocol's module has its own",
    "main": "programs",
    "load": "api.load, and a lane operation",
    "render": "api.render, and one backend's module each",
    "rasterize": "one backend's module each",
    "available": "backends and priors whose module is the name's other half",
    "View": "a command is named by its class",
    "degrade": "api.degrade, and the degradation of images",
}
"""Public names that several modules define, and why."""


def test_a_public_name_lives_in_one_module() -> None:
    modules: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for node in TREES[path].body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].add(str(path.relative_to(SOURCE)))
    shared = {name: sorted(where) for name, where in modules.items() if len(where) > 1}
    assert set(shared) == set(SHARED_NAMES), {n: shared.get(n) for n in set(shared) ^ set(SHARED_NAMES)}


def dataclasses_of(least: int) -> set[str]:
    """Return the names of dataclasses with more than ``least`` fields of their own."""
    return {
        node.name
        for path in FILES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(d) for d in node.decorator_list)
        and sum(
            isinstance(x, ast.AnnAssign) and "ClassVar" not in ast.unparse(x.annotation) for x in node.body
        )
        > least
    }


def test_large_dataclasses_are_built_by_keyword() -> None:
    large = dataclasses_of(4)
    positional = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {node.func.id}"
        for path in FILES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in large
        and (len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args))
    ]
    assert not positional


AUTOGRAD = ("forward", "backward")
"""Methods of torch.autograd.Function return tuples."""


def test_many_returned_values_have_names() -> None:
    tuples = []
    for path, node in functions():
        returns = node.returns
        if compiled(path, node) or node.name in AUTOGRAD or not isinstance(returns, ast.Subscript):
            continue
        values = returns.slice.elts if isinstance(returns.slice, ast.Tuple) else []
        if ast.unparse(returns.value) == "tuple" and len(values) > 2:
            tuples.append(f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}")
    assert not tuples
