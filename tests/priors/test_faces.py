"""Aligned face squares, and published networks' checkpoints as the user brings them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.pickles import importing
from headcast.priors.faces import SIDE, TEMPLATE, align, cut_face, put_back
from headcast.priors.gfpgan import GFPGAN, convert
from headcast.priors.restorer.foreign import convert_codeformer, convert_realesrgan, find_state_dict
from headcast.weights.importers import IMPORTERS, Importer
from headcast.weights.store import imported, load_imported


def test_alignment_finds_the_similarity() -> None:
    turn, scale, shift = 0.3, 0.6, np.array([40.0, -25.0])
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    A = np.array([[c, -s], [s, c]])
    points = (TEMPLATE - shift) @ np.linalg.inv(A).T + 0.5  # template = A points + shift
    found = align(points)
    assert np.allclose(found[:, :2], A) and np.allclose(found[:, 2], shift)


def test_a_face_put_back_unchanged_changes_little() -> None:
    y, x = np.mgrid[:400, :400]
    rgb = np.stack([127 + 90 * np.sin(x / 17), 127 + 90 * np.cos(y / 23), (x + y) / 4], 2).astype(np.uint8)
    affine = align(TEMPLATE * 0.5 + 90 + 0.5)
    square = cut_face(rgb, affine)
    assert square.shape == (SIDE, SIDE, 3)
    back = put_back(rgb, square, affine)
    assert np.abs(back.astype(int) - rgb).max() <= 4
    other = put_back(rgb, np.full_like(square, 255), affine)
    assert (other[220, 220] == 255).all() and (other[:60] == rgb[:60]).all()


def test_gfpgan_checkpoints_are_recognized() -> None:
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in GFPGAN().state_dict().items()}
    state = {k: torch.zeros(1).expand(s) for k, s in shapes.items() if "noises" in k or "toRGB" in k}
    with pytest.raises(HeadcastError, match="is no GFPGANv1Clean checkpoint"):
        convert({"params_ema": state})
    with pytest.raises(HeadcastError, match="is no GFPGANv1Clean checkpoint"):
        convert([1, 2])


def test_other_checkpoints_are_recognized() -> None:
    state = {"conv_first.weight": torch.ones(2), "step": 3}
    tensors, card = convert_realesrgan({"params_ema": state})
    assert list(tensors) == ["conv_first.weight"] and card["licence"] == "BSD-3-Clause"
    with pytest.raises(HeadcastError, match="no checkpoint of codeformer"):
        convert_codeformer({"params_ema": state})
    with pytest.raises(HeadcastError, match="holds no network"):
        find_state_dict({"a": 1})


def test_import_keeps_converted_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "here"))
    with pytest.raises(HeadcastError, match=r"headcast weights import realesrgan FILE"):
        load_imported("realesrgan")
    torch.save({"params_ema": {"conv_first.weight": torch.arange(4.0)}}, tmp_path / "net.pth")
    path = importing.import_weights("realesrgan", tmp_path / "net.pth")
    assert path.parent == tmp_path / "here"
    tensors, card = load_imported("realesrgan")
    assert torch.equal(tensors["conv_first.weight"], torch.arange(4.0))
    assert card["imported_from"] == "net.pth" and len(card["sha256"]) == 64 and "realesrgan" in imported()
    with pytest.raises(HeadcastError, match=r"net\.pth: is no checkpoint of codeformer"):
        importing.import_weights("codeformer", tmp_path / "net.pth")
    with pytest.raises(HeadcastError, match="unknown network"):
        importing.import_weights("nothing", tmp_path / "net.pth")
    assert all(isinstance(i, Importer) and ":" in i.convert for i in IMPORTERS.values())
