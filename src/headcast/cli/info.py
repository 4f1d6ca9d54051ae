"""``headcast info``: what an avatar's file says of itself, read without loading torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headcast.avatar.entries import damaged, read_entries
from headcast.avatar.provenance import Provenance
from headcast.cli.commands import Info
from headcast.cli.output import escape_controls, print_result
from headcast.marks import commercial_use, licences

__all__ = ["file_facts", "run_info"]


def run_info(command: Info) -> None:
    """Run ``headcast info``: print what an avatar holds."""
    found = file_facts(command.avatar)
    facts = {**found, "commercial_use": commercial_use(found)}
    if command.json:
        print_result(json.dumps(facts, indent=1))
        return
    facts["weights"] = licences(facts)
    facts.setdefault("consent", "none stated")
    print_result("\n".join(f"{name:<24} {escape_controls(value)}" for name, value in flatten_facts(facts)))


def file_facts(path: Path) -> dict[str, Any]:
    """Return kind, head and provenance of an ``.avatar`` file; its tensors and images are not decoded.

    Raises:
        HeadcastError: missing, damaged, suspicious, or of a newer version.
    """
    meta = read_entries(path).meta
    kind, head = meta.get("kind"), meta.get("head")
    if not isinstance(kind, str):
        raise damaged(path, "no kind")
    if not isinstance(head, dict):
        raise damaged(path, "it does not say which head it was made with")
    rest = {k: v for k, v in meta.items() if k not in ("format", "version", "kind", "head")}
    return {"kind": kind, "head": head, **Provenance.from_dict(rest, path).to_dict()}


def flatten_facts(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested facts into (dotted name, value) pairs."""
    lines: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += flatten_facts(value, f"{prefix}{name}.")
        else:
            lines.append(
                (prefix + name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            )
    return lines
