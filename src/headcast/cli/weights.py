"""``headcast weights``: published networks, and the user's copies of their weights."""

from __future__ import annotations

import json

from headcast.cli.commands import Weights
from headcast.cli.output import print_result
from headcast.errors import HeadcastError

__all__ = ["run_weights"]


def run_weights(command: Weights) -> None:
    """List published networks, or import a checkpoint.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.weights.importers import importers
    from headcast.weights.store import data_folder, imported

    if command.do == "import":
        if command.network is None or command.file is None:
            raise HeadcastError(
                f"weights import: give a network ({', '.join(importers())}) and its checkpoint's file"
            )
        from headcast.pickles.importing import import_weights

        print_result(str(import_weights(command.network, command.file)))
        return
    if command.network is not None:
        raise HeadcastError(f"weights list {command.network}: takes no more arguments; see --help")
    imported_weights = imported()
    if command.json:
        facts = {"folder": str(data_folder()), "imported": imported_weights, "known": list(importers())}
        print_result(json.dumps(facts, indent=1))
        return
    lines = [f"folder: {data_folder()}"]
    for name, network in importers().items():
        state = (
            f"imported, {imported_weights[name].get('licence', 'licence unknown')}"
            if name in imported_weights
            else "not imported"
        )
        lines.append(f"{name:<14} {state:<36} {network.files:<34} {network.what}")
    print_result("\n".join(lines))
