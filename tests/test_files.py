"""What a file is, by its first bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headcast.files import content_kind, is_video

PIXELS = Image.fromarray(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF"])
def test_images_of_any_name(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "a.mp4"
    try:
        PIXELS.save(path, format=format_)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {format_}")
    assert content_kind(path) == "image"
    assert not is_video(path)


HEADS = {
    "mp4": b"\0\0\0\x20ftypisom" + bytes(64),
    "old quicktime": b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(64),
    "matroska": b"\x1aE\xdf\xa3" + bytes(64),
    "avi": b"RIFF\x10\0\0\0AVI LIST" + bytes(64),
    "transport stream": (b"\x47" + bytes(187)) * 20,
    "m2ts": (bytes(4) + b"\x47" + bytes(187)) * 20,
    "cut transport stream": bytes(50) + (b"\x47" + bytes(187)) * 20,
    "programme stream": b"\0\0\x01\xba" + bytes(64),
    "wmv": bytes.fromhex("3026b2758e66cf11") + bytes(64),
    "flv": b"FLV\x01" + bytes(64),
    "mxf": bytes.fromhex("060e2b34") + bytes(64),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("name", ["a.jpg", "a", "a.csv", "a.MTS"])
def test_videos_of_any_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(HEADS[kind])
    assert is_video(path)


@pytest.mark.parametrize("content", [b"", b"text", b"{}", b"G" * 4096, bytes(4096), b"RIFF\0\0\0\0WAVEfmt "])
def test_unknown_content_goes_by_name(tmp_path: Path, content: bytes) -> None:
    for name, wanted in (("a.mp4", True), ("a.M2TS", True), ("a.csv", False), ("a", False)):
        (tmp_path / name).write_bytes(content)
        assert content_kind(tmp_path / name) is None
        assert is_video(tmp_path / name) == wanted


def test_heic_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypheic" + bytes(64))
    assert not is_video(tmp_path / "a.mp4")


def test_what_is_not_there_goes_by_name(tmp_path: Path) -> None:
    assert is_video(tmp_path / "a.mov") and not is_video(tmp_path / "speech") and not is_video(tmp_path)
