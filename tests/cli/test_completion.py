"""Completion scripts: bash runs its own, and they offer what the parser takes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from tests.command import Run

from headcast.cli.commands import COMMANDS
from headcast.cli.completion import completion_script


def complete(*words: str) -> list[str]:
    """What bash offers after these words."""
    line = " ".join(f"'{w}'" for w in words)
    code = (
        f"{completion_script('bash')}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
        ' _headcast; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_offers_commands_flags_and_choices() -> None:
    assert set(COMMANDS) <= set(complete("headcast", ""))
    assert complete("headcast", "stu") == ["studio"]
    assert {"--yaw", "--overwrite", "--help"} <= set(complete("headcast", "render", "--"))
    assert complete("headcast", "render", "--view", "") == ["front", "source"]
    assert complete("headcast", "create", "--representation", "m") == ["mesh"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(run: Run, shell: str) -> None:
    code, out, err = run("completion", shell)
    assert code == 0 and err == "" and "studio" in out and "representation" in out
