"""The Gaussians' protocol: rows survive an end, views compare the face, tables say what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tests.bound import bound

from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.evaluate.gaussian_rows import VIEWS, Rows, face_in_view, means, within
from headcast.evaluate.gaussians import clip_tables, portrait_tables, table
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.motion.presets import EXPRESSION_ROUND
from headcast.render.shading import ambient


def test_rows_come_back_and_a_broken_line_does_not(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "a" / "rows.jsonl")
    rows.add("p1 mesh", {"psnr": 30.0})
    rows.add("d3 mesh", [{"psnr": 1.0}, {"psnr": 2.0}])
    with rows.path.open("a") as f:
        f.write('{"key": "p2 mesh", "row": {"ps')
    again = Rows(rows.path)
    assert "p1 mesh" in again and "p2 mesh" not in again and len(again.found["d3 mesh"]) == 2


def test_views_are_as_the_protocol_says() -> None:
    assert sum(bool(e) for *_, e in VIEWS.values()) == 8
    assert all(e in EXPRESSION_ROUND for *_, e in VIEWS.values() if e)
    assert {y for y, p, e in VIEWS.values() if not p and not e} == {-45, -30, 30, 45}


def test_the_worst_view_is_kept() -> None:
    row = means([{"consistency": 30.0, "holes": 0.0}, {"consistency": 20.0, "holes": 0.2, "iddist30": 0.4}])
    assert row == {"consistency": 25, "consistencyWorst": 20, "holes": 0.1, "iddist30": 0.4}


def test_the_face_lies_inside_of_the_head() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    source = SourceView(Camera.make(300.0, 128, 128), params, ambient(0.8))
    mesh = MeshAvatar(bound(head, source), np.full((64, 64, 3), 180, np.uint8))
    from headcast import api

    for yaw in (0.0, 45.0):
        picture = api.render(mesh, view="source", yaw=yaw)
        face, inside = face_in_view(mesh, yaw, 0.0, {}, picture), within(picture)
        assert 300 < face.sum() < inside.sum() < (picture[..., 3] > 127).sum()
        assert (face & ~inside).sum() < 0.05 * face.sum()


def test_tables(tmp_path: Path) -> None:
    ids = [f"p{i}" for i in range(6)]
    groups = tmp_path / "groups.csv"
    groups.write_text("id,glasses,facial_hair,hair\n" + "".join(f"{i},no,no,short\n" for i in ids))
    rows = Rows(tmp_path / "rows.jsonl")
    for n, i in enumerate(ids):
        rows.add(f"{i} mesh", {"psnr": 30.0 + n, "foreground": 25.0, "iou": 0.9, "itaDegrees": float(n)})
    text = "\n".join(portrait_tables(rows, [*ids, "missing"], ["mesh"], groups))
    assert "n = 6" in text and "| psnr | 32.5 (30.5) | ≥ 36; p10 32 |" in text and "| hair | — |" in text
    assert "| hair: short | 6 | 32.5 | 25.0 | 0.9 | — |" in text and "too few" in text
    assert "| holes | — | — |" in table("Turned", rows, ids, ["mesh", "gaussians"], {"holes": "0"})[4]
    text = "\n".join(clip_tables({"d3 mesh": [{"psnr": 30.0, "lost": 1.0}]}, ["mesh", "gaussians"]))
    assert "Clip d3" in text and "| lost | 1 | 0 |" in text and "d18" not in text
