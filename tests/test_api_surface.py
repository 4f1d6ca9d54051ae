"""The public surface equals the committed one."""

from __future__ import annotations

import json

from tests.api_surface import FILE, SOURCE, surface


def test_the_surface_is_the_committed_one() -> None:
    committed, now = json.loads(FILE.read_text()), surface()
    changed = [
        f"{module}.{name}"
        for module in sorted(committed.keys() | now.keys())
        for name in sorted(committed.get(module, {}).keys() | now.get(module, {}).keys())
        if committed.get(module, {}).get(name) != now.get(module, {}).get(name)
    ]
    assert not changed, f"public names changed: {changed}; if that is meant: python -m tests.api_surface"


def test_every_module_with_code_says_all() -> None:
    silent = [
        str(p.relative_to(SOURCE))
        for p in SOURCE.rglob("*.py")
        if p.name not in ("__init__.py", "__main__.py") and "__all__" not in p.read_text()
    ]
    assert not silent, silent
