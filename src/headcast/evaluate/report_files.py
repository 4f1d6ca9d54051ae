"""Write a report as files: JSON for programs, a Markdown table with its legend, a sheet of images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from headcast.evaluate.report import FEW, Cell, Report
from headcast.files import atomic_path
from headcast.metrics.figure import Figure

__all__ = ["as_json", "as_markdown", "figure_text", "sheet_of", "write_report", "write_sheet"]

TILE = 256
"""Longest side of an image on the sheet, pixels."""


class ReportFiles(NamedTuple):
    """Files of an evaluation; no sheet without images."""

    data: Path
    table: Path
    sheet: Path | None


def write_report(report: Report, out: Path) -> ReportFiles:
    """Write ``evaluation.json``, ``evaluation.md`` and ``evaluation.png`` (where there are images)."""
    data, table, sheet = (out / f"evaluation.{e}" for e in ("json", "md", "png"))
    with atomic_path(data) as temporary:
        temporary.write_text(json.dumps(as_json(report), indent=1, allow_nan=False) + "\n")
    with atomic_path(table) as temporary:
        temporary.write_text("\n".join(as_markdown(report)) + "\n")
    if not report.sheet:
        return ReportFiles(data, table, None)
    write_sheet(report.sheet, sheet)
    return ReportFiles(data, table, sheet)


def write_sheet(lines: list[list[tuple[str, UInt8[np.ndarray, "_ _ 3"]]]], path: Path) -> None:
    """Write lines of labelled images as one; without any line nothing is written."""
    from headcast.image import save_png
    from headcast.marks import png_metadata

    if lines:
        save_png(path, sheet_of(lines), png_metadata({}))


def as_json(report: Report) -> dict[str, Any]:
    """Convert a report to plain values."""
    results = {method: _method_results(report, method) for method in {**report.rows, **report.sets}}
    used = used_keys(report)
    return {
        "format": "headcast-evaluation",
        "version": 1,
        "protocol": report.protocol,
        "settings": report.settings,
        "notes": report.notes,
        "legend": {k: f.described() for k, f in report.figures.items() if k in used},
        "results": results,
        "rows": report.rows,
        "skipped": report.skipped,
    }


def _method_results(report: Report, method: str) -> dict[str, Any]:
    """Convert one method's figures to plain values: overall, by group and by item."""
    sets = {k: {"value": v, "count": n} for k, (v, n) in report.sets.get(method, {}).items()}
    cells = {k: cell_values(c) for k, c in report.cells(method).items()}
    groups = {}
    for group, items in report.groups.items():
        of_group = report.cells(method, items)
        figures = {k: cell_values(c) for k, c in of_group.items()} if len(items) >= FEW else "too few"
        groups[group] = {"items": len(items), "figures": figures}
    by_item = {
        i: {k: cell_values(c) for k, c in report.cells(method, [i]).items()}
        for i in report.rows.get(method, {})
    }
    return {"figures": {**cells, **sets}, "groups": groups, "items": by_item}


def cell_values(c: Cell) -> dict[str, float | int]:
    """Convert a cell to plain values."""
    return {"mean": c.mean, "median": c.median, "tail": c.tail, "count": c.count}


def used_keys(report: Report) -> set[str]:
    """List figures that any method has a value of."""
    rows = {k for found in report.rows.values() for rows in found.values() for r in rows for k in r}
    return rows | {k for found in report.sets.values() for k in found}


def as_markdown(report: Report) -> list[str]:
    """Write the table, one row a figure; tables by group and by item; the legend; what was skipped."""
    methods = list({**report.rows, **report.sets})
    used = used_keys(report)
    figures = [f for k, f in report.figures.items() if k in used]
    cells = {w: report.cells(w) for w in methods}
    head = f"# {report.protocol}: {len(report.items())} items"
    out = [head, "", *[f"- {n}" for n in report.notes], ""] if report.notes else [head, ""]
    out += ["Cells: mean; median (the tail: where the worst tenth begins), n values.", ""]
    out += ["| figure | " + " | ".join(methods) + " |", "|---|" + "---|" * len(methods)]
    for f in figures:
        out.append(
            f"| {f.heading} | "
            + " | ".join(format_cell(f, cells[w].get(f.key), report, w) for w in methods)
            + " |"
        )
    out += group_tables(report, methods, figures) + item_tables(report, methods, figures)
    out += legend(report, figures)
    if report.skipped:
        out += ["", "## Skipped", "", *[f"- {i}: {why}" for i, why in report.skipped.items()]]
    return out


