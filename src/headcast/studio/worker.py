"""A worker process of the studio: it does one job, within limits, and ends with whoever started it.

It reads the job as one line of JSON and writes its reports as lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.parsing import short_reason
from headcast.studio.bounds import WORKER_BYTES, WORKER_FILE_BYTES
from headcast.studio.reporter import Reporter

__all__ = ["run_worker"]


def limit_process() -> None:
    """Bound this process's memory and files, so that a hostile file takes it down and nothing else."""
    os.umask(0o077)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (WORKER_FILE_BYTES, WORKER_FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_DATA, (WORKER_BYTES, WORKER_BYTES))


def watch_supervisor(descriptor: int) -> None:
    """Wait until the supervisor closes its end of the pipe, however it ended; end."""
    with suppress(OSError):
        os.read(descriptor, 1)
    os._exit(1)


def run_worker() -> int:
    """Run as the worker process; return the exit code."""
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not a report
    limit_process()
    from headcast.studio.tasks import TASKS, describe_methods

    reporter = Reporter(reports)
    reporter.send(ready=True, methods=describe_methods())
    line = read_line()
    if not line:
        return 0
    threading.Thread(target=watch_supervisor, args=(0,), daemon=True).start()
    job = json.loads(line)
    try:
        result = TASKS[job["kind"]](job["spec"], Path(job["folder"]), reporter)
    except HeadcastError as e:
        reporter.send(error=plain_words(str(e), job["spec"]))
    except MemoryError:
        reporter.send(error="this needs more memory than a job may use; take a smaller photo")
    except Exception as e:  # a bug in a job must reach the page as one line, and its traceback the terminal
        traceback.print_exc()
        reporter.send(error=f"an error inside headcast: {type(e).__name__}: {short_reason(e)}", bug=True)
    else:
        reporter.send(result=result)
    return 0


def read_line() -> bytes:
    """Read one line from descriptor 0, unbuffered."""
    data = b""
    while not data.endswith(b"\n"):
        more = os.read(0, 1 << 16)
        if not more:
            return b""
        data += more
    return data


def plain_words(message: str, spec: Mapping[str, Any]) -> str:
    """Take the places of files, which mean nothing to the page's reader, out of a message."""
    for path in (*spec.get("photos", ()), spec.get("avatar", "")):
        if path:
            message = message.replace(f"{path}: ", "").replace(str(path), "the file")
    return message[:400]


if __name__ == "__main__":
    code = run_worker()
    sys.stderr.flush()
    os._exit(code)
