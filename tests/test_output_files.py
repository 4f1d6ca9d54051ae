"""Output files: complete or absent, in folders made for them; leftovers of killed processes go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headcast import files, owner
from headcast.errors import HeadcastError
from headcast.files import atomic_path, cache_folder, check_writable, private_folder, remove_leftovers
from headcast.owner import home_folder, is_private

KILLED = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from headcast.files import atomic_path, private_folder\n"
    "folder = private_folder()\n"
    "(Path(folder.name) / 'masks').write_text('a face')\n"
    "with atomic_path(sys.argv[1]) as path:\n"
    "    path.write_text('half')\n"
    "    print(folder.name, flush=True)\n"
    "    os.kill(os.getpid(), 9)\n"
)


def test_missing_folders_are_made_and_not_left_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.txt"
    check_writable(path)
    assert not list(tmp_path.iterdir()), "checking makes nothing"
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole" and len(list(path.parent.iterdir())) == 1


def test_a_folder_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadcastError, match=r"cannot be written|not a folder"):
        check_writable(tmp_path / "file" / "deep" / "x.txt")


@pytest.mark.skipif(os.name != "posix", reason="processes are looked up as POSIX does")
def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out / "x.txt")], env=environment, capture_output=True, text=True
    )
    left = Path(done.stdout.strip())
    assert done.returncode == -9 and left.is_dir() and len(list(out.iterdir())) == 1
    (out / ".hidden").touch()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with private_folder() as living:
        remove_leftovers(temporary, owner.PRIVATE_PREFIX)
        assert [p.name for p in temporary.iterdir()] == [Path(living).name]
        with atomic_path(out / "y.txt") as path:
            path.write_text("whole")
    assert {p.name for p in out.iterdir()} == {"y.txt", ".hidden"}


def test_young_files_of_other_machines_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / ".x.00000000-1-12345678.txt"
    foreign.touch()
    remove_leftovers(tmp_path)
    assert foreign.exists()
    remove_leftovers.cache_clear()
    os.utime(foreign, (0, 0))
    remove_leftovers(tmp_path)
    assert not foreign.exists()


@pytest.mark.skipif(os.name != "posix", reason="owners and modes")
def test_without_a_home_a_private_folder_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("HEADCAST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = home_folder()
    assert home.parent == tmp_path and is_private(home) and home_folder() == home
    assert home in cache_folder().parents
    home.chmod(0o777)
    assert home_folder() == owner.NOWHERE, "others could write there"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert home_folder() == owner.NOWHERE and not (cache_folder() / "kernels").exists()


def test_temporary_names_say_the_process(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x.txt") as path:
        assert f"-{os.getpid()}-" in path.name and path.suffix == ".txt"
        assert not files.remove_leftovers(tmp_path)
        path.touch()
