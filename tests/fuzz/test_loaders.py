"""Damaged files give a picture, a clip, or one HeadcastError: never another exception, never much memory."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from headcast.errors import HeadcastError
from headcast.image import LoadedImage, load_image
from headcast.video import Clip, read_video
from headcast.video_out import write_video

pytest.importorskip("av", reason="the light core has no video codecs")

FORMATS = (
    "JPEG",
    "PNG",
    "TIFF",
    "WEBP",
    "BMP",
    "GIF",
    "PPM",
    "JPEG progressive",
    "PNG palette",
    "TIFF deflate",
    "PNG animated",
    "TIFF CMYK",
    "PNG profile",
)


@cache
def valid(kind: str) -> bytes:
    """A small picture of a kind, as bytes."""
    from PIL import ImageCms

    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:72, 0:80]
    im = Image.fromarray(
        (np.dstack([x * 3, y * 3, x + y]) + rng.integers(0, 9, (72, 80, 3))).astype(np.uint8)
    )
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 35
    name = kind.split()[0]
    if kind == "JPEG progressive":
        im.save(out, "JPEG", progressive=True, exif=exif)
    elif kind == "PNG palette":
        im.quantize(16).save(out, "PNG", transparency=3)
    elif kind == "TIFF deflate":
        im.save(out, "TIFF", compression="tiff_adobe_deflate")
    elif kind == "PNG animated":
        im.save(out, "PNG", save_all=True, append_images=[im.rotate(9)], duration=50)
    elif kind == "TIFF CMYK":
        im.convert("CMYK").save(out, "TIFF", compression="tiff_lzw")
    elif kind == "PNG profile":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        im.save(out, "PNG", icc_profile=profile, exif=exif)
    else:
        im.save(out, name, **({"exif": exif} if name in ("JPEG", "WEBP", "TIFF") else {}))
    return out.getvalue()


@cache
def valid_video() -> bytes:
    """A short clip as bytes."""
    y, x = np.mgrid[0:64, 0:64]
    frames = [np.dstack([x * 4, y * 4, 0 * x + 5 * t]).astype(np.uint8) for t in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "a.mp4", frames, 10)
        return (Path(folder) / "a.mp4").read_bytes()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes cut short, changed, doubled or filled up, mostly near the header."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        what = draw(st.sampled_from(["cut", "flip", "fill", "long", "insert"]))
        reach = draw(st.sampled_from([40, 200, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        if what == "cut":
            del data[max(at, 8) :]
        elif what == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "fill":
            data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"]))
        elif what == "long":
            data[at : at + 4] = draw(st.integers(0, 2**32 - 1)).to_bytes(4, "big")
        else:
            data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


def read_bytes(read: Callable[[Path], object], data: bytes, suffix: str) -> object:
    """What a reader gives for a file of some bytes; None for a HeadcastError of one line."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(data)
        try:
            return read(path)
        except HeadcastError as e:
            assert "\n" not in str(e)
            assert str(path) in str(e)
            return None


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(FORMATS))
def test_damaged_pictures(data: st.DataObject, kind: str) -> None:
    got = read_bytes(load_image, data.draw(damaged(valid(kind))), "jpg")
    if got is not None:
        assert isinstance(got, LoadedImage)
        assert got.rgb.dtype == np.uint8
        assert got.rgb.shape[2] == 3
        assert got.rgb.shape[0] * got.rgb.shape[1] <= 4096 * 4096
        assert got.alpha is None or got.alpha.shape == got.rgb.shape[:2]


@settings(max_examples=60)
@given(st.binary(max_size=300))
@example(b"\xff\xd8\xff")
@example(b"P6 70 70 255\n")
@example(b"GIF89a")
@example(b"II*\0\x08\0\0\0\xff\xff")
@example(b"RIFF\xff\xff\xff\xffWEBPVP8X")
def test_random_bytes_are_no_picture(data: bytes) -> None:
    read_bytes(load_image, data, "png")


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_videos(data: st.DataObject) -> None:
    got = read_bytes(lambda p: read_video(p, max_frames=30), data.draw(damaged(valid_video())), "mp4")
    assert got is None or (isinstance(got, Clip) and len(got.frames) == len(got.times) > 0)
