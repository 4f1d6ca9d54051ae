"""Tools around the face networks: packing them, landmarks against points set by hand."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.tools.conftest import Tool

from headcast.face_networks.network import CARD, FOLDER
from headcast.observe.landmarks import FaceDetector


def test_build_face_networks(tool: Tool, tmp_path: Path) -> None:
    module = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "build_face_networks.py"))
    files = {source: tmp_path / f"{k}.zip" for k, source in enumerate((module["BUNDLE"], module["WHEEL"]))}
    for source, path in files.items():
        with zipfile.ZipFile(path, "w") as z:
            for name, (origin, entry, _) in module["NETWORKS"].items():
                if origin == source:
                    z.write(FOLDER / f"{name}.tflite", entry)
    tool("build_face_networks", *files.values(), "--out", tmp_path / "face_networks")
    assert (tmp_path / "face_networks.json").read_text() == CARD.read_text()
    written = sorted((tmp_path / "face_networks").iterdir())
    assert [p.read_bytes() for p in written] == [p.read_bytes() for p in sorted(FOLDER.iterdir())]


def test_landmark_truth(tool: Tool, tmp_path: Path) -> None:
    rgb = pytest.importorskip("skimage.data").astronaut()
    Image.fromarray(rgb).save(tmp_path / "A1_neutral.png")
    with FaceDetector() as detector:
        found = detector.detect(rgb)[0].points
    points = np.full((189, 2), found[1])
    exact = {0: 468, 1: 473, 18: 33, 22: 133, 23: 362, 27: 263, 129: 152, 63: 64, 62: 129, 68: 294, 67: 358}
    for row, landmark in exact.items():
        points[row] = found[landmark]
    text = "\n".join(["189", *(f"{x}\t{y}" for x, y in points.tolist()), "0", ""])
    (tmp_path / "A1_neutral.tem").write_text(text)
    (tmp_path / "london.csv").write_text(
        "file,person,split,expression\nA1_neutral.png,A1,validation,neutral\n"
    )
    head, *lines = tool("landmark_truth", tmp_path).splitlines()
    row = dict(zip(head.split(" | ")[1:], lines[0].split(" | ")[1:], strict=True))
    assert all(float(row[part]) < 0.1 for part in ("eye centres", "eye corners", "nose wings", "chin"))
    assert float(row["brows"]) > 10 and len(lines) == 3
