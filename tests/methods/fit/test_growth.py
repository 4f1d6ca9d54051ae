"""The learned map of where short hair grows, on people of whom nothing was learned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from headcast.head.model import HeadModel
from headcast.weights import load_tensors

PEOPLE = 5
SPREAD = 0.0001  # of the error of maps learned from three thirds of the people: docs/results/sides.md


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The tool that learns the map."""
    path = Path(__file__).parents[3] / "tools" / "learn_hair_growth.py"
    spec = importlib.util.spec_from_file_location("learn_hair_growth", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_what_was_learned_held_out_people_are_predicted_worse(tool: ModuleType, shared: Path) -> None:
    people = tool.all_seen(tool.chosen(shared / "data", "london", "validation")[:PEOPLE])
    assert any(p.short for p in people)
    learned = load_tensors("hair_growth").tensors["growth"].numpy() / 255.0
    meshes_alone = tool.average([], tool.mesh_cover(HeadModel.load()))
    error, *controls = (tool.brier(g, people) for g in (learned, meshes_alone, np.zeros_like(learned)))
    assert all(error + 2 * SPREAD < 0.8 * control for control in controls)
