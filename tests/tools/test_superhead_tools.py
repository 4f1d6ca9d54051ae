"""The tool that makes SuperHead's training pairs: whose photos it takes, and what it writes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from headcast.methods.superhead.pairs import load_pairs
from headcast.methods.superhead.uv_maps import SIDE


def write_sets(folder: Path, photo: Path) -> None:
    """The demo photo as a set of one trained and one held-out person; other sets are empty."""
    header = {
        "london": "file,person,split,expression,face_h",
        "canada": "file,person,split,face_h",
        "us_gov": "id,person,face_h,black_and_white,split",
        "portraits": "id,width,face_y0,face_y1,bioguide,same_photo_as_public_domain",
    }
    for name, line in header.items():
        (folder / name).mkdir(parents=True)
        rows = ["a.jpg,A,train,neutral,300", "b.jpg,B,validation,neutral,300", "c.jpg,C,train,smile,90"]
        rows = rows if name == "london" else []
        (folder / name / f"{name}.csv").write_text("\n".join([line, *rows]) + "\n")
    shutil.copy(photo, folder / "london" / "a.jpg")
    (folder / "splits.json").write_text(json.dumps({"train": [], "validation": []}))


def test_pairs_of_the_training_split(
    root: Path,
    demo_photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import build_superhead_pairs

    write_sets(tmp_path / "data", demo_photo)
    out = tmp_path / "pairs"
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(tmp_path / "data"), "--out", str(out)])
    build_superhead_pairs.main()
    assert [f.name for f in out.iterdir()] == ["A_a.safetensors"], "nobody held out, no small face"
    (pair,) = load_pairs(out)
    assert pair.photo.dtype.is_floating_point is False and max(pair.photo.shape[:2]) <= 511
    share = float((pair.weight > 128).float().mean())
    assert pair.weight.shape == (SIDE, SIDE) and 0.1 < share < 0.5
    before = (out / "A_a.safetensors").stat().st_mtime_ns
    build_superhead_pairs.main()
    assert (out / "A_a.safetensors").stat().st_mtime_ns == before, "what is there is kept"
    assert "1 of 1 photos" in capsys.readouterr().out
