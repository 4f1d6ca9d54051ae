"""Machines that are not a developer's: no home, nothing writable, closed or full streams, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest
from tests.command import Run

from headcast.cli import signals
from headcast.cli.output import escape_controls
from headcast.cli.progress import Bar

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals, owners and descriptors")


def headcast(
    *arguments: object,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "headcast", *map(str, arguments)],
        env={**os.environ, **more},
        stdout=stdout,
        stderr=stderr,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
    )


@needs_full
def test_a_full_standard_output_is_one_line() -> None:
    with FULL.open("w") as full:
        for arguments in (["--version"], ["render", "--help"]):
            done = headcast(*arguments, stdout=full)
            assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
            assert "standard output" in done.stderr


@needs_full
def test_a_full_standard_error_changes_no_exit_code() -> None:
    with FULL.open("w") as full:
        assert headcast("absent", stderr=full).returncode == 2
        assert headcast("--version", stderr=full).stdout.startswith("headcast ")


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str) -> None:
    command = f'"{sys.executable}" -m headcast --version {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


@posix
def test_a_reader_that_leaves_is_no_error() -> None:
    work = subprocess.Popen(
        [sys.executable, "-m", "headcast", "create", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert work.stdout is not None and work.stderr is not None
    work.stdout.close()
    assert work.stderr.read() == b"" and work.wait() == 0
    work.stderr.close()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_small_alphabet_escapes_what_it_lacks(encoding: str) -> None:
    done = headcast("\u65e5", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 2 and "\\u65e5" in done.stderr and done.stderr.count("\n") == 1
    assert headcast("render", "--help", PYTHONIOENCODING=encoding).returncode == 0
    code = (
        "from headcast.cli.output import print_result; from headcast.cli.streams import secure_streams\n"
        "secure_streams(); print_result(chr(0x65e5))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert shown.stdout.strip() == b"\\u65e5"


def test_control_characters_are_escaped(run: Run) -> None:
    code, _, err = run("info", "a\x1b[31m\x07\x9b\u202eb.avatar")
    assert code == 2 and "a\\x1b[31m\\x07\\x9b\\u202eb.avatar" in err and "\x1b" not in err
    assert escape_controls("plain \u00e9 \u65e5") == "plain \u00e9 \u65e5"


def test_metadata_is_escaped(run: Run, avatar_file: Path, tmp_path: Path) -> None:
    consent = "yes\x1b]0;title\x07\nmethod   trusted"
    path = tmp_path / "me.avatar"
    with zipfile.ZipFile(avatar_file) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "avatar.json":
                data = json.dumps({**json.loads(data), "consent": consent}).encode()
            new.writestr(info, data)
    code, out, _ = run("info", path)
    assert code == 0 and "yes\\x1b]0;title\\x07\\nmethod   trusted" in out and "\x1b" not in out
    assert json.loads(run("info", path, "--json")[1])["consent"] == consent


@posix
def test_no_home_and_nothing_writable(avatar_file: Path, tmp_path: Path) -> None:
    """No home folder, and a cache folder that cannot exist: everything works, one line is said."""
    (tmp_path / "file").touch()
    nowhere = {"HOME": str(tmp_path / "file" / "home"), "HEADCAST_CACHE": str(tmp_path / "file" / "cache")}
    assert headcast("info", avatar_file, **nowhere).returncode == 0
    done = headcast(
        "render", avatar_file, "--size", "64", "-o", tmp_path / "new" / "deep" / "a.png", **nowhere
    )
    assert done.returncode == 0 and (tmp_path / "new" / "deep" / "a.png").is_file()
    assert done.stderr.count("\n") == 1 and "HEADCAST_CACHE" in done.stderr


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_with_one_line(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "x.avatar"
    code = (
        "import sys, time\n"
        "from headcast.cli import main\n"
        "from headcast.files import atomic_path\n"
        "def work(command):\n"
        "    with atomic_path(command.avatar) as path:\n"
        "        path.write_text('half')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "main.run = work\n"
        "sys.argv = ['headcast', 'info', sys.argv[1]]\n"
        "main.entry()\n"
    )
    work = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert work.stdout is not None and work.stdout.readline() == "ready\n"
    work.send_signal(number)
    _, err = work.communicate(timeout=60)
    assert work.returncode == 128 + number and err.count("\n") == 1 and "interrupted" in err
    assert not list(tmp_path.iterdir())


def test_a_swallowed_signal_comes_back_with_the_next_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_came", [])
    with Bar() as bar:
        bar(0.1, "first")
        with pytest.raises(KeyboardInterrupt):
            signals._interrupt(signal.SIGTERM, None)
        with pytest.raises(signals.Interrupted):
            bar(0.2, "second")


@posix
def test_the_helper_dies_with_its_parent(tmp_path: Path, demo_photo: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from headcast.observe import ahead\n"
        "helper = ahead.Helper([Path(sys.argv[1])] * 50, None)\n"
        "print(helper.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(demo_photo)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    helper = int(parent.stdout.readline())
    time.sleep(1)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while is_running(helper) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(helper)
    assert not list(tmp_path.glob("headcast-*")), "its landmarks and masks are gone"


def is_running(process: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@posix
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="a single processor")
def test_the_number_of_threads_changes_nothing(tmp_path: Path, demo_photo: Path) -> None:
    reports = []
    for n in ("1", "2"):
        folder = tmp_path / n
        assert headcast("observe", demo_photo, "-o", folder, "--debug", OMP_NUM_THREADS=n).returncode == 0
        reports.append([(p.name, p.read_bytes()) for p in sorted(folder.iterdir()) if p.name != "run.json"])
    assert reports[0] == reports[1]
