"""FLAME parameters as a driver; on a made-up FLAME whose expressions are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.head.synthetic_flame import synthetic

from headcast.drive import motion_from
from headcast.errors import HeadcastError
from headcast.head.flame import Flame, read_flame
from headcast.head.foreign.known import foreign_head, placement_of
from headcast.head.foreign.maps import FlameMaps, arkit_columns, displacement_columns, face_rows, flame_maps
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.motion.flame_npz import read_flame_npz


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flame")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return synthetic().write(folder / "flame2023_Open.pkl")


@pytest.fixture(autouse=True)
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCAST_CACHE", str(folder / "cache"))


@pytest.fixture()
def known(file: Path) -> tuple[Flame, HeadModel, FlameMaps]:
    flame, head = read_flame(file), foreign_head("flame", file)
    return flame, head, flame_maps(flame, head, placement_of(head)[0])


def test_arkit_goes_to_flame_and_back(known: tuple[Flame, HeadModel, FlameMaps]) -> None:
    flame, head, maps = known
    rows, R = face_rows(head), placement_of(head)[0].double().numpy()
    theirs, ours = displacement_columns(flame, rows, R), arkit_columns(head, rows)
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "mouthPucker", "noseSneerRight"):
        i = EXPRESSION_INDEX[name]
        there = theirs @ maps.flame_from_arkit[:, i]
        assert np.linalg.norm(there - ours[:, i]) < 0.35 * np.linalg.norm(ours[:, i]), name
        back = maps.arkit_from_flame @ maps.flame_from_arkit[:, i]
        assert back.argmax() == i and 0.5 < back[i] < 1.3, name


def test_identity_goes_to_flame_and_back(known: tuple[Flame, HeadModel, FlameMaps]) -> None:
    maps = known[2]
    # the first shapes of the made-up FLAME are our components
    diagonal = maps.ours_from_flame[:12, :12].diagonal()
    assert (np.abs(diagonal - 1) < 0.25).all()
    other = maps.ours_from_flame[:12, :12] - np.diag(diagonal)
    assert np.abs(other).max() < 0.35
    assert np.allclose((maps.flame_from_ours @ np.eye(41))[:6, :6].diagonal(), 1, atol=0.25)


def parameters(maps: FlameMaps, frames: int = 3) -> dict[str, np.ndarray]:
    """A smile that grows while the jaw opens and the head turns."""
    smile = maps.flame_from_arkit[
        :100, [EXPRESSION_INDEX[n] for n in ("mouthSmileLeft", "mouthSmileRight")]
    ].sum(1)
    share = np.linspace(0, 1, frames)[:, None]
    turn = np.zeros((frames, 3))
    turn[:, 1] = np.linspace(-0.2, 0.2, frames)
    eyes = np.zeros((frames, 6))
    eyes[:, 1] = eyes[:, 4] = 0.3
    return {
        "expr": share * smile,
        "jaw_pose": share * [0.2, 0, 0],
        "rotation": turn,
        "neck_pose": np.zeros((frames, 3)),
        "eyes_pose": eyes,
        "shape": np.zeros(300),
        "translation": np.zeros((frames, 3)),
        "static_offset": np.zeros((1, 5143, 3)),
    }


def test_parameters_drive(known: tuple[Flame, HeadModel, FlameMaps], file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "take.npz", **parameters(known[2]))
    motion = read_flame_npz(tmp_path / "take.npz", file)
    assert len(motion) == 3 and float(motion.expression.min()) >= 0 and float(motion.expression.max()) <= 1
    assert motion.expression[0].max() < 0.05
    last = motion.expression[-1]
    assert last[EXPRESSION_INDEX["mouthSmileLeft"]] > 0.6 and last[EXPRESSION_INDEX["mouthSmileRight"]] > 0.6
    assert 0.15 < last[EXPRESSION_INDEX["jawOpen"]] < 0.9
    assert last[EXPRESSION_INDEX["eyeBlinkLeft"]] < 0.15
    assert motion.neck[:, 1].tolist() == pytest.approx([-0.2, 0.0, 0.2], abs=1e-4)
    assert motion.gaze is not None and torch.allclose(motion.gaze[0], torch.tensor([[0.3, 0.0], [0.3, 0.0]]))


def test_a_folder_of_frames_is_the_same(
    known: tuple[Flame, HeadModel, FlameMaps], file: Path, tmp_path: Path
) -> None:
    whole = parameters(known[2])
    np.savez(tmp_path / "take.npz", **whole)
    frames = tmp_path / "take" / "flame_param"
    frames.mkdir(parents=True)
    for t in range(3):
        rows = {
            k: v[t : t + 1] for k, v in whole.items() if k in ("expr", "jaw_pose", "rotation", "eyes_pose")
        }
        np.savez(frames / f"{t:05d}.npz", **rows)
    a, b = motion_from(tmp_path / "take.npz", file), motion_from(tmp_path / "take", file)
    assert torch.allclose(a.expression, b.expression) and torch.allclose(a.neck, b.neck)


def test_without_flame_the_user_hears_why(tmp_path: Path) -> None:
    np.savez(tmp_path / "take.npz", expr=np.zeros((2, 100)))
    with pytest.raises(HeadcastError, match=r"take\.npz.*--flame"):
        motion_from(tmp_path / "take.npz")


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"exp": np.zeros((2, 100))}, "unknown parameter 'exp'; did you mean 'expr'"),
        ({"shape": np.zeros(300)}, "neither 'expr' nor 'jaw_pose'"),
        ({"expr": np.zeros((2, 100)), "jaw_pose": np.zeros((3, 3))}, "has 2 frames, others have 3"),
        ({"expr": np.zeros((2, 101))}, "'expr' of shape"),
        ({"jaw_pose": np.full((2, 3), np.inf)}, "'jaw_pose'"),
        ({"expr": np.array([{}], dtype=object)}, "not a readable npz"),
    ],
)
def test_mistakes_are_named(arrays: dict, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "take.npz", **arrays)
    with pytest.raises(HeadcastError) as e:
        read_flame_npz(tmp_path / "take.npz", tmp_path / "flame.pkl")
    assert words in str(e.value) and "take.npz" in str(e.value)
