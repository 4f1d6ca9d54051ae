"""Display matrices and interlaced fields: what is shown is upright and whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headcast.video import iter_frames, read_video
from headcast.video_layout import display_turn
from headcast.video_out import write_video

av = pytest.importorskip("av", reason="the light core has no video codecs")

H, W = 48, 96
Matrix = tuple[float, float, float, float]

# (a, b, c, d) of (p, q) -> (a p + c q, b p + d q), and the same by numpy
TURNS: dict[str, tuple[Matrix, Callable[[np.ndarray], np.ndarray]]] = {
    "none": ((1, 0, 0, 1), lambda x: x),
    "90 clockwise": ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
    "180": ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
    "90 counterclockwise": ((0, -1, 1, 0), lambda x: np.rot90(x, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
    "transversed": ((0, -1, -1, 0), lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
}


def packed(matrix: Matrix) -> bytes:
    """A display matrix as FFmpeg hands it over."""
    a, b, c, d = (round(v * 65536) for v in matrix)
    return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()


def corners() -> np.ndarray:
    """A ramp with four different corners."""
    y, x = np.mgrid[0:H, 0:W]
    out = np.stack([x * 2, y * 4, 128 + 0 * x], -1).astype(np.uint8)
    for k, (rows, columns) in enumerate(
        [(slice(0, 16), slice(0, 16)), (slice(0, 16), slice(-16, None)), (slice(-16, None), slice(0, 16))]
    ):
        out[rows, columns] = [(250, 30, 30), (30, 220, 30), (40, 40, 250)][k]
    return out


def patch_matrix(path: Path, matrix: Matrix) -> None:
    """Write a display matrix into the video track's header of an MP4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = np.frombuffer(packed(matrix), np.int32).astype(">i4").tobytes()
    path.write_bytes(data)


@pytest.mark.parametrize("kind", TURNS)
def test_all_turns_and_mirrors_of_a_file(tmp_path: Path, kind: str) -> None:
    matrix, turned = TURNS[kind]
    write_video(tmp_path / "a.mp4", [corners()] * 3, 25)
    stored, _ = next(iter_frames(tmp_path / "a.mp4"))
    patch_matrix(tmp_path / "a.mp4", matrix)
    clip = read_video(tmp_path / "a.mp4")
    assert np.array_equal(clip.frames[0], turned(stored))
    assert clip.notes == ()


@given(
    st.lists(st.sampled_from(sorted(TURNS)), min_size=1, max_size=4),
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))),
)
def test_turns_compose_as_their_matrices(kinds: list[str], image: np.ndarray) -> None:
    total, wanted = np.eye(2), image
    for kind in kinds:
        (a, b, c, d), turned = TURNS[kind]
        total, wanted = np.array([[a, c], [b, d]]) @ total, turned(wanted)
    turn = display_turn(packed((total[0, 0], total[1, 0], total[0, 1], total[1, 1])))
    assert turn.note is None
    assert np.array_equal(turn.apply(image), wanted)


@given(st.sampled_from(sorted(TURNS)), st.floats(-40, 40), st.floats(0.2, 4))
def test_other_angles_go_to_the_nearest_turn(kind: str, degrees: float, scale: float) -> None:
    a, b, c, d = TURNS[kind][0]
    r = np.radians(degrees)
    turned = scale * np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]]) @ [[a, c], [b, d]]
    turn = display_turn(packed((turned[0, 0], turned[1, 0], turned[0, 1], turned[1, 1])))
    assert turn[:3] == display_turn(packed(TURNS[kind][0]))[:3]
    assert (turn.note is not None) == (abs(degrees) > 2.9) or 2.7 < abs(degrees) < 3.0


@pytest.mark.parametrize("matrix", [None, b"", bytes(36), bytes(10)])
def test_missing_and_broken_matrices_turn_nothing(matrix: bytes | None) -> None:
    assert display_turn(matrix)[:3] == (False, False, False)


def striped(t: int, field: int) -> np.ndarray:
    """A bright bar at its place at the time of a field; it moves 4 pixels from field to field."""
    out = np.full((96, 128, 3), 60, np.uint8)
    x = 10 + 4 * (2 * t + field)
    out[:, x : x + 24] = 200
    return out


def write_interlaced(path: Path, count: int, start: int = 0) -> None:
    """Frames woven of two fields, marked as interlaced from frame ``start`` on; before, whole ones."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.options = {"crf": "10", "x264-params": "tff=1"}
        for t in range(count):
            rgb = striped(t, 0)
            if t >= start:
                rgb[1::2] = striped(t, 1)[1::2]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))


def combing(rgb: np.ndarray) -> float:
    """How much neighbouring rows differ, in levels."""
    x = rgb[20:-20].astype(float).mean(-1)
    return float(np.abs(x[1:-1] - (x[:-2] + x[2:]) / 2).mean())


def test_interlaced_frames_become_whole(tmp_path: Path) -> None:
    write_interlaced(tmp_path / "a.mp4", 10)
    with av.open(str(tmp_path / "a.mp4")) as c:
        stored = [f.to_ndarray(format="rgb24") for f in c.decode(video=0)]
    clip = read_video(tmp_path / "a.mp4")
    assert combing(stored[5]) > 5
    assert max(combing(f) for f in clip.frames[1:-1]) < 0.5
    assert len(clip.frames) == 10
    assert clip.times == pytest.approx(np.arange(10) / 25, abs=1e-3)
    assert clip.notes == ("the video is interlaced; deinterlaced",)
    bars = [np.flatnonzero(clip.frames[t][48, :, 0] > 130)[0] - 8 * t for t in range(1, 9)]
    assert np.ptp(bars) <= 1  # one and the same field of every frame
    assert min(abs(bars[0] - place) for place in (10, 14)) <= 1


def test_deinterlaced_frames_are_turned_and_squared(tmp_path: Path) -> None:
    write_interlaced(tmp_path / "a.mp4", 6)
    patch_matrix(tmp_path / "a.mp4", TURNS["90 clockwise"][0])
    clip = read_video(tmp_path / "a.mp4")
    assert clip.frames.shape == (6, 128, 96, 3)
    assert all(np.flatnonzero(f[:, 48, 0] > 130).size for f in clip.frames)
