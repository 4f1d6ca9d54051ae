"""Do expressions move the face as they should? Of two images of each person only the expression differs.

A method that brings this measurement has a module with a class ``MotionChange``: ``load(folder, weights)``,
``hash``, ``len``, ``ways`` (how an expression is given), ``sums(person)`` by way, ``tiles(people)``; and a
function ``figures_of(sums)``.
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

MEASURED: dict[str, str] = {"portrait4d": "headcast.methods.portrait4d.motion_change"}
"""Methods that can be measured so, and where; imported when they are asked for."""
SHOWN = 6
"""People on the sheet."""
SUMS = ("both", "true", "rendered", "wrong")
"""Of products of changes, as rows keep them."""
PARTS = "around mouth and eyes"
FIGURES = (
    Figure(
        key="slope",
        title="slope",
        unit="",
        better="neither",
        mask=PARTS,
        span="-1..1",
        note="how much of the true change the rendered one makes: 1 is right, 0 is a face that does not move",
    ),
    Figure(
        key="correlation",
        title="correlation",
        mask=PARTS,
        span="-1..1",
        note="of the rendered change with the true one, whatever their size",
    ),
    Figure(
        key="left",
        title="left",
        unit="of the true change",
        better="low",
        mask=PARTS,
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
        HeadcastError: not such a method, no people, unusable weights.
    """
    options: Options = setting.options or Options()
    if len(setting.subjects) != 1 or setting.subjects[0] not in MEASURED:
        known = ", ".join(MEASURED)
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol motion: give one of {known}")
    module = import_module(MEASURED[setting.subjects[0]])
    found = module.MotionChange.load(str(setting.data), options.weights)
    store = Store(setting.out, {"protocol": "motion", "seed": setting.seed})
    report = Report(protocol="motion", figures={f.key: f for f in FIGURES})
    totals: dict[str, Float[np.ndarray, "4"]] = {}
    names = setting.chosen([str(n) for n in range(len(found))])
    for n, name in enumerate(names):
        setting.say(n / len(names), f"person {name}")
        for how, sums in person_sums(store, found, name).items():
            report.add(how, name, [module.change_figures(sums)])
            totals[how] = totals.get(how, np.zeros(len(SUMS))) + sums
    for how, sums in totals.items():
        report.sets[how] = {k: (v, len(names)) for k, v in module.change_figures(sums).items()}
    report.sheet += found.tiles([int(n) for n in names[:SHOWN]]) if names else []
    report.notes.append("figures of all people together: of sums over them")
    return report


def person_sums(store: Store, found: Any, name: str) -> dict[str, Float[np.ndarray, "4"]]:
    """Sum products of changes of one person by way, or take the sums from disk."""

    def make() -> dict[str, Row]:
        return {how: dict(zip(SUMS, s.tolist(), strict=True)) for how, s in found.sums(int(name)).items()}

    rows = store.together(found.ways, name, make, found.hash)
    return {how: np.array([row[k] for k in SUMS]) for how, row in rows.items()}
