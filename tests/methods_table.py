"""README's table of methods, from what they declare: ``python -m tests.methods_table`` writes it."""

from __future__ import annotations

from pathlib import Path

from headcast.methods.base import (
    animator_names,
    get_animator,
    get_method,
    get_skin_mapper,
    method_names,
    skin_mapper_names,
)

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- methods: written by python -m tests.methods_table -->\n", "<!-- end of methods -->\n"


def table() -> str:
    """Return the rows: name, command, description."""
    rows = [(f"`{n}`", f"`create --method {n}`", get_method(n).description) for n in method_names()]
    rows += [
        (f"`{n}`", f"`animate PHOTO --method {n}`", get_animator(n).description) for n in animator_names()
    ]
    rows += [
        (f"`{n}`", "`texture`, `create --texture 4k`", get_skin_mapper(n).description)
        for n in skin_mapper_names()
    ]
    lines = ["| method | command | what it makes |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {a} | {b} | {c} |" for a, b, c in rows)]) + "\n"


def written(text: str) -> str:
    """Return the README with today's table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
