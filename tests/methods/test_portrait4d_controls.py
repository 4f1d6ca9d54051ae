"""Bundled Portrait4D weights against controls: what they owe to the photo, attention and planes."""

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
from headcast.methods.portrait4d import controls
from headcast.methods.portrait4d.controls import (
    AVERAGE,
    CONTROLS,
    FLAT,
    NO_ATTENTION,
    NO_PLANES,
    OTHER,
    OWN,
    TONED,
    ControlSet,
)
from headcast.methods.portrait4d.people import synthesize_people, write_people
from headcast.weights import weights_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three held-out people, two expressions of the same neck, two views."""
    folder = tmp_path_factory.mktemp("people")
    numbers, cpu = np.arange(2000, 2003), torch.device("cpu")
    made = synthesize_people(numbers, 2, 128, "test", 910, cpu, apart=2.5, expression=1.8, still_neck=True)
    write_people(folder / "00000.safetensors", made)
    return folder


def test_bundled_weights_beat_their_controls(folder: Path, tmp_path: Path) -> None:
    setting = Setting(
        subjects=("portrait4d",),
        data=folder,
        out=tmp_path / "out",
        networks=Evaluators(),
        device=torch.device("cpu"),
    )
    report, (_, table, sheet) = evaluate("controls", setting)
    face = {name: report.cells(name)["face"].mean for name in CONTROLS}
    assert face[OWN] > face[OTHER] + 1 and face[OWN] > face[AVERAGE] + 0.5
    assert face[TONED] > face[AVERAGE] and face[FLAT] > 5
    slope = {name: report.sets[name]["slope"][0] for name in CONTROLS}
    assert slope[OWN] > 0.05 and abs(slope[NO_PLANES]) < 0.5 * slope[OWN] and slope[FLAT] == 0
    # the documents say so: expressions are the planes', the attention has no effect
    assert slope[NO_ATTENTION] == pytest.approx(slope[OWN], abs=0.01)
    assert face[NO_ATTENTION] == pytest.approx(face[OWN], abs=0.1)
    assert "| another person's photo |" in table.read_text() and sheet is not None


def test_weights_without_an_average_head_have_no_controls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ControlSet.load(str(folder), str(weights_path("portrait4d")))
    bare = replace(found.networks, expression_to_motion=None)
    monkeypatch.setattr(controls, "read_networks", lambda file: bare)
    with pytest.raises(HeadcastError, match="no average head"):
        ControlSet.load(str(folder))


def test_toning_fits_the_photo(folder: Path) -> None:
    """A photo that is the average head in other colours is found again."""
    found = ControlSet.load(str(folder), str(weights_path("portrait4d")))
    c, psi = found.networks.psi.config, found.networks.psi
    zero = torch.zeros(1, dtype=torch.long)
    source = found.people.shots(zero, zero, zero, torch.device("cpu"), c.side)
    driver = found.embed(source)
    made = psi.render(found.average_head(source, driver), source.rays(c, c.side // 4), source.neck(c)).image
    photo = replace(source, image=made * torch.tensor([0.7, 0.5, 0.3]).view(1, 3, 1, 1) - 0.1)
    factor, offset = found.fit_tone(photo)
    # the background behind the average head is the photo's, which has changed as well
    assert torch.allclose(factor.flatten(), torch.tensor([0.7, 0.5, 0.3]), atol=0.1)
    assert torch.allclose(offset.flatten(), torch.tensor(-0.1), atol=0.1)
