"""SFace: what is refused without the files, and people told apart where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.metrics.sface import EMBEDDING_DIM, SFace, cosine_similarity


def test_an_undetected_face_is_like_nobody() -> None:
    unit = np.zeros(EMBEDDING_DIM, np.float32)
    unit[3] = 1
    assert cosine_similarity(unit, unit) == 1
    assert cosine_similarity(unit, None) == 0 == cosine_similarity(None, unit)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "sface.onnx").write_text("no network")
    with pytest.raises(HeadcastError, match=r"yunet.onnx: no such file; give --yunet FILE"):
        SFace(tmp_path / "sface.onnx", tmp_path / "yunet.onnx")
    (tmp_path / "yunet.onnx").write_text("no network")
    with pytest.raises(HeadcastError, match=r"sface.onnx: not a network that OpenCV reads"):
        SFace(tmp_path / "sface.onnx", tmp_path / "yunet.onnx")


def test_one_person_is_more_alike_than_two(shared: Path) -> None:
    data = shared / "data"
    network = SFace(data / "sface.onnx", data / "yunet.onnx")
    names = ("L002_neutral", "L002_smile", "L005_neutral", "L005_smile")
    found = {n: network.embedding(load_image(data / "london" / f"{n}.jpg", 800).rgb) for n in names}
    same = [cosine_similarity(found[f"{p}_neutral"], found[f"{p}_smile"]) for p in ("L002", "L005")]
    other = [cosine_similarity(found["L002_neutral"], found[f"L005_{e}"]) for e in ("neutral", "smile")]
    assert min(same) > 0.8 and max(other) < 0.4
    for embedding in found.values():
        assert embedding is not None and np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    assert network.embedding(np.zeros((200, 160, 3), np.uint8)) is None
