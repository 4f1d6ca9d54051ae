"""Synthetic heads against their truth: an avatar is laid over the head, figures are paired by head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.evaluate import gaussian_truth
from headcast.evaluate.gaussian_truth import Truth, laid_over, table
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.rotation import axis_angle_to_matrix


def test_an_avatar_is_laid_over_the_true_head() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.1, 0.0, -1.3]))
    source = SourceView(Camera.make(300, 64, 64), params, ambient())
    avatar = MeshAvatar(bound(head, source), np.zeros((8, 8, 3), np.uint8))
    R, s, t = axis_angle_to_matrix(torch.tensor([0.2, -0.5, 0.1])), 0.87, torch.tensor([0.02, -0.04, 0.1])
    own = head(params)
    true = s * own @ R.T + t
    camera = Camera.orbit(true.mean(0), 1.1, 150, 10)
    seen = laid_over(avatar, head.landmarks(true, 68), camera)
    assert torch.allclose(seen.project(own), camera.project(true), atol=0.05)
    assert torch.allclose(seen.cam_from_world[:3, :3].det(), torch.tensor(1.0), atol=1e-4)


def test_the_gain_is_paired_by_head() -> None:
    def head(one: float, five: float) -> list[dict[str, float]]:
        return [
            {"photos": n, "yaw": yaw, "psnr": x + (abs(yaw) > 90), "ssim": 0.9, "iou": 0.95}
            for n, x in ((1, one), (5, five)) for yaw in (30.0, -30.0, 180.0)
        ]  # fmt: skip

    text = "\n".join(table([head(20, 23), head(22, 22.5), head(18, 21)]))
    assert "n = 3" in text
    assert "| ±30° | psnr | 20.0 | 22.5 | 3 | five ≥ one + 2 |" in text
    assert "| 180° | psnr | 21.0 | 23.5 | 3 |" in text and "| 180° | ssim | 0.9 | 0.9 | 0 |" in text


def test_a_head_with_a_face_that_is_not_found_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def truth_of(number: int, *_: int) -> Truth | None:
        nothing = np.zeros((1, 2, 2, 4), np.uint8)
        points = torch.full((68, 3), float(number))
        return None if number == 2 else Truth(nothing[..., :3], nothing, nothing[..., 0] > 0, [], points)

    def measure(truth: Truth, _: Path) -> list[dict[str, float]]:
        if truth.points[0, 0] == 3:
            raise HeadcastError("photo3.png: no face found")
        rows = [(n, yaw) for n in (1, 5) for yaw in (30.0, -30.0, 180.0)]
        return [{"photos": n, "yaw": yaw, "psnr": 20.0 + n, "ssim": 0.9, "iou": 0.9} for n, yaw in rows]

    monkeypatch.setattr(gaussian_truth, "truth_of", truth_of)
    monkeypatch.setattr(gaussian_truth, "measure", measure)
    gaussian_truth.main(["-o", str(tmp_path), "--people", "2"])
    assert "(n = 2)" in (tmp_path / "gaussian_truth.md").read_text()
    gaussian_truth.main(["-o", str(tmp_path), "--numbers", "1", "2", "3", "4"])
    text = (tmp_path / "gaussian_truth.md").read_text()
    assert "(n = 2)" in text and "Left out, no face found in a photo: heads 3." in text
