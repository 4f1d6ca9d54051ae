"""What do Portrait4D's weights owe to the photo, the attention, the planes? Controls on synthetic people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.metrics.figure import Figure

if TYPE_CHECKING:
    from headcast.methods.portrait4d.controls import ControlSet

__all__ = ["Options", "measure"]

SUMS = ("both", "true", "rendered", "wrong")
"""Of products of changes, as rows keep them."""
SHOWN = 4
"""People on the sheet."""
MOVING = "around mouth and eyes"
CHANGE = "of the change by an expression; motion has the definition"
FIGURES = (
    Figure(key="person", title="person PSNR", unit="dB", mask="true head, another view than the photo's"),
    Figure(key="face", title="face PSNR", unit="dB", mask="of these, inside the box of 478 points"),
    Figure(key="slope", title="slope", better="neither", mask=MOVING, note=CHANGE),
    Figure(key="correlation", title="correlation", mask=MOVING, note=CHANGE),
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
    from headcast.methods.portrait4d.controls import CONTROLS, ControlSet

    options: Options = setting.options or Options()
    if setting.subjects != ("portrait4d",):
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol controls: give portrait4d")
    found = ControlSet.load(str(setting.data), options.weights)
    store = Store(setting.out, {"protocol": "controls", "seed": setting.seed})
    keys = tuple(f.key for f in FIGURES)
    report = Report(protocol="controls", figures={f.key: f for f in FIGURES}, main=keys)
    names = setting.chosen([str(n) for n in range(len(found.people.head))])
    for n, name in enumerate(names):
        setting.say(n / len(names), f"person {name}")
        rows = store.together(CONTROLS, name, partial(person_rows, found, int(name)), found.networks.hash)
        for control, row in rows.items():
            report.add(control, name, [row])
    for control in CONTROLS if names else ():
        report.sets[control] = summed_change([report.rows[control][name][0] for name in names])
    report.sheet += [person_tiles(found, int(name)) for name in names[:SHOWN]]
    return report


def person_rows(found: ControlSet, person: int) -> dict[str, Row]:
    """Measure every control on one person, as rows."""
    return {
        control: {"person": r.person, "face": r.face, **dict(zip(SUMS, r.sums.tolist(), strict=True))}
        for control, r in found.measure(person).items()
    }


def summed_change(rows: list[Row]) -> dict[str, tuple[float, int]]:
    """Compute slope and correlation of all people together."""
    from headcast.methods.portrait4d.expression_response import response_figures

    figures = response_figures(np.array([[row[k] for k in SUMS] for row in rows]).sum(0))
    return {k: (figures[k], len(rows)) for k in ("slope", "correlation")}


def person_tiles(found: ControlSet, person: int) -> list[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Render a line of the sheet: every control with the first expression."""
    from headcast.methods.portrait4d.controls import to_bytes

    return [(name, to_bytes(images[0])) for name, images in found.renderings(person).items()]
