"""Neutral and smiling: the protocol on an avatar that smiles, and against the independent script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.evaluate.reference import load_script, shared_networks, stand_in

from headcast import api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.evaluate import smile
from headcast.evaluate.aligned import read_rgb, resize_area
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.evaluate.smile_pair import score_smile, smiling_photo
from headcast.evaluate.subjects import STILL, Subject
from headcast.metrics.image import over_grey
from headcast.video import write_video

SMILE = {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.2}


def setting(data: Path, out: Path, networks: EvaluationNetworks | None = None, **more: Any) -> Setting:
    return Setting(
        subjects=("fit",),
        data=data,
        out=out,
        networks=networks or EvaluationNetworks(),
        device=torch.device("cpu"),
        **more,
    )


def instead_of_methods(monkeypatch: pytest.MonkeyPatch, make: Any) -> list[str]:
    """Two methods: the photo held still, and ``make``; returns the names of the photos asked for."""
    asked: list[str] = []

    def maker(photos: Sequence[Path], progress: api.Progress) -> Any:
        asked.append(photos[0].name)
        return make()

    both = [Subject(STILL, "", None), Subject("fit", "test", maker)]
    monkeypatch.setattr(smile, "find_subjects", lambda subjects, seed: both)
    return asked


def test_a_smile_is_followed(coarse_avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "faces"
    data.mkdir()
    for name, expression in (("neutral", {}), ("smile", SMILE)):
        rgba = api.render(coarse_avatar, expression=expression, size=(800, 800))
        cv2.imwrite(str(data / f"A1_{name}.jpg"), over_grey(rgba)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    asked = instead_of_methods(monkeypatch, lambda: coarse_avatar)
    report, _ = evaluate("smile", setting(data, tmp_path / "out"))
    (own,), (still,) = report.rows["fit"]["A1"], report.rows[STILL]["A1"]
    assert own["psnr"] > 25 and own["psnr"] > still["psnr"] + 2 and own["lost"] == 0
    assert asked == ["A1_neutral.png"] and report.groups["split: reported"] == ["A1"]
    assert [label for label, _ in report.sheet[0]] == [
        f"A1 smile {c}" for c in ("neutral photo", "smiling photo", STILL, "fit")
    ]
    evaluate("smile", setting(data, tmp_path / "out"))
    assert asked == ["A1_neutral.png"]  # nothing is measured twice


def test_only_people_of_validation_are_measured(tmp_path: Path) -> None:
    data = tmp_path / "faces"
    data.mkdir()
    with pytest.raises(HeadcastError, match="no PERSON_neutral"):
        smile.people_of(setting(data, tmp_path))
    for name in ("A1_neutral", "A1_smile", "A2_neutral", "A2_smile", "A3_neutral"):
        (data / f"{name}.jpg").touch()
    assert smile.people_of(setting(data, tmp_path)) == ["A1", "A2"]
    (data / "faces.csv").write_text("file,person,split\nx,A1,train\ny,A2,validation\n")
    assert smile.people_of(setting(data, tmp_path)) == ["A2"]
    assert smile.people_of(setting(data, tmp_path, only=("A1",))) == ["A1", "A2"]
    (data / "faces.csv").write_text("file,who\nx,A1\n")
    with pytest.raises(HeadcastError, match="no column 'person'"):
        smile.people_of(setting(data, tmp_path))


def test_the_clip_holds_the_photo(tmp_path: Path) -> None:
    rgb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8), (0, 0), 9)
    smile.write_still_clip(rgb, tmp_path / "clip.mp4")
    frames = smile.decode(tmp_path / "clip.mp4")
    assert len(frames) == smile.CLIP_FRAMES
    assert max(np.abs(f.astype(int) - rgb).mean() for f in frames) < 4


def test_only_the_face_counts_inside_its_hull(shared: Path) -> None:
    networks = shared_networks(shared)
    photo = resize_area(read_rgb(shared / "data" / "london" / "L005_smile.jpg"), 800, 800)
    with StaticLandmarks() as detector:
        smiling = smiling_photo(photo, detector.real_points(photo, "L005"), networks, detector)
    changed = np.where(smiling.hull[..., None], photo, np.uint8(40))
    row = score_smile(smiling, changed, smiling.scores, networks)
    assert row["expression"] == 0 and row["lpips_hull"] == 0 and row["psnr"] > 100 and row["lpips"] > 0.01


PUT_CLIP = """
import shutil, sys
from pathlib import Path
out = sys.argv[sys.argv.index("-o") + 1]
Path(out).write_bytes(b"") if sys.argv[1] == "create" else shutil.copy("{clip}", out)
"""


class SavedAvatar:
    """Stands for an avatar whose clip lies on disk."""

    def save(self, path: Path) -> None:
        path.write_bytes(b"")


def test_agrees_with_the_independent_script(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script(shared, "smile")
    data = shared / "data" / "london"
    neutral, real = (
        resize_area(read_rgb(data / f"L005_{e}.jpg"), 800, 800).astype(int) for e in ("neutral", "smile")
    )
    clip = tmp_path / "clip.mp4"  # from the neutral photo to the smiling one: each frame differs
    write_video(clip, ((neutral + (real - neutral) * k // 8).astype(np.uint8) for k in range(6)), 25.0)
    program = stand_in(tmp_path / "project", PUT_CLIP.format(clip=clip))
    script.main(str(program), tmp_path / "theirs", data, ["L005"])
    (expected,) = json.loads((tmp_path / "theirs" / "rows.json").read_text())

    def put_clip(avatar: Any, drive: Path, out: Path, **options: Any) -> None:
        assert options["camera"] == "driver" and options["background"] == "grey"
        out.write_bytes(clip.read_bytes())

    instead_of_methods(monkeypatch, SavedAvatar)
    monkeypatch.setattr(smile.api, "animate", put_clip)
    monkeypatch.setattr(smile.api, "load", lambda path: None)
    monkeypatch.setattr(smile.api, "render", lambda avatar, view: np.zeros((800, 800, 4), np.uint8))
    ours = setting(data, tmp_path / "ours", shared_networks(shared), only=("L005",))
    report, _ = evaluate("smile", ours)
    for subject, theirs in (("fit", "ours"), (STILL, "neutral")):
        (row,) = report.rows[subject]["L005"]
        for key in ("psnr", "lpips", "mouth", "sface"):
            assert row[key] == pytest.approx(expected[theirs][key], abs=2e-6), (subject, key)
        assert 0 < row["expression"] < 0.5 and row["lost"] == 0
        assert 0 < row["lpips_hull"] < row["lpips"] * 1.5
