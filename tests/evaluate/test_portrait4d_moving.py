"""Whether expressions move the face: known answers, and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.evaluate import portrait4d_moving
from headcast.evaluate.portrait4d_moving import POSES, changes
from headcast.methods.portrait4d.networks import Networks, read_networks, weights_file
from headcast.methods.portrait4d.stored import People, made_people, read_people, write_people


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose expression alone changes."""
    out = tmp_path_factory.mktemp("still")
    cpu = torch.device("cpu")
    made = made_people(np.array([0, 1]), 2, 128, "test", 9, cpu, apart=2.5, expression=1.8, still_neck=True)
    write_people(out / "a.safetensors", made)
    return out


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    """They, read."""
    return read_people(str(folder))


@pytest.fixture(scope="module")
def bundled() -> Networks:
    """What ships."""
    return read_networks(str(weights_file()))


def test_the_truth_has_slope_and_correlation_one(
    people: People, bundled: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a renderer that draws the true picture of the moment whose expression it is given, half as strong
    shots = portrait4d_moving.views_of(people, torch.arange(2), 128)[1:]
    ends = [portrait4d_moving.embedded(bundled, s) for s in shots]
    middle = (shots[0].image + shots[1].image) / 2

    class Drawn:
        def __init__(self, image: torch.Tensor) -> None:
            self.image = image

    def render(head: torch.Tensor, *_: object) -> Drawn:
        which = 0 if any(torch.equal(head, e) for e in ends[0].values()) else 1
        return Drawn(middle + 0.5 * (shots[which].image - middle))

    monkeypatch.setattr(bundled.psi, "head", lambda kept, motion: motion)
    monkeypatch.setattr(bundled.psi, "render", render)
    for found in changes(bundled, people, 2).values():
        assert found["slope"] == pytest.approx(0.5, abs=1e-4)
        assert found["correlation"] == pytest.approx(1, abs=1e-4)
        assert found["left"] == pytest.approx(0.25, abs=1e-4)


def test_bundled_weights_move_the_face_and_without_their_planes_it_rests(
    people: People, bundled: Networks
) -> None:  # fmt: skip
    found = changes(bundled, people, 2)["weights"]
    assert found["slope"] > 0.05 and found["correlation"] > 0.2 and found["left"] < 1
    still = Networks(bundled.psi, bundled.motion, bundled.said)
    planes = [p.clone() for p in still.psi.moving.planes]  # type: ignore[union-attr]
    try:
        for p in still.psi.moving.planes:  # type: ignore[union-attr]
            p.zero_()
        assert changes(still, people, 2)["weights"]["slope"] < 0.5 * found["slope"]
    finally:
        for p, kept in zip(still.psi.moving.planes, planes, strict=True):  # type: ignore[union-attr]
            p.copy_(kept)


def test_the_command_writes_a_table_and_a_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bundled: Networks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert portrait4d_moving.main(["--people", str(folder), "-o", str(tmp_path), "--most", "1"]) == 0
    assert "| weights | 1 |" in (tmp_path / "moving.md").read_text()
    picture = portrait4d_moving.sheet(bundled, read_people(str(folder)), [0])
    assert picture.shape == (128, 128 * (6 + len(POSES)), 3)
    assert portrait4d_moving.main(["--people", str(tmp_path / "none"), "-o", str(tmp_path)]) == 2
    monkeypatch.setattr(portrait4d_moving, "read_networks", lambda file: replace(bundled, said=None))
    assert portrait4d_moving.main(["--people", str(folder), "-o", str(tmp_path)]) == 2
    assert "no map from expression weights" in capsys.readouterr().err
