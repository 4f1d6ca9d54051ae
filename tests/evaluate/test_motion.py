"""Whether expressions move the face: known answers, and the protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.evaluate.networks import EvaluationNetworks as Evaluators
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.methods.portrait4d import expression_response
from headcast.methods.portrait4d.expression_response import POSES, measure_response, response_tiles
from headcast.methods.portrait4d.people import People, read_people, synthesize_people, write_people
from headcast.methods.portrait4d.weights import Portrait4DNetworks, read_networks, weights_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose expression alone changes."""
    out = tmp_path_factory.mktemp("still")
    cpu = torch.device("cpu")
    made = synthesize_people(
        np.array([0, 1]), 2, 128, "test", 9, cpu, apart=2.5, expression=1.8, still_neck=True
    )
    write_people(out / "a.safetensors", made)
    return out


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    """They, read."""
    return read_people(str(folder))


@pytest.fixture(scope="module")
def bundled() -> Portrait4DNetworks:
    """What ships."""
    return read_networks(str(weights_file()))


def test_the_truth_has_slope_and_correlation_one(
    people: People, bundled: Portrait4DNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a renderer that draws the true picture of the moment whose expression it is given, half as strong
    shots = expression_response.select_views(people, torch.arange(2), 128)[1:]
    ends = [expression_response.embed_expressions(bundled, s) for s in shots]
    middle = (shots[0].image + shots[1].image) / 2

    class Drawn:
        def __init__(self, image: torch.Tensor) -> None:
            self.image = image

    def render(head: torch.Tensor, *_: object) -> Drawn:
        which = 0 if any(torch.equal(head, e) for e in ends[0].values()) else 1
        return Drawn(middle + 0.5 * (shots[which].image - middle))

    monkeypatch.setattr(bundled.psi, "head", lambda kept, motion: motion)
    monkeypatch.setattr(bundled.psi, "render", render)
    for found in measure_response(bundled, people, 2).values():
        assert found["slope"] == pytest.approx(0.5, abs=1e-4)
        assert found["correlation"] == pytest.approx(1, abs=1e-4)
        assert found["residual"] == pytest.approx(0.25, abs=1e-4)


def test_bundled_weights_move_the_face_and_without_their_planes_it_rests(
    people: People, bundled: Portrait4DNetworks
) -> None:
    found = measure_response(bundled, people, 2)["weights"]
    assert found["slope"] > 0.05 and found["correlation"] > 0.2 and found["residual"] < 1
    still = Portrait4DNetworks(bundled.psi, bundled.motion, bundled.expression_to_motion)
    planes = [p.clone() for p in still.psi.moving.planes]  # type: ignore[union-attr]
    try:
        for p in still.psi.moving.planes:  # type: ignore[union-attr]
            p.zero_()
        assert measure_response(still, people, 2)["weights"]["slope"] < 0.5 * found["slope"]
    finally:
        for p, kept in zip(still.psi.moving.planes, planes, strict=True):  # type: ignore[union-attr]
            p.copy_(kept)


def test_the_protocol_sums_over_people_and_goes_on(
    folder: Path, people: People, bundled: Portrait4DNetworks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(data: Path, *subjects: str) -> Setting:
        return Setting(
            subjects=subjects,
            data=data,
            out=tmp_path / "out",
            networks=Evaluators(),
            device=torch.device("cpu"),
        )

    report, (_, table, sheet) = evaluate("motion", asked(folder, "portrait4d"))
    both = measure_response(bundled, people, 2)
    for how, found in both.items():
        assert {k: v for k, (v, _) in report.sets[how].items()} == pytest.approx(found, abs=1e-4)
        assert list(report.rows[how]) == ["0", "1"] and report.sets[how]["slope"][1] == 2
    assert "| slope |" in table.read_text() and sheet is not None
    (line,) = response_tiles(bundled, people, [0])
    assert len(line) == 6 + len(POSES) and all(x.shape == (128, 128, 3) for _, x in line)
    monkeypatch.setattr(expression_response, "response_sums", lambda *a: pytest.fail("measured again"))
    assert evaluate("motion", asked(folder, "portrait4d"))[0].sets == report.sets
    for data, subject, words in (
        (tmp_path, "portrait4d", "no people here"),
        (folder, "fit", "give one of portrait4d"),
    ):
        with pytest.raises(HeadcastError, match=words):
            evaluate("motion", asked(data, subject))
    monkeypatch.setattr(
        expression_response, "read_networks", lambda file: replace(bundled, expression_to_motion=None)
    )
    with pytest.raises(HeadcastError, match="no map from expression weights"):
        evaluate("motion", asked(folder, "portrait4d"))
