"""Colours of video as sRGB: matrices, ranges, HDR and wide gamuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headcast.image import srgb_to_linear
from headcast.video import read_video
from headcast.video_colour import (
    BT709,
    BT2020,
    DISPLAY_P3,
    HLG,
    PQ,
    gamut_matrix,
    hlg_to_scene,
    pq_to_nits,
    wide_to_srgb,
)

av = pytest.importorskip("av", reason="the light core has no video codecs")

SKIN = (200, 140, 115)
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
PQ_GRID = np.linspace(0, 1, 200001)


def encode_hdr(rgb: np.ndarray, transfer: int, gamut: int = BT2020) -> np.ndarray:
    """SDR colours (0..1, or beyond white by linear light given as > 1) as an HDR signal in 0..1."""
    linear = rgb @ np.linalg.inv(gamut_matrix(gamut).astype(float)).T
    nits = linear.clip(0) * 203
    if transfer == PQ:
        return np.interp(nits, pq_to_nits(PQ_GRID), PQ_GRID)
    display = nits / 1000
    y = display @ [0.2627, 0.6780, 0.0593]
    scene = display * np.maximum(y, 1e-9)[..., None] ** (1 / 1.2 - 1)
    return np.interp(scene, hlg_to_scene(PQ_GRID), PQ_GRID)


def write_flat(
    path: Path,
    signal: np.ndarray,
    tags: tuple[int, int, int],
    size: tuple[int, int] = (64, 64),
    *,
    matrix: int = 1,
    full: bool = False,
    deep: bool = False,
    codec: str = "libx264",
) -> Path:
    """A clip of one colour, RGB signal in 0..1; tags: matrix, transfer and primaries that the file names."""
    kr, kb = LUMA[matrix]
    r, g, b = signal
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    luma, chroma, black = (255, 255, 0) if full else (219, 224, 16)
    levels = np.array([black + luma * y, 128 + chroma * cb, 128 + chroma * cr])
    name, kind, top = ("yuv420p10le", np.uint16, 4) if deep else ("yuv420p", np.uint8, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = name
        c = stream.codec_context
        c.colorspace, c.color_trc, c.color_primaries = tags
        c.color_range = 2 if full else 1
        c.options = {"crf": "4", "preset": "ultrafast"}
        for k in range(3):
            frame = av.VideoFrame(*size, name)
            for plane, level in zip(frame.planes, levels, strict=True):
                plane.update(
                    np.full(plane.buffer_size // kind().itemsize, round(level * top), kind).tobytes()
                )
            frame.pts = k
            frame.colorspace, frame.color_range = tags[0], 2 if full else 1
            frame.color_trc, frame.color_primaries = tags[1:]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_matrix_and_range(tmp_path: Path, matrix: int, full: bool, deep: bool) -> None:
    path = tmp_path / "a.mp4"
    write_flat(path, np.array(SKIN) / 255, (matrix, 1, 1), matrix=matrix, full=full, deep=deep)
    clip = read_video(path)
    assert np.abs(clip.frames[1][32, 32].astype(int) - SKIN).max() <= 3
    assert clip.notes == ()


@pytest.mark.parametrize(("size", "matrix"), [((64, 64), 5), ((720, 576), 5), ((1280, 720), 1)])
def test_untagged_matrix_goes_by_size(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    write_flat(tmp_path / "a.mp4", np.array(SKIN) / 255, (2, 2, 2), size, matrix=matrix)
    assert np.abs(read_video(tmp_path / "a.mp4").frames[1][32, 32].astype(int) - SKIN).max() <= 3


@pytest.mark.parametrize(("transfer", "name"), [(HLG, "HLG"), (PQ, "PQ")])
@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_hdr_file_looks_like_its_sdr(tmp_path: Path, transfer: int, name: str, codec: str) -> None:
    signal = encode_hdr(srgb_to_linear(np.array(SKIN) / 255), transfer)
    path = write_flat(tmp_path / "a.mov", signal, (9, transfer, 9), matrix=9, deep=True, codec=codec)
    clip = read_video(path)
    assert np.abs(clip.frames[1][32, 32].astype(int) - SKIN).max() <= 4
    assert clip.notes == (f"HDR video ({name}); tone-mapped to sRGB",)


@given(st.tuples(*[st.integers(0, 228)] * 3), st.sampled_from([HLG, PQ]))
def test_hdr_below_the_knee_is_exact(rgb: tuple[int, int, int], transfer: int) -> None:
    signal = encode_hdr(srgb_to_linear(np.array(rgb) / 255), transfer)
    found = wide_to_srgb(np.round(signal * 65535).astype(np.uint16)[None, None], transfer, BT2020)
    assert np.abs(found[0, 0].astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_highlights_rise_and_never_clip_before_white(transfer: int) -> None:
    grey = np.linspace(0, 4.9, 200)[:, None].repeat(3, 1)
    signal = encode_hdr(grey, transfer)
    found = wide_to_srgb(np.round(signal * 65535).astype(np.uint16)[None], transfer, BT2020)[0].astype(int)
    assert (np.diff(found.mean(1)) >= 0).all()
    assert np.ptp(found, axis=1).max() <= 1
    white = int(np.interp(1.0, grey[:, 0], found[:, 0]))
    assert 240 <= white < 255
    assert found[-1].min() >= 254


@pytest.mark.parametrize(("gamut", "name"), [(BT2020, "BT.2020"), (DISPLAY_P3, "Display P3")])
def test_wide_gamut_is_converted(tmp_path: Path, gamut: int, name: str) -> None:
    linear = srgb_to_linear(np.array(SKIN) / 255) @ np.linalg.inv(gamut_matrix(gamut).astype(float)).T
    signal = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    path = write_flat(tmp_path / "a.mp4", signal, (9, 14, gamut), matrix=9, deep=True)
    clip = read_video(path)
    assert np.abs(clip.frames[1][32, 32].astype(int) - SKIN).max() <= 3
    assert clip.notes == (f"wide-gamut video ({name}); converted to sRGB",)


def test_gamut_matrix_is_that_of_bt2087() -> None:
    wanted = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert gamut_matrix(BT2020) == pytest.approx(np.array(wanted), abs=2e-4)
    assert gamut_matrix(BT709) == pytest.approx(np.eye(3), abs=1e-6)


def test_transfer_functions_at_known_points() -> None:
    assert hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0])) == pytest.approx([0, 1 / 12, 0.265, 1], abs=1e-3)
    assert pq_to_nits(np.array([0.0, 0.5081, 0.5807, 1.0])) == pytest.approx(
        [0, 100, 203, 10000], rel=5e-3, abs=1e-6
    )
