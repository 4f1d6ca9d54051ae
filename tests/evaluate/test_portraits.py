"""Portraits: views are as the protocol says, the face lies on the head, rows and groups come out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast import api
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.evaluate.data import photos_in
from headcast.evaluate.networks import load_evaluation_networks
from headcast.evaluate.portraits import OBSERVED, Options
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.turned import VIEWS, eroded_silhouette, face_in_view, find_mesh, means
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.motion.presets import EXPRESSION_ROUND
from headcast.render.shading import ambient

MADE: list[str] = []


create = api.create


def make(photos: Sequence[Path], *, progress: api.Progress, **rest: object) -> object:
    """Stands for ``api.create``: the mesh alone, coarse; counts the calls."""
    MADE.append(photos[0].name)
    options = {"representation": "mesh", "texture_size": 256}
    return create(list(photos), options=options, progress=progress)


@pytest.fixture(scope="module")
def mesh() -> MeshAvatar:
    """The neutral head in grey."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    source = SourceView(Camera.make(300.0, 128, 128), params, ambient(0.8))
    return MeshAvatar(bound=bound(head, source), texture=np.full((64, 64, 3), 180, np.uint8))


def test_views_are_as_the_protocol_says() -> None:
    assert sum(bool(e) for *_, e in VIEWS.values()) == 8
    assert all(e in EXPRESSION_ROUND for *_, e in VIEWS.values() if e)
    assert {y for y, p, e in VIEWS.values() if not p and not e} == {-45, -30, 30, 45}


def test_the_worst_view_is_kept() -> None:
    rows = [{"consistency": 30.0, "holes": 0.0}, {"consistency": 20.0, "holes": 0.2, "identity_30": 0.4}]
    assert means(rows) == {"consistency": 25, "consistency_worst": 20, "holes": 0.1, "identity_30": 0.4}


def test_the_face_lies_inside_of_the_head(mesh: MeshAvatar) -> None:
    assert find_mesh(mesh) is mesh
    for yaw in (0.0, 45.0):
        image = api.render(mesh, view="source", yaw=yaw)
        face, inside = face_in_view(mesh, yaw, 0.0, {}, image), eroded_silhouette(image)
        assert 300 < face.sum() < inside.sum() < (image[..., 3] > 127).sum()
        assert (face & ~inside).sum() < 0.05 * face.sum()


def test_a_portrait_is_measured_once(
    demo_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    monkeypatch.setattr(api, "create", make)
    data, cpu = tmp_path / "data", torch.device("cpu")
    data.mkdir()
    shutil.copy(demo_photo, data / "p1.png")
    (data / "p2.png").write_text("no image")
    (data / "groups.csv").write_text("id,hair\np1,short\n")
    assert list(photos_in(data)) == ["p1", "p2"]

    def run(same_view: bool) -> Report:
        networks = load_evaluation_networks(cpu)
        asked = Setting(
            subjects=("fit",),
            data=data,
            out=tmp_path / "out",
            networks=networks,
            device=cpu,
            options=Options(same_view),
        )
        return evaluate("portraits", asked)[0]

    MADE.clear()
    report = run(same_view=False)
    assert list(report.skipped) == ["p2"] and report.groups == {"hair: short": ["p1"]}
    (seen,), (row,) = report.rows[OBSERVED]["p1"], report.rows["fit"]["p1"]
    assert 0 < seen["landmarks_median"] <= seen["landmarks"] < 2 and seen["landmarks_held_out"] < 2
    assert row["face_psnr"] > 22 and row["identity"] < row["identity_30"] < 0.6 and row["lost_30"] == 0
    assert row["holes"] == 0 and row["holes_turned"] < 0.02 and row["foreground_psnr"] > 12
    assert "consistency" not in row  # of the mesh with itself
    again = run(same_view=False)
    assert again.rows == report.rows and MADE == ["p1.png"]
    assert "identity_30" not in run(same_view=True).rows["fit"]["p1"][0] and len(MADE) == 2
