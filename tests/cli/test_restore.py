"""``headcast restore`` and ``headcast weights`` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.cli.main import main
from headcast.image import load_image, save_png


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A soft picture of nothing."""
    y, x = np.mgrid[:90, :120]
    rgb = np.stack([x * 2, y * 2, (x + y)], 2).astype(np.uint8)
    save_png(tmp_path / "soft.png", rgb)
    return tmp_path / "soft.png"


def test_restores_at_the_same_and_at_twice_the_size(photo: Path, tmp_path: Path) -> None:
    assert main(["restore", str(photo), "-o", str(tmp_path / "a.png")]) == 0
    assert main(["restore", str(photo), "-o", str(tmp_path / "b.png"), "--scale", "2"]) == 0
    assert main(["restore", str(photo), "-o", str(tmp_path / "c.png"), "--strength", "0"]) == 0
    before = load_image(photo).rgb
    assert load_image(tmp_path / "a.png").rgb.shape == before.shape
    assert load_image(tmp_path / "b.png").rgb.shape == (180, 240, 3)
    assert np.array_equal(load_image(tmp_path / "c.png").rgb, before)
    assert b"restored with headcast" in (tmp_path / "a.png").read_bytes()


def test_mistakes_are_one_line(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "none"))
    for words, said in (
        (["restore", str(photo), "--with", "gfpgan"], "headcast weights import gfpgan FILE"),
        (["restore", str(photo), "--with", "codeformer"], "codeformer"),
        (["restore", str(photo), "--strength", "2"], "from 0 to 1"),
        (["weights", "import", "gfpgan"], "give a network"),
        (["weights", "import", "gfpgan", str(photo)], "not opened"),
    ):
        out = ["-o", str(tmp_path / "x.png")] if words[0] == "restore" else []
        assert main([*words, *out]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert not (tmp_path / "x.png").exists()
    assert main(["weights"]) == 0
    assert "not imported" in capsys.readouterr().out
