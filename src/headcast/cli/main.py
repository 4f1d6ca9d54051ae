"""Entry point: parse the arguments, run a command, print one line for errors of the user."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import logging
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union

from headcast.cli.commands import COMMANDS, Create
from headcast.cli.output import checked_stdout, print_error, print_note, print_result
from headcast.cli.signals import Interrupted, install_handlers
from headcast.cli.streams import LogLines, secure_streams
from headcast.cli.style import EVERYWHERE, style, take_style
from headcast.errors import HeadcastError
from headcast.files import remove_leftovers
from headcast.limits import check_fields
from headcast.owner import PRIVATE_PREFIX
from headcast.registry import load_entry

__all__ = ["entry", "main"]

INTERRUPTED = 130
USER_ERROR = 2
NO_NUMBER = (
    (r"invalid literal for int\(\) with base 10", r"\1 \2: give a whole number"),
    ("could not convert string to float", r"\1 \2: give a number"),
)
"""The parser's reasons, and what is said instead."""
DESCRIPTION = "\n".join(
    [
        "A portrait, a few frames or a video in; an animatable 3D head out.",
        "",
        "Every command takes:",
        *(f"  {name}: {text}" for name, text in EVERYWHERE.items()),
    ]
)


def entry() -> NoReturn:
    """Run as a process of its own; exit without the half second that tearing down torch takes."""
    try:
        install_handlers()
        secure_streams()
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one order of sums for any number of threads
        logging.getLogger("headcast").addHandler(LogLines())
        code = main()
        atexit._run_exitfuncs()
    except KeyboardInterrupt as e:  # before the work began or after its end, or a second signal
        code = signal_code(e)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except (OSError, ValueError) as e:
        print_note(f"standard output: cannot be written ({e}); send it to another place")
        code = code or USER_ERROR
    sys.stderr.flush()
    os._exit(code)


def signal_code(e: KeyboardInterrupt) -> int:
    """Return the exit code after a signal: 128 and its number."""
    return 128 + e.number if isinstance(e, Interrupted) else INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done; 2: an error that the user can mend; 130: Ctrl-C, 143: SIGTERM.
    """
    try:
        command = parse(take_style(sys.argv[1:] if arguments is None else arguments))
        if command is None:
            return 0
        check_fields(command)
        with observe_ahead(command):
            run(command)
    except HeadcastError as e:
        if style.verbose:
            traceback.print_exc()
        print_error(str(e))
        return USER_ERROR
    except KeyboardInterrupt as e:
        print_error("interrupted; nothing was left half-written")
        return signal_code(e)
    except BrokenPipeError:
        return 0
    return 0


def run(command: Any) -> None:
    """Run a command; the libraries it needs load a tenth of a second sooner without garbage collection."""
    entry = next(e for e in COMMANDS.values() if isinstance(command, e.flags))
    with contextlib.suppress(OSError):  # nowhere to put temporary files
        remove_leftovers(Path(tempfile.gettempdir()), PRIVATE_PREFIX)
    gc.disable()
    try:
        action = load_entry(entry.run)
    finally:
        if not gc.get_freeze_count():
            gc.freeze()  # what is loaded by now stays: no collection looks at it
        gc.enable()
    action(command)


@contextlib.contextmanager
def observe_ahead(command: Any) -> Iterator[None]:
    """While open, let a helper process observe the photos of ``create`` in advance."""
    if not isinstance(command, Create):
        yield
        return
    from headcast.observe import ahead

    ahead.begin(command.sources, command.face)
    try:
        yield
    finally:
        ahead.end()


def parse(arguments: list[str]) -> Any:
    """Return the command with its options; None when only help or the version was asked for."""
    from tyro.conf import subcommand

    from headcast import __version__

    if arguments in (["--version"], ["-V"]):
        print_result(f"headcast {__version__}")
        return None
    entry = COMMANDS.get(arguments[0]) if arguments else None
    form = None if entry is None or entry.form is None else load_entry(entry.form)(arguments[1:])
    if form is not None:
        values = parse_form(form.form, form.program, None, form.arguments)
        return None if values is None else form.build(values)
    union = Union[tuple(Annotated[e.flags, subcommand(name)] for name, e in COMMANDS.items())]  # type: ignore[valid-type]  # noqa: UP007
    return parse_form(union, "headcast", DESCRIPTION, arguments or ["--help"])


def parse_form(form: Any, program: str, description: str | None, arguments: list[str]) -> Any:
    """Parse arguments into an instance of a dataclass; None when only help was asked for.

    Raises:
        HeadcastError: the arguments are invalid.
    """
    import tyro
    from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes

    errors = io.StringIO()
    try:
        with checked_stdout(), contextlib.redirect_stderr(errors):
            return tyro.cli(
                form,
                prog=program,
                description=description,
                args=arguments,
                config=(OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff),
            )
    except SystemExit as e:
        if e.code in (0, None):
            return None
        raise HeadcastError(one_line(errors.getvalue())) from None


def one_line(errors: str) -> str:
    """Turn the parser's boxed error message into one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", errors)
    lines = [re.sub(r"[╭╮╰╯│─┌┐└┘]+", " ", line).strip() for line in text.splitlines()]
    words = [line for line in lines if line and not re.fullmatch(r"[-=]+|Parsing error|.*options", line)]
    message = " ".join(" ".join(words).split())
    message = message.replace("Invalid choice invalid choice", "Invalid choice")
    for reason, kind in NO_NUMBER:
        message = re.sub(rf"Value error Error parsing (--[\w-]+): .*?{reason}: '([^']*)'", kind, message)
    message = re.sub(
        r"Expected one of \(([^()]*)\)\.?", lambda match: f"Give {format_choices(match[1])}", message
    )
    message = re.sub(r"(Argument helptext|For full helptext).*?(?=, (?:run|see)|$)", "", message)
    message = re.sub(r"\s*,? ?(?:run:?|see) headcast", "; see headcast", message)
    return message or "invalid arguments; see headcast --help"


def format_choices(words: str) -> str:
    """Format ``'b', 'None', 'a'`` as "a or b": sorted, without None (no choice made)."""
    names = sorted(set(re.findall(r"'([^']*)'", words)) - {"None"})
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else "".join(names)
