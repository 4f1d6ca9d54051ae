"""What do Portrait4D's weights owe to the photo, the attention, the planes? Controls on synthetic people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.metrics.figure import Figure

__all__ = ["Options", "measure"]

SUMS = ("both", "true", "rendered", "wrong")
"""Of products of changes, as rows keep them."""
SHOWN = 4
"""People on the sheet."""
FIGURES = (
    Figure("person", "person PSNR", "dB", mask="true head, another view than the photo's"),
    Figure("face", "face PSNR", "dB", mask="true head inside the box of 478 points, the same view"),
    Figure("slope", "slope", "", "neither", mask="around mouth and eyes", note="of change by expression"),
    Figure("correlation", "correlation", mask="around mouth and eyes", note="of change by expression"),
)


@dataclass(frozen=True)
class Options:
    """Options of the controls protocol."""

    weights: str = ""
    """The networks' file; empty: those installed."""


def measure(setting: Setting) -> Report:
    """Measure every control on every person.

    Raises:
        HeadcastError: another method, no people, unusable weights.
    """
    from headcast.methods.portrait4d.controls import CONTROLS, ControlSet, to_bytes
    from headcast.methods.portrait4d.motion_change import change_figures

    options: Options = setting.options or Options()
    if setting.subjects != ("portrait4d",):
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol controls: give portrait4d")
    found = ControlSet.load(str(setting.data), options.weights)
    store = Store(setting.out, {"protocol": "controls", "seed": setting.seed})
    report = Report("controls", {f.key: f for f in FIGURES}, main=tuple(f.key for f in FIGURES))
    names = setting.chosen([str(n) for n in range(len(found.people.head))])
    totals: dict[str, Float[np.ndarray, "4"]] = {}

    def rows_of(name: str) -> dict[str, Row]:
        return {
            control: {"person": r.person, "face": r.face, **dict(zip(SUMS, r.sums.tolist(), strict=True))}
            for control, r in found.measure(int(name)).items()
        }

    for n, name in enumerate(names):
        setting.say(n / len(names), f"person {name}")
        rows = store.together(CONTROLS, name, lambda name=name: rows_of(name), found.networks.hash)
        for control, row in rows.items():
            report.add(control, name, [{k: row[k] for k in ("person", "face")}])
            totals[control] = totals.get(control, np.zeros(4)) + np.array([row[k] for k in SUMS])
    for control, sums in totals.items():
        figures = change_figures(sums)
        report.sets[control] = {k: (figures[k], len(names)) for k in ("slope", "correlation")}
    for name in names[:SHOWN]:
        images = found.renderings(int(name))
        report.sheet.append([(control, to_bytes(images[control][0])) for control in CONTROLS])
    return report
