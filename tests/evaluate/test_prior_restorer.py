"""The restorer's measurement on a folder of the demo photo: rows, what is skipped, what is kept on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.evaluate import prior_restorer
from headcast.evaluate.data import photos_in
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.prior_restorer import degrade_to_quarter
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.image import load_image, save_png

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo photo, and a file that is no picture."""
    from headcast.demo import demo_photo

    made = tmp_path_factory.mktemp("photos")
    rgb = load_image(demo_photo()).rgb
    save_png(made / "one.png", rgb[: rgb.shape[1]], {})
    (made / "broken.jpg").write_text("not a picture")
    return made


def test_the_restorer_beats_both_baselines(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(subjects=("restorer",), data=folder, out=tmp_path, networks=EvaluationNetworks(), device=CPU)
    report, (_, _, sheet) = evaluate("prior", s)
    found = {w: report.cells(w) for w in ("bicubic", "bicubic, non-local means", "restorer")}
    assert sheet is not None and list(report.skipped) == ["broken"] and report.items() == ["one"]
    others = max(c["whole_psnr"].mean for w, c in found.items() if w != "restorer")
    assert found["restorer"]["whole_psnr"].mean > others + 0.3
    assert found["restorer"]["whole_ssim"].count == 1 and found["bicubic"]["akd"].mean < 10
    monkeypatch.setattr(prior_restorer, "restore_tiled", lambda *_: pytest.fail("measured again"))
    again, _ = evaluate("prior", s)
    assert again.rows == report.rows


def test_poor_is_a_quarter_and_a_function_of_the_seed() -> None:
    rgb = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8), (64, 64))
    a, b, other = degrade_to_quarter(rgb, 1), degrade_to_quarter(rgb, 1), degrade_to_quarter(rgb, 2)
    assert a.shape == (16, 16, 3) and (a == b).all() and (a != other).any()
    flat = degrade_to_quarter(np.full((256, 256, 3), 128, np.uint8), 0).astype(float)
    assert abs(flat.mean() - 128) < 1 and 2 < flat.std() < 7  # noise of 6 levels, less what JPEG takes


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="no images"):
        photos_in(tmp_path)
