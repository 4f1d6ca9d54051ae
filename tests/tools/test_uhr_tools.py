"""Tools of skin maps: slopes made steeper by least squares, a sheet of a folder of maps."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from headcast.methods.uhr_texture.data import make_looks, write_looks
from headcast.methods.uhr_texture.weights import load_network, load_skin_networks
from headcast.weights import load_tensors


def test_slopes_are_scaled_by_what_windows_say(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import scale_uhr_slopes

    made = make_looks("train", 606, np.array([0]), 128, 256, torch.device("cpu"), 2, 1, (4, 8))
    write_looks(made, tmp_path / "train_00000.safetensors")
    before = load_network("hfdr").body.out.weight.clone()  # type: ignore[union-attr]
    out = tmp_path / "out" / "steep.safetensors"
    out.parent.mkdir()
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(tmp_path), "--out", str(out)])
    scale_uhr_slopes.main()
    with torch.no_grad():
        gain = scale_uhr_slopes.gain_of(tmp_path, load_skin_networks())  # those in memory are as they were
    assert f"slopes {gain:.2f} times" in capsys.readouterr().out
    after = load_tensors(out)[0]["body.out.weight"].float()
    assert torch.allclose(after[3:5], before[3:5] * gain, rtol=1e-2, atol=1e-4)
    assert torch.allclose(after[:3], before[:3], atol=1e-2) and torch.allclose(
        after[5:], before[5:], atol=1e-2
    )


def test_a_sheet_of_a_folder_of_maps(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import uhr_sheet

    folder = tmp_path / "maps"
    folder.mkdir()
    for name in (
        "basecolor_1k",
        "image_photo",
        "image_albedo",
        "image_micronormal",
        "image_specular",
        "image_normal",
    ):
        cv2.imwrite(str(folder / f"me_{name}.png"), np.full((32, 32, 3), 128, np.uint8))
    out = tmp_path / "sheet.jpg"
    monkeypatch.setattr(sys, "argv", ["x", str(folder), str(out), "--side", "24"])
    uhr_sheet.main()
    sheet = cv2.imread(str(out))
    assert sheet is not None and sheet.shape == (24, 120, 3)
    assert np.abs(sheet[4:20, 2:46].astype(int) - 128).max() < 4  # photo, albedo
    assert sheet[4:20, 100:116].mean() > 20  # relit
