"""Real people from the sides: the protocol on an avatar's own views, and against the independent script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.evaluate.reference import load_script, shared_networks, stand_in, write_rgba

from headcast import api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.evaluate import multiview
from headcast.evaluate.multiview_people import photo_of
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.evaluate.subjects import STILL, Subject
from headcast.image import load_image, save_png
from headcast.metrics.image import over_grey

TRUE_VIEWS = {"33": (0, 0), "23": (39, -8), "43": (-32, 8), "13": (90, 0), "53": (-90, 0), "03": (135, 0)}


def setting(data: Path, out: Path, **more: Any) -> Setting:
    return Setting(
        subjects=("fit",),
        data=data,
        out=out,
        networks=EvaluationNetworks(),
        device=torch.device("cpu"),
        **more,
    )


def instead_of_methods(monkeypatch: pytest.MonkeyPatch, make: Any) -> list[str]:
    """Two methods: the photo held still, and ``make``; returns the names of the photos asked for."""
    asked: list[str] = []

    def maker(photos: Sequence[Path], progress: api.Progress) -> Any:
        asked.append(",".join(p.name for p in photos))
        return make()

    both = [Subject(STILL, "", None), Subject("fit", "test", maker)]
    monkeypatch.setattr(multiview, "find_subjects", lambda subjects, seed: both)
    return asked


@pytest.fixture(scope="module")
def people(coarse_avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person, whose photos are an avatar's views; another, whose photo shows nobody."""
    data = tmp_path_factory.mktemp("multiview")
    for name in ("031", "040"):
        (data / name).mkdir()
    for view, (yaw, pitch) in (TRUE_VIEWS | {"63": (-135, 0)}).items():
        rgba = multiview.render_upright(coarse_avatar, yaw, pitch)
        wide = np.pad(over_grey(rgba), ((0, 0), (200, 200), (0, 0)), constant_values=128)
        cv2.imwrite(str(data / "031" / f"{view}.jpg"), wide[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        save_png(data / "040" / f"{view}.jpg", np.full((100, 100, 3), 90, np.uint8))
    return data


def test_an_avatar_is_found_in_its_own_views(
    people: Path, coarse_avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = instead_of_methods(monkeypatch, lambda: coarse_avatar)
    report, (data, table, _) = evaluate("multiview", setting(people, tmp_path))
    assert list(report.skipped) == ["040"] and "no face found" in report.skipped["040"]
    rows = report.rows["fit"]["031"]
    assert [(r["side"], r["yaw"], r["pitch"]) for r in rows] == [(45, 39, -8), (-45, -32, 8)]
    still = report.rows[STILL]["031"]
    for own, other in zip(rows, still, strict=True):
        assert own["psnr"] > 28 and own["fit"] < 0.8 and own["iou"] > 0.8 and own["lost"] == 0
        assert other["psnr"] < 20 and other["fit"] > 1 and other["typology"] == own["typology"]
    assert asked == ["031_33.png"]
    assert report.groups["split: tuning"] == ["031"] and report.groups["hair: short"] == ["031"]
    for angle in (45, 90, 135):
        sheet = load_image(tmp_path / f"sheet_{angle}.png").rgb
        assert sheet.std() > 20, angle
    assert "| PSNR face (dB) ↑ |" in table.read_text() and "LPIPS" not in table.read_text().split("Legend")[0]
    assert json.loads(data.read_text())["rows"]["fit"]["031"] == rows

    evaluate("multiview", setting(people, tmp_path))
    assert asked == ["031_33.png"]  # nothing is measured twice


def test_a_person_without_an_avatar_is_lost(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise HeadcastError("no face")

    asked = instead_of_methods(monkeypatch, fail)
    three = setting(people, tmp_path, only=("031",), sources=3)
    for view in ("22", "42"):
        (people / "031" / f"{view}.jpg").write_bytes((people / "031" / "33.jpg").read_bytes())
    report, _ = evaluate("multiview", three)
    (row,) = report.rows["fit"]["031"]
    assert row["lost"] == 1 and "psnr" not in row
    assert asked == ["031_33.png,031_22.png,031_42.png"]
    with pytest.raises(HeadcastError, match=r"no folders with 33\.jpg"):
        evaluate("multiview", replace(three, data=tmp_path))


def test_what_lies_far_at_both_sides_is_cut(tmp_path: Path) -> None:
    wide = np.zeros((100, 301, 3), np.uint8)
    wide[:, 40:260] = 255
    cv2.imwrite(str(tmp_path / "33.jpg"), wide)
    assert photo_of(tmp_path, "33").shape == (100, 220, 3) and photo_of(tmp_path, "33").min() > 200
    cv2.imwrite(str(tmp_path / "43.jpg"), wide[:, :220])
    assert photo_of(tmp_path, "43").shape == (100, 220, 3)
    with pytest.raises(HeadcastError, match=r"23\.jpg: no such file"):
        photo_of(tmp_path, "23")


def warped_photos(folder: Path) -> dict[tuple[int, int], np.ndarray]:
    """Stand-ins for renderings: photos at 0° and ±45°, darker, squeezed by yaw and pitch, holes in alpha."""
    made = {}
    grid = [(y, p) for y in multiview.YAWS for p in multiview.PITCHES]
    for sign, view in ((1, "23"), (-1, "43")):
        rgb = photo_of(folder, view)
        y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
        alpha = np.clip(3 - np.hypot(x - rgb.shape[1] / 2, y - 270) / 110, 0, 1) * 255
        rgba = np.dstack([rgb * 0.8, alpha]).astype(np.uint8)
        for yaw, pitch in grid:
            squeeze = np.float64([[0.7 + yaw / 150, 0.01 * pitch, 20 - pitch], [0, 1 + pitch / 90, 50]])
            made[sign * yaw, pitch] = cv2.warpAffine(rgba, squeeze, (640, 640))
    return made | {(yaw, 0): made[25, 0] for yaw in (90, -90, 135, -135)}


PUT_RENDERINGS = """
import shutil, sys
from pathlib import Path
for path in Path("{folder}").glob("*.png"):
    shutil.copy(path, sys.argv[2] + "_" + path.name)
"""


def test_agrees_with_the_independent_script(
    shared: Path, coarse_avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script(shared, "multiview")
    person = shared / "data" / "multiview" / "031"
    renderings = warped_photos(person)
    folder = tmp_path / "renderings"
    folder.mkdir()
    for (yaw, pitch), rgba in renderings.items():
        write_rgba(folder / f"{yaw}_{pitch}.png", rgba)
    program = stand_in(tmp_path / "project", PUT_RENDERINGS.format(folder=folder))
    found = script.run(str(program), tmp_path / "theirs", [person])
    expected = json.loads((tmp_path / "theirs" / "rows.json").read_text())
    assert found["n"] == 2 and found["lost"] == 0

    instead_of_methods(monkeypatch, lambda: coarse_avatar)
    monkeypatch.setattr(multiview, "render_upright", lambda avatar, yaw, pitch: renderings[yaw, pitch])
    monkeypatch.setattr(multiview.api, "render", lambda avatar, view: renderings[25, 0])
    data = shared / "data" / "multiview"
    ours = replace(setting(data, tmp_path / "ours"), only=("031",), networks=shared_networks(shared))
    report, _ = evaluate("multiview", ours)
    for row, theirs in zip(report.rows["fit"]["031"], expected, strict=True):
        assert row["side"] == {"23": 45, "43": -45}[theirs["v"]]
        for key in ("yaw", "pitch", "fit", "lpips", "psnr", "iou", "sface", "sface_front"):
            assert row[key] == pytest.approx(theirs[key], abs=2e-6), key
    assert {k: c.median for k, c in report.cells("fit").items()}["lpips"] == pytest.approx(
        found["lpips"], abs=2e-6
    )
