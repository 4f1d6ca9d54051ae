"""Clips by two versions: each is run once through its own commands, figures are laid side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.clips import FIGURES, driven_video, main, table, write_means
from benchmarks.versions.environment import Version
from benchmarks.versions.measure import CommandFailed

PROGRAM = """
import sys
from pathlib import Path
out = Path(sys.argv[sys.argv.index("-o") + 1])
if sys.argv[1] == "animate" and not Path(sys.argv[2]).is_file():
    sys.exit("no avatar")
if "bad.mp4" in " ".join(sys.argv):
    sys.exit("headcast: bad.mp4: no face found")
out.write_text(" ".join(sys.argv[1:]))
"""


@pytest.fixture
def version(tmp_path: Path) -> Version:
    package = tmp_path / "tree" / "src" / "headcast"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    return Version("old", tmp_path / "tree", Path(sys.executable))


def test_an_avatar_is_made_and_driven_once(version: Version, tmp_path: Path) -> None:
    folder = tmp_path / "d1"
    video = driven_video(version, tmp_path / "d1.mp4", tmp_path / "d1.png", folder, "mesh", 7)
    said = video.read_text()
    assert said.startswith("animate") and "--camera driver --frames 7" in said
    assert "--representation mesh" in (folder / "first.avatar").read_text()
    video.write_text("kept")
    again = driven_video(version, tmp_path / "d1.mp4", tmp_path / "d1.png", folder, "mesh", 7)
    assert again == video and video.read_text() == "kept"


def test_a_failure_leaves_no_video(version: Version, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no face found"):
        driven_video(version, tmp_path / "bad.mp4", tmp_path / "d1.png", tmp_path / "d1", "mesh", 7)
    assert not (tmp_path / "d1" / "driven.mp4").exists()


def test_means_are_over_frames_that_have_the_figure() -> None:
    assert write_means([{"a": 1.0, "b": 4.0}, {"a": 3.0}]) == {"a": 2.0, "b": 4.0}
    found = {"c1": {"old": {"aed": 1.0}, "now": {"aed": 0.5}}, "c2": {"old": {"aed": 3.0}}}
    lines = table(found).splitlines()
    at = FIGURES.index("aed") + 3
    assert lines[2].split("|")[at].strip() == "1.0000" and lines[4].startswith("| c2 | old |")
    means = {line.split("|")[2].strip(): line.split("|")[at].strip() for line in lines[5:]}
    assert means == {"old": "2.0000", "now": "0.5000"}


def test_no_clips_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["HEAD", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"clips: {tmp_path}: no such .mp4 there")
    with pytest.raises(SystemExit):
        main(["HEAD", "--data", str(tmp_path), "--out", str(tmp_path), "--frames", "2"])
