"""The cache of compiled kernels is optional: damaged, foreign or unwritable, kernels still run."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headcast.render import kernel_cache
from headcast.render.jit import Kernel

SOURCE = "def twice(x):\n    return 2 * x\n"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Compiles the kernel ``twice`` as a new process would; its cache is ``tmp_path/cache/kernels``."""
    monkeypatch.setenv("HEADCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_unwritable", set())
    kernel_cache._say_once.cache_clear()
    source = tmp_path / "doubling.py"
    source.write_text(SOURCE)

    def compile_again() -> Any:
        kernel_cache.sources_digest.cache_clear()
        spec = importlib.util.spec_from_file_location("doubling", source)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return Kernel(module.twice, "int64(int64)").compiled()

    return compile_again


def hits(dispatcher: Any) -> int:
    """Return how often the code came from the disk."""
    assert dispatcher(21) == 42
    return sum(dispatcher.stats.cache_hits.values())


def only_file(folder: Path) -> Path:
    (path,) = (folder / "cache" / "kernels").iterdir()
    return path


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "noise": lambda data: bytes(range(256)) * (len(data) // 256 + 1),
    "one bit": lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_compiled_and_written_again(
    damage: str, compiled: Callable[[], Any], tmp_path: Path
) -> None:
    assert hits(compiled()) == 0 and hits(compiled()) == 1
    path = only_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert hits(compiled()) == 0
    assert hits(compiled()) == 1 and len(only_file(tmp_path).read_bytes()) == len(whole)


@pytest.mark.parametrize("changed", ["doubling.py", "helper.py"])
def test_changed_sources_are_compiled_again(
    changed: str, compiled: Callable[[], Any], tmp_path: Path
) -> None:
    assert hits(compiled()) == 0
    (tmp_path / changed).write_text(SOURCE + "# changed\n")
    assert hits(compiled()) == 0 and hits(compiled()) == 1
    only_file(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_what_others_could_have_written_is_not_run(
    compiled: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert hits(compiled()) == 0
    path = only_file(tmp_path)
    path.chmod(0o666)
    assert hits(compiled()) == 0, "a file that others may write"
    path.parent.chmod(0o777)
    assert hits(compiled()) == 0, "a folder that others may write"
    assert len(caplog.records) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners")
def test_another_users_folder_is_not_used(
    compiled: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert hits(compiled()) == 0
    if only_file(tmp_path).stat().st_uid == 0:
        pytest.skip("files of root are trusted")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert hits(compiled()) == 0


def test_an_unwritable_place_is_said_once(
    compiled: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert hits(compiled()) == 0 and hits(compiled()) == 0
    assert [r.message for r in caplog.records if "HEADCAST_CACHE" in r.message] == [
        r.message for r in caplog.records
    ]
    assert len(caplog.records) == 1


def test_a_full_disk_leaves_nothing(
    compiled: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert hits(compiled()) == 0
    assert not list((tmp_path / "cache" / "kernels").iterdir())
