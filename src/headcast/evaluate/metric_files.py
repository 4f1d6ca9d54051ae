"""Where the networks of the evaluator alone lie, when no option names them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "METRIC_FILES", "find_metric_files"]

FOLDER_VARIABLE = "HEADCAST_METRICS"
"""Environment variable: the folder that is searched first."""
METRIC_FILES = {
    "lpips": ("lpips_alex.npz",),
    "sface": ("sface.onnx",),
    "yunet": ("yunet.onnx",),
}
"""Names of each option's file below a folder that is searched."""


def find_metric_files(data: Path, given: dict[str, Path | None]) -> dict[str, Path | None]:
    """Find paths by option: as given, else the first in $HEADCAST_METRICS, the data folder, or above it."""
    named = os.environ.get(FOLDER_VARIABLE)
    folders = [*([Path(named)] if named else []), data, data.resolve().parent]
    found = dict(given)
    for option, names in METRIC_FILES.items():
        if found.get(option) is None:
            places = (folder / name for folder in folders for name in names)
            found[option] = next((p for p in places if p.is_file()), None)
    return found
