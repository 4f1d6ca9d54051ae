"""Measure how far expressions move the face, from pairs of images that differ in expression alone.

A method under test has a module with a class ``ExpressionResponse`` (``load(folder, weights)``, ``hash``,
``len``, ``expression_inputs``, ``sums(person)`` by expression input, ``tiles(people)``) and a function
``response_figures(sums)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.metrics.figure import Figure

__all__ = ["MEASURED", "Options", "measure"]

MEASURED: dict[str, str] = {"portrait4d": "headcast.methods.portrait4d.expression_response"}
"""Modules of the methods that can be measured, imported on use."""
SHEET_PEOPLE = 6
"""Number of people on the sheet."""
SUM_KEYS = ("both", "true", "rendered", "wrong")
"""Keys of ``response_sums`` in stored rows."""
REGION = "around mouth and eyes"
FIGURES = (
    Figure(
        key="slope",
        title="slope",
        unit="",
        better="neither",
        mask=REGION,
        span="-1..1",
        note="how much of the true change the rendered one makes: 1 is right, 0 is a face that does not move",
    ),
    Figure(
        key="correlation",
        title="correlation",
        mask=REGION,
        span="-1..1",
        note="of the rendered change with the true one, whatever their size",
    ),
    Figure(
        key="residual",
        title="residual",
        unit="of the true change",
        better="low",
        mask=REGION,
        span="-1..1",
        note="squared; 1: as if nothing moved",
    ),
)


@dataclass(frozen=True)
class Options:
    """Options of the motion protocol."""

    weights: str = ""
    """The networks' file; empty: those installed."""


def measure(setting: Setting) -> Report:
    """Measure a method on every person; the table has figures of all people together.

    Raises:
        HeadcastError: a method without this measurement, no people, invalid weights.
    """
    options: Options = setting.options or Options()
    if len(setting.subjects) != 1 or setting.subjects[0] not in MEASURED:
        known = ", ".join(MEASURED)
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol motion: give one of {known}")
    module = import_module(MEASURED[setting.subjects[0]])
    measurement = module.ExpressionResponse.load(str(setting.data), options.weights)
    store = Store(setting.out, {"protocol": "motion", "seed": setting.seed})
    report = Report(protocol="motion", figures={f.key: f for f in FIGURES})
    totals: dict[str, Float[np.ndarray, "4"]] = {}
    names = setting.chosen([str(n) for n in range(len(measurement))])
    for n, name in enumerate(names):
        setting.say(n / len(names), f"person {name}")
        for expression_input, sums in person_sums(store, measurement, name).items():
            report.add(expression_input, name, [module.response_figures(sums)])
            totals[expression_input] = totals.get(expression_input, np.zeros(len(SUM_KEYS))) + sums
    for expression_input, sums in totals.items():
        report.sets[expression_input] = {k: (v, len(names)) for k, v in module.response_figures(sums).items()}
    report.sheet += measurement.tiles([int(n) for n in names[:SHEET_PEOPLE]]) if names else []
    report.notes.append("figures of all people together: of sums over them")
    return report


def person_sums(store: Store, measurement: Any, name: str) -> dict[str, Float[np.ndarray, "4"]]:
    """Compute the sums of one person by expression input, or read them from the store."""

    def make() -> dict[str, Row]:
        return {
            expression_input: dict(zip(SUM_KEYS, s.tolist(), strict=True))
            for expression_input, s in measurement.sums(int(name)).items()
        }

    rows = store.together(measurement.expression_inputs, name, make, measurement.hash)
    return {expression_input: np.array([row[k] for k in SUM_KEYS]) for expression_input, row in rows.items()}
