"""Recordings of other programs give the frames, the rate and the weights they were made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.fake_avatar import FakeAvatar
from tests.motion.recordings import RECORDINGS, Recorded, codes, ramp, take

from headcast.cli.expression import parse_expression
from headcast.drive import drive_from, motion_from
from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX
from headcast.motion.livelink import read_livelink

READABLE = [r for r in RECORDINGS if not r.error]
REFUSED = [r for r in RECORDINGS if r.error]
CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "cases"


def written(recording: Recorded, folder: Path) -> Path:
    path = folder / recording.name
    path.write_bytes(recording.data)
    return path


def test_names_are_distinct() -> None:
    assert len({r.name for r in RECORDINGS}) == len(RECORDINGS)


@pytest.mark.parametrize("recording", READABLE, ids=lambda r: r.name)
def test_frames_rate_and_weights(recording: Recorded, tmp_path: Path) -> None:
    motion = motion_from(written(recording, tmp_path))
    assert len(motion) == recording.frames
    assert motion.fps == pytest.approx(recording.fps, abs=1e-3)
    jaw = motion.curve("jawOpen")
    assert [float(jaw[t]) for t in recording.jaw] == pytest.approx(list(recording.jaw.values()), abs=1e-5)
    assert torch.isfinite(motion.expression).all() and torch.isfinite(motion.neck).all()
    for words in recording.notes:
        assert any(words in note and recording.name in note for note in motion.notes), motion.notes
    assert recording.notes or not motion.notes or "frames at" in motion.notes[-1]


@pytest.mark.parametrize("recording", REFUSED, ids=lambda r: r.name)
def test_what_cannot_be_read_is_named_in_one_short_line(recording: Recorded, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError) as e:
        motion_from(written(recording, tmp_path))
    message = str(e.value)
    assert recording.error in message and recording.name in message
    assert "\n" not in message and len(message) < len(str(tmp_path)) + 200


def test_a_long_header_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "pipes.csv"
    path.write_text(take(codes(range(9), 60), ramp(9)).replace(",", "|"))
    with pytest.raises(HeadcastError) as e:
        read_livelink(path)
    assert "no expression column" in str(e.value) and len(str(e.value)) < len(str(path)) + 100


def test_angles_are_resampled_with_the_weights(tmp_path: Path) -> None:
    rows = [f"{t},{n / 10},{n / 100},{n / 50}" for n, t in zip((0, 1, 3), codes((0, 1, 3), 60), strict=True)]
    (tmp_path / "turn.csv").write_text("\n".join(["Timecode,JawOpen,HeadYaw,LeftEyeYaw", *rows]))
    motion = read_livelink(tmp_path / "turn.csv")
    assert len(motion) == 4 and motion.gaze is not None
    assert motion.curve("jawOpen").tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert motion.neck[:, 1].tolist() == pytest.approx([0, 0.01, 0.02, 0.03], abs=1e-6)
    assert motion.gaze[:, 0, 0].tolist() == pytest.approx([0, 0.02, 0.04, 0.06])


def test_a_drive_says_what_its_recording_lacks(tmp_path: Path) -> None:
    recording = next(r for r in RECORDINGS if r.name == "lost_rows.csv")
    drive = drive_from(FakeAvatar(), written(recording, tmp_path), size=(32, 32))
    assert len(drive) == recording.frames and drive.fps == recording.fps
    assert "lost in 2 of 9 rows" in drive.notes[0]
    assert float(drive.params.expression[3, EXPRESSION_INDEX["jawOpen"]]) == pytest.approx(0.002)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_expression_files_of_every_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "smile.json"
    path.write_bytes('{"mouthSmileLeft": 0.5}'.encode(encoding))
    assert parse_expression(str(path)) == {"mouthSmileLeft": 0.5}


@pytest.mark.parametrize(
    "name, frames, fps",
    [
        ("llf_ok.csv", 120, 30),
        ("llf_real_header.csv", 120, 30),
        ("llf_semicolon.csv", 60, 60),
        ("llf_trailing_comma.csv", 60, 60),
        ("llf_cut_last_row.csv", 119, 60),
        ("llf_lost_rows.csv", 120, 60),
        ("llf_throttled_44.csv", 599, 60),
        ("llf_hole_3s.csv", 600, 60),
        ("llf_dropframe_semicolon.csv", 300, 30000 / 1001),
        ("a2f_v1.json", 30, 30),
        ("lost_null.json", 30, 30),
        ("mp_categories.json", 30, 30.303),
        ("mp_lost_named.json", 30, 30),
        ("times_ms.json", 30, 30.03),
    ],
)
def test_collected_recordings(name: str, frames: int, fps: float) -> None:
    if not (CASES / name).is_file():
        pytest.skip(f"the collected recording {name} is not there")
    motion = motion_from(CASES / name)
    assert len(motion) == frames and motion.fps == pytest.approx(fps, abs=1e-3)
    second = 60 if frames > 300 or fps == 60 else 30
    truth = 0.25 * (1 - torch.cos(torch.arange(frames) * 2 * torch.pi / second))
    known = torch.ones(frames, dtype=torch.bool)
    gap = {"llf_lost_rows.csv": (40, 60), "llf_hole_3s.csv": (200, 380)}.get(name)
    gap = (10, 15) if "lost" in name and name.endswith(".json") else gap
    if gap is not None:
        known[gap[0] : gap[1]] = False
    if name in ("llf_ok.csv", "llf_real_header.csv", "llf_dropframe_semicolon.csv") or name.endswith(".json"):
        truth = 0.25 * (1 - torch.cos(torch.arange(frames) * 2 * torch.pi / 30))
    assert (motion.curve("jawOpen") - truth)[known].abs().max() < 0.03