def format_cell(f: Figure, c: Cell | None, report: Report, method: str) -> str:
    """Write one cell of the main table."""
    set_value = report.sets.get(method, {}).get(f.key)
    if set_value is not None:
        return f"{figure_text(set_value[0])}, n {set_value[1]}"
    if c is None:
        return "—"
    if f.key == "lost":
        return f"{round(c.mean * c.count)} of {c.count}"
    return f"{figure_text(c.mean)}; {figure_text(c.median)} ({figure_text(c.tail)}), n {c.count}"


def figure_text(value: float) -> str:
    """Format a value with three significant digits."""
    if not math.isfinite(value):
        return "—"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}".rstrip("0").rstrip(".") if value else "0"


MAIN = ("face_psnr", "foreground_psnr", "whole_psnr", "perceptual", "identity", "csim", "akd", "aed", "apd")
"""Figures of the smaller tables, where they exist."""


def group_tables(report: Report, methods: list[str], figures: list[Figure]) -> list[str]:
    """Tabulate medians per group: one row a group and method."""
    chosen = [f for f in figures if f.key in (report.main or MAIN)] or figures[:6]
    if not report.groups:
        return []
    out = [
        "",
        "## Groups (medians)",
        "",
        "| group | n | method | " + " | ".join(f.heading for f in chosen) + " |",
    ]
    out.append("|---|---|---|" + "---|" * len(chosen))
    for group, items in report.groups.items():
        if len(items) < FEW:
            out.append(f"| {group} | {len(items)} | all |" + " too few |" * len(chosen))
            continue
        for method in methods:
            c = report.cells(method, items)
            if c:
                cells = " | ".join(figure_text(c[f.key].median) if f.key in c else "—" for f in chosen)
                out.append(f"| {group} | {len(items)} | {method} | {cells} |")
    return out


def item_tables(report: Report, methods: list[str], figures: list[Figure]) -> list[str]:
    """Tabulate medians per item, where there are a few items."""
    items = report.items()
    chosen = [f for f in figures if f.key in (report.main or MAIN)] or figures[:6]
    if not 2 <= len(items) <= 60:
        return []
    out = [
        "",
        "## Items (medians)",
        "",
        "| item | method | " + " | ".join(f.heading for f in chosen) + " |",
    ]
    out.append("|---|---|" + "---|" * len(chosen))
    for i in items:
        for method in methods:
            c = report.cells(method, [i])
            if any(f.key in c for f in chosen):
                cells = " | ".join(figure_text(c[f.key].median) if f.key in c else "—" for f in chosen)
                out.append(f"| {i} | {method} | {cells} |")
    return out


def legend(report: Report, figures: list[Figure]) -> list[str]:
    """Explain what each figure means; networks and what was left out are in the settings."""
    out = [
        "",
        "## Legend",
        "",
        "| figure | network | crop | pixels that count | range | note |",
        "|---|---|---|---|---|---|",
    ]
    for f in figures:
        name = f"{f.title} ({f.unit})" if f.unit else f.title
        out.append(f"| {name} | {f.network} | {f.crop} | {f.mask} | {f.span} | {f.note} |")
    missing = report.settings.get("missing", [])
    return out + (["", "Left out:", "", *[f"- {m}" for m in missing]] if missing else [])


def sheet_of(lines: list[list[tuple[str, UInt8[np.ndarray, "_ _ 3"]]]]) -> UInt8[np.ndarray, "h w 3"]:
    """Lay out all lines of images with labels, in as many columns as make the sheet roughly square."""
    from headcast.render.sheet import contact_sheet

    rows = []
    for line in lines:
        small = [shrink_to_sheet(p) for _, p in line]
        rows.append(contact_sheet(small, len(line), labels=[label for label, _ in line]))
    width = max(r.shape[1] for r in rows)
    columns = max(1, round((sum(r.shape[0] for r in rows) / width) ** 0.5))
    rows_each = -(-len(rows) // columns)
    parts = [rows[k : k + rows_each] for k in range(0, len(rows), rows_each)]
    height = max(sum(r.shape[0] for r in part) for part in parts)
    return np.concatenate([stack_rows(part, height, width) for part in parts], 1)


def stack_rows(rows: list[UInt8[np.ndarray, "_ _ 3"]], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Stack lines below each other on white."""
    column = np.full((height, width, 3), 255, np.uint8)
    y = 0
    for r in rows:
        column[y : y + r.shape[0], : r.shape[1]] = r
        y += r.shape[0]
    return column


def shrink_to_sheet(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Reduce an image to the sheet's size."""
    import cv2

    k = TILE / max(rgb.shape[:2])
    if k >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * k)), max(1, round(rgb.shape[0] * k)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
