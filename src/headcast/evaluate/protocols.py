"""The protocols by name, and a run from setting to files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from headcast import registry
from headcast.errors import HeadcastError
from headcast.evaluate.report import Report
from headcast.evaluate.report_files import ReportFiles, write_report
from headcast.evaluate.setting import Setting, option_facts

__all__ = ["PROTOCOLS", "check_places", "evaluate", "needs_data", "options_of", "protocols"]

PROTOCOLS: dict[str, str] = {
    "self-reenactment": "headcast.evaluate.self_reenactment",
    "cross-reenactment": "headcast.evaluate.cross_reenactment",
    "novel-view": "headcast.evaluate.novel_view",
    "texture": "headcast.evaluate.texture",
    "prior": "headcast.evaluate.prior",
    "portraits": "headcast.evaluate.portraits",
    "synthetic": "headcast.evaluate.synthetic",
    "cost": "headcast.evaluate.cost",
    "multiview": "headcast.evaluate.multiview",
    "smile": "headcast.evaluate.smile",
}
"""Where each protocol's ``measure`` and, perhaps, ``Options`` live; imported when they are asked for. Methods
declare protocols that measure them alone (see ``protocols``)."""
WITHOUT_DATA = ("synthetic",)
"""Protocols that make what they measure on."""


def protocols() -> dict[str, str]:
    """Return the module of every protocol by name."""
    return {**PROTOCOLS, **registry.collect("protocols")}


def needs_data(protocol: str) -> bool:
    """Tell whether a protocol measures on files of the user."""
    return protocol not in WITHOUT_DATA


def options_of(protocol: str) -> type | None:
    """Return the dataclass of a protocol's own options; None where it has none or is unknown."""
    place = protocols().get(protocol)
    return None if place is None else getattr(import_module(place), "Options", None)


def check_places(data: Path, out: Path) -> None:
    """Refuse, before anything is loaded, data that is not there and results that would replace a file.

    Raises:
        HeadcastError: either of these.
    """
    if not data.exists():
        raise HeadcastError(f"{data}: no such folder; check the name")
    if out.exists() and not out.is_dir():
        raise HeadcastError(f"{out}: is a file; name a folder for the results")


def evaluate(protocol: str, setting: Setting) -> tuple[Report, ReportFiles]:
    """Run a protocol and write ``evaluation.json``, ``.md`` and ``.png`` into ``setting.out``.

    Raises:
        HeadcastError: unknown protocol, nothing to measure, unreadable data or subjects.
    """
    places = protocols()
    if protocol not in places:
        raise HeadcastError(f"--protocol {protocol}: give one of {', '.join(places)}")
    check_places(setting.data, setting.out)
    own = {} if setting.options is None else {"options": option_facts(setting.options)}
    report = import_module(places[protocol]).measure(setting)
    if not report.rows and not report.sets:
        why = next(iter(report.skipped.items()), ("nothing was found", "check the folder"))
        raise HeadcastError(f"{setting.data}: nothing could be measured ({why[0]}: {why[1]})")
    report.settings = {
        **report.settings,
        **setting.facts(),
        "subjects": list(setting.subjects),
        "protocol": protocol,
        **own,
        "missing": list(setting.networks.missing),
    }
    setting.say(1.0, "writing")
    return report, write_report(report, setting.out)
