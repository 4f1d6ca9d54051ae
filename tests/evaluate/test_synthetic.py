"""Synthetic heads against their truth: means of both sides, gains paired by head, what fails is left out."""

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
from headcast.evaluate import synthetic
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.novel_view import aligned_camera
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.subjects import Subject
from headcast.evaluate.synthetic import Options, add_head_rows, average_by_angle, name_columns
from headcast.evaluate.synthetic_heads import has_hair, render_head
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.rotation import axis_angle_to_matrix

VIEWS = (15.0, -15.0, 30.0, -30.0, 180.0)


def test_an_avatar_is_laid_over_the_true_head() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.1, 0.0, -1.3]))
    avatar = MeshAvatar(
        bound=bound(head, SourceView(Camera.make(300, 64, 64), params, ambient())),
        texture=np.zeros((8, 8, 3), np.uint8),
    )
    R, s, t = axis_angle_to_matrix(torch.tensor([0.2, -0.5, 0.1])), 0.87, torch.tensor([0.02, -0.04, 0.1])
    own = head(params)
    true = s * own @ R.T + t
    camera = Camera.orbit(true.mean(0), 1.1, 150, 10)
    seen = aligned_camera(avatar, head.landmarks(true, 68).double().numpy(), camera)
    assert torch.allclose(seen.project(own), camera.project(true), atol=0.05)
    assert torch.allclose(seen.cam_from_world[:3, :3].det(), torch.tensor(1.0), atol=1e-4)


def rows(value: float) -> list[Row]:
    return [{"yaw": y, "head_psnr": value + (abs(y) > 90), "head_ssim": 0.9, "iou": 0.95} for y in VIEWS]


def test_means_by_angle() -> None:
    found = average_by_angle(
        [{"yaw": 15.0, "hair_psnr": 20.0}, {"yaw": -15.0}, {"yaw": -30.0, "hair_psnr": 1.0}]
    )
    assert found == {"±15°": {"hair_psnr": 20.0}, "±30°": {"hair_psnr": 1.0}}


def test_the_gain_is_paired_by_head_and_what_fails_is_left_out() -> None:
    fit = Subject("fit", "", None)
    who = name_columns([fit], (5, 1))
    assert [c.name for c in who] == ["fit, 1 photo", "fit, 5 photos"] and name_columns([fit], (1,))[
        0
    ].name == "fit"
    report = Report(protocol="synthetic", figures={f.key: f for f in synthetic.with_gains_by_photos(())})
    for number, (one, five) in enumerate(((20, 23), (22, 22.5), (18, 21))):
        add_head_rows(report, number, {"fit, 1 photo": rows(one), "fit, 5 photos": rows(five)}, who)
    add_head_rows(report, 3, {"fit, 1 photo": rows(20), "fit, 5 photos": []}, who)
    assert len(report.items()) == 9 and list(report.skipped) == ["head 3, fit"]
    assert "fit, 5 photos" in report.skipped["head 3, fit"]
    five = report.rows["fit, 5 photos"]
    gains = [five[f"head {n} ±30°"][0]["head_psnr_gain"] for n in range(3)]
    assert np.median(gains) == 3 and five["head 1 180°"][0]["head_psnr"] == 23.5
    assert "head_psnr_gain" not in report.rows["fit, 1 photo"]["head 0 ±15°"][0]


def test_a_head_is_the_same_before_its_own_and_before_one_background() -> None:
    assert [n for n in range(8) if has_hair(n, 0, 64)] == [3, 5, 6]  # as docs/results/gaussians.md names them
    own = render_head(1, 0, 64, 18.0, 1, (15.0, -30.0), shared=False)
    one = render_head(1, 0, 64, 18.0, 2, (15.0, -30.0), shared=True)
    assert own.photos.shape == (1, 64, 64, 3) and one.photos.shape == (2, 64, 64, 3)
    assert np.abs(own.alpha - one.alpha).max() <= 0.5 / 255 + 1e-6 and (own.points == one.points).all()
    inside = own.alpha > 0.999
    assert np.abs(own.images[inside].astype(int) - one.images[inside]).max() <= 1
    assert (own.photos != one.photos[:1]).any()  # other backgrounds
    assert (one.regions["head"] <= one.regions["foreground"]).all() and one.regions["head"].any()


def test_a_face_that_is_not_found_gives_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_face(photos: object, progress: object) -> object:
        raise HeadcastError("photo0.png: no face found")

    who = [Subject("fit", "", no_face)]  # type: ignore[arg-type]
    monkeypatch.setattr(synthetic, "find_subjects", lambda *a, **k: who)
    options = Options(size=64, views=(15.0,))
    asked = Setting(
        subjects=("fit",),
        data=tmp_path,
        out=tmp_path / "out",
        networks=EvaluationNetworks(),
        device=torch.device("cpu"),
        limit=1,
        options=options,
    )
    with pytest.raises(HeadcastError, match="nothing could be measured"):
        evaluate("synthetic", asked)


def test_mistakes(tmp_path: Path) -> None:
    from dataclasses import replace

    cpu = torch.device("cpu")
    asked = Setting(
        subjects=("fit",),
        data=tmp_path,
        out=tmp_path / "out",
        networks=EvaluationNetworks(),
        device=cpu,
        options=Options(photos=(6,)),
    )
    with pytest.raises(HeadcastError, match="from 1 to 5"):
        evaluate("synthetic", asked)
    with pytest.raises(HeadcastError, match="numbers of synthetic heads"):
        evaluate("synthetic", replace(asked, options=None, only=("five",)))
    with pytest.raises(HeadcastError, match=r"neither an \.avatar file nor a method"):
        evaluate("synthetic", replace(asked, options=None, subjects=("nothing",)))
