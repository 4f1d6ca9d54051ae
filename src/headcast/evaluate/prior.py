"""The protocol of the priors: each brings its own measurement on held-out data.

To add one: a module ``evaluate/prior_NAME.py`` with ``measure(setting: Setting) -> Report`` and a line in
``PRIORS``. ``setting.data`` is the folder of the user (for ours: ``splits.json``, ``portraits``, ...);
``setting.networks.encoder`` is the evaluator's encoder or None; figures say what they mean by ``Figure``
and ``compare.Comparer`` measures pairs of images as everywhere else. Rows by method (``bicubic``,
``ours``) and item come back in a ``Report``; the table, JSON and sheet are written by the caller. Long work
goes item by item through ``store.Store``, which keeps rows on disk.
"""

from __future__ import annotations

from importlib import import_module

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting

__all__ = ["PRIORS", "measure"]

PRIORS: dict[str, str] = {
    "restorer": "headcast.evaluate.prior_restorer",
    "parser": "headcast.evaluate.prior_parser",
    "encoder": "headcast.evaluate.prior_encoder",
    "embedding": "headcast.evaluate.prior_embedding",
}
"""Where each prior's ``measure`` lives; imported when it is asked for."""


def measure(setting: Setting) -> Report:
    """Run the measurement of the one prior that ``setting.subjects`` names.

    Raises:
        HeadcastError: unknown or several names, or a prior without a measurement in this version.
    """
    if len(setting.subjects) != 1 or setting.subjects[0] not in PRIORS:
        known = ", ".join(PRIORS)
        raise HeadcastError(f"evaluate {','.join(setting.subjects)} --protocol prior: give one of {known}")
    name = setting.subjects[0]
    try:
        module = import_module(PRIORS[name])
    except ModuleNotFoundError as e:
        if e.name != PRIORS[name]:
            raise
        raise HeadcastError(f"evaluate {name}: this version has no measurement of that prior") from e
    return module.measure(setting)
