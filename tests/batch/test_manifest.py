"""A manifest survives a killed run, and its table no spreadsheet's formulas."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from headcast.batch.manifest import FIELDS, Manifest


def line(source: str, **more: object) -> dict[str, object]:
    return dict.fromkeys(FIELDS, "") | {"source": source, "key": source, "warnings": []} | more


def test_a_cut_last_line_is_forgotten_and_the_next_begins_on_its_own(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(line("a", status="done"))
    manifest.add(line("b", status="done"))
    data = manifest.path.read_bytes()
    manifest.path.write_bytes(data[:-20])
    again = Manifest(tmp_path)
    assert set(again.entries) == {"a"}
    again.add(line("c", status="done"))
    assert set(Manifest(tmp_path).entries) == {"a", "c"}
    again.close()
    assert [json.loads(x)["source"] for x in again.path.read_text().splitlines()] == ["a", "c"]


def test_the_table_holds_no_formulas(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(line("=HYPERLINK(1).png", status="refused", error="+1", warnings=["x", "y"]))
    manifest.close()
    with manifest.table.open(newline="") as f:
        (row,) = csv.DictReader(f)
    assert row["source"] == "'=HYPERLINK(1).png" and row["error"] == "'+1" and row["warnings"] == "x; y"
