"""Documents: they repeat what the code declares, fit into 100 columns and use the field's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.methods_table import BEGIN, README, written

ROOT = README.parent
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COLUMNS = 100
"""Longest line of prose; tables and code blocks may be wider."""
DIALECT = re.compile(
    r"\b(pictures?|freed|told|shut|judg(?:e|es|ed|ement|ements)|contestants?|the way|bad input|at hand"
    r"|fooling|lit up|laid anew|held-still)\b",
    re.IGNORECASE,
)
"""Words that readers of the field would not search for; docs/glossary.md has those that they would."""


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of lines outside code blocks (fenced, or indented after an empty line)."""
    fenced = in_list = indented = False
    previous = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            in_list = bool(re.match(r"([-*+]|\d+\.) ", line)) or (in_list and line[:1] in ("", " "))
            deep = line.startswith("    ") and not in_list
            indented = deep and (indented or not previous.strip())
            if not indented:
                yield number, line
        previous = line


def quoted_out(text: str) -> str:
    """Replace code spans, quotations and targets of links by spaces, line breaks kept."""
    hide = re.compile(r"`[^`]*`|\"[^\"]*\"|\]\([^)]*\)")
    return hide.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def dialect(text: str) -> list[str]:
    """Return the dialect words outside code and quotations, also those broken over two lines."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(line for _, line in prose(text)))
    return [m.group() for p in paragraphs for m in DIALECT.finditer(re.sub(r"\s+", " ", quoted_out(p)))]


def test_the_table_of_methods_is_todays() -> None:
    text = README.read_text()
    assert BEGIN in text
    assert written(text) == text, "run: make surface"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_fits_into_100_columns(path: Path) -> None:
    lines = prose(path.read_text())
    assert not [f"{path.name}:{n}" for n, x in lines if len(x) > COLUMNS and not x.startswith(("|", "<!--"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_documents_use_the_fields_words(path: Path) -> None:
    assert dialect(path.read_text()) == []


def test_the_guard_finds_dialect_and_leaves_code_alone() -> None:
    assert dialect("It is on\nthe\nway.\n\n- A picture\n  of it\n") == ["the way", "picture"]
    assert dialect('Run `told` or\n\n    --picture at hand\n\n```\nshut\n```\n\nsay "a picture".\n') == []


def test_the_glossary_names_what_exists() -> None:
    missing = []
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()[8:]:
        place, *names = re.findall(r"`([^`]+)`", line.rsplit(" | ", 1)[-1])
        path = ROOT / "src" / "headcast" / place
        text = path.read_text() if path.is_file() else ""
        missing += [] if path.exists() else [place]
        missing += [f"{place}: {n}" for n in names if not re.search(rf"\b{n}\b", text)]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    text = "\n".join(line for _, line in prose(path.read_text()))
    links = [x for x in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in x]
    assert not [x for x in links if not (path.parent / x).exists()]
