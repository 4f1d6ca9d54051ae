"""``headcast studio``: serve the local web page and open it."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING

from headcast.cli.commands import Studio
from headcast.cli.output import print_note, print_result
from headcast.owner import home_folder
from headcast.studio.serve import is_local, serve_studio

if TYPE_CHECKING:
    from headcast.studio.serve import Server

__all__ = ["run_studio"]


def run_studio(command: Studio) -> None:
    """Run ``headcast studio`` until it is interrupted.

    Raises:
        HeadcastError: the extra is missing; the address or the project cannot be used.
    """
    project = command.project or home_folder() / "headcast-studio"

    def ready(server: Server) -> None:
        if not is_local(command.host):
            print_note(
                f"warning: {command.host} can be reached from other machines; whoever has the start address"
                " first sees your heads, and nothing is encrypted"
            )
        print_note(f"your heads are in {project}; Ctrl-C ends the studio")
        print_result(server.start_address)
        if not command.no_open and not webbrowser.open(server.start_address):
            print_note("no browser was found; open the address above in one")

    serve_studio(project, command.host, command.port, ready)
