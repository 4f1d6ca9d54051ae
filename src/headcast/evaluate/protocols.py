"""The protocols by name, and a run from setting to files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.written import write_report

__all__ = ["PROTOCOLS", "check_places", "evaluate"]

PROTOCOLS: dict[str, str] = {
    "self-reenactment": "headcast.evaluate.self_reenactment",
    "cross-reenactment": "headcast.evaluate.cross_reenactment",
    "novel-view": "headcast.evaluate.novel_view",
    "texture": "headcast.evaluate.texture",
    "prior": "headcast.evaluate.prior",
    "multiview": "headcast.evaluate.multiview",
    "smile": "headcast.evaluate.smile",
}
"""Where each protocol's ``measure`` lives; imported when it is asked for."""


def check_places(data: Path, out: Path) -> None:
    """Refuses, before anything is loaded, data that is not there and results that would replace a file.

    Raises:
        HeadcastError: either of these.
    """
    if not data.exists():
        raise HeadcastError(f"{data}: no such folder; check the name")
    if out.exists() and not out.is_dir():
        raise HeadcastError(f"{out}: is a file; name a folder for the results")


def evaluate(protocol: str, setting: Setting) -> tuple[Report, tuple[Path, Path, Path | None]]:
    """Runs a protocol and writes ``evaluation.json``, ``.md`` and ``.png`` into ``setting.out``.

    Raises:
        HeadcastError: unknown protocol, nothing to measure, unreadable data or subjects.
    """
    if protocol not in PROTOCOLS:
        raise HeadcastError(f"--protocol {protocol}: give one of {', '.join(PROTOCOLS)}")
    check_places(setting.data, setting.out)
    report = import_module(PROTOCOLS[protocol]).measure(setting)
    if not report.rows and not report.sets:
        why = next(iter(report.skipped.items()), ("nothing was found", "check the folder"))
        raise HeadcastError(f"{setting.data}: nothing could be measured ({why[0]}: {why[1]})")
    report.settings = {
        **report.settings, **setting.facts(), "subjects": list(setting.subjects), "protocol": protocol,
        "missing": list(setting.networks.missing),
    }  # fmt: skip
    setting.say(1.0, "writing")
    return report, write_report(report, setting.out)
