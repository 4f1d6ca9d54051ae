"""Figures of whole sets of images or clips: FID, KID, FVD."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from headcast.evaluate.report import Report
from headcast.metrics.distribution import frechet_distance, kernel_distance

__all__ = ["LEAST", "add_set_distances"]

LEAST = 8
"""Least number of images or windows for which set figures are computed."""


def add_set_distances(
    report: Report, features: Mapping[str, Mapping[str, list[np.ndarray]]], real: str
) -> None:
    """Add distances of every method's features to those of ``real``."""
    if real not in features:
        return
    for subject, found in features.items():
        if subject == real:
            continue
        for key, parts in found.items():
            if key not in features[real]:
                continue
            a, b = np.concatenate(features[real][key]), np.concatenate(parts)
            if min(len(a), len(b)) < LEAST:
                continue
            made = report.sets.setdefault(subject, {})
            if key == "fvd":
                made["fvd"] = frechet_distance(a, b), len(b)
            else:
                made[f"fid_{key}"] = frechet_distance(a, b), len(b)
                made[f"kid_{key}"] = 1000 * kernel_distance(a, b), len(b)
