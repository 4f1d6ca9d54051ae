"""The options of every command, read from the parser: for the reference and for completion."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from headcast.cli.commands import COMMANDS
from headcast.cli.style import EVERYWHERE
from headcast.registry import DEFAULT_METHOD, load_entry

__all__ = ["Flag", "flags_of", "write_reference"]

EXAMPLE = {"train": ["toy"], "evaluate": [DEFAULT_METHOD, "--protocol", "synthetic"]}
"""Arguments without which a command has no options to show."""
HEAD = """# Command line

Written from the parser by `python tools/write_cli_reference.py`; change the help texts there.

    headcast COMMAND [options]
    headcast COMMAND --help

A mistake is one line and exit code 2; Ctrl-C is 130. Results go to standard output, everything
else to standard error. Shell completion: `headcast completion bash`, `zsh` or `fish` prints a
script; `source <(headcast completion bash)` tries it.

"""


@dataclass(frozen=True)
class Flag:
    """An option or argument.

    Attributes:
        names: as typed; empty for an argument that is given by its place.
        value: what follows, ``PATH`` for example; empty for a switch.
        choices: what it may be; empty: anything. text: its help, without the default. default: as text.
    """

    names: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    text: str
    default: str


def flags_of(command: str) -> list[Flag]:
    """Return the options of a command, those of its default method included, in the order of its help."""
    entry = COMMANDS[command]
    form: Any = None
    if entry.form is not None:
        form = load_entry(entry.form)(EXAMPLE.get(command, []))
    return [
        read_action(a)
        for a in parser_of(entry.flags if form is None else form.form)._actions
        if a.dest != "help"
    ]


def parser_of(form: Any) -> Any:
    """Return the argparse parser of a form."""
    import tyro
    from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return tyro.extras.get_parser(
            form, prog="headcast", config=(OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff)
        )


def read_action(action: Any) -> Flag:
    """Read one action of an argparse parser."""
    found = re.fullmatch(r"(.*?)\s*(?:\((?:default: (.*)|required.*)\))?", action.help or "", re.DOTALL)
    text, default = (found[1], found[2] or "") if found else (action.help or "", "")
    value = "" if action.nargs == 0 else str(action.metavar or "")
    value = re.sub(r"\[|\]|\.\.\.", " ", value).split()[0] if value and not value.startswith("{") else ""
    return Flag(
        names=tuple(action.option_strings),
        value=value,
        choices=tuple(sorted({str(c) for c in action.choices or ()} - {"None"})),
        text=" ".join(text.split()),
        default="" if default in ("None", "False", "") else default,
    )


def write_reference() -> str:
    """Return the text of docs/cli.md."""
    parts = [HEAD, "Every command takes\n\n", *(f"- `{k}`: {v}\n" for k, v in EVERYWHERE.items())]
    for name, entry in COMMANDS.items():
        parts += [f"\n## {name}\n\n", " ".join((entry.flags.__doc__ or "").split()), "\n\n"]
        flags = flags_of(name)
        if flags:
            parts += ["| option | what it does | default |\n|---|---|---|\n", *(row(f) for f in flags)]
    return wrap("".join(parts))


def row(flag: Flag) -> str:
    """Return a flag as a line of a table."""
    value = "\\|".join(flag.choices) or flag.value
    names = ", ".join(f"`{n}`" for n in flag.names)
    shown = f"{names} {value}".strip() if flag.names else value or "argument"
    default = f"`{flag.default}`" if flag.default else ""
    return f"| {shown} | {flag.text.replace('|', chr(92) + '|')} | {default} |\n"


def wrap(text: str) -> str:
    """Break long lines of prose."""
    import textwrap

    lines = []
    for line in text.split("\n"):
        long = len(line) > 100 and not line.startswith(("|", "    "))
        indent = "  " if line.startswith("- ") else ""
        lines += (
            textwrap.wrap(line, 100, subsequent_indent=indent, break_on_hyphens=False) if long else [line]
        )
    return "\n".join(lines)
