"""What expressions add to the average head's planes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headcast.head.names import EXPRESSION_INDEX
from headcast.methods.portrait4d.data import head_model
from headcast.methods.portrait4d.expression_planes import ExpressionPlanes
from headcast.methods.portrait4d.network import SMALL, TINY, Synthesizer
from headcast.methods.portrait4d.people import read_people, synthesize_people, write_people
from headcast.methods.portrait4d.recipes.base import is_motion_layer
from headcast.methods.portrait4d.recipes.motion import MotionRecipe
from headcast.nets.triplane import sample_planes
from headcast.priors.encoder import infer
from headcast.priors.encoder.network import Encoder

CPU = torch.device("cpu")


@pytest.mark.parametrize("config", [SMALL, TINY])
def test_they_lie_around_the_face_of_the_head_model(config: Any) -> None:
    half = config.cube_side / 2 / config.units_per_metre
    moving = ExpressionPlanes(config.motion_dim, 2, 3, config.side // 2, half)
    assert not moving(torch.randn(1, config.motion_dim)).any()
    for p in moving.planes:
        torch.nn.init.ones_(p)
    planes = moving(torch.randn(1, config.motion_dim))
    head = head_model("cpu")
    face = head.landmarks(head.neutral, 68)
    back = torch.tensor([[0.0, 0.05, -0.09], [0.0, -0.2, -0.05], [0.18, 0.0, -0.02]])
    changed, still = (
        sample_planes(planes, x[None] * config.units_per_metre, config.cube_side)[0, :, 0]
        for x in (face, back)
    )
    whole = changed.abs().max()
    assert (changed.abs() > 0.9 * whole).all()  # all three planes, everywhere on the face
    assert (still.abs() < 0.7 * whole).all()


def test_the_papers_network_has_none_and_motion_layers_are_told_apart() -> None:
    assert Synthesizer(replace(TINY, expression_planes=0)).moving is None
    psi = Synthesizer(TINY)
    assert all(is_motion_layer(n) for n, _ in psi.named_parameters() if n.startswith("moving"))
    assert not is_motion_layer("generator_triplane.conv_last.weight")
    # Ψ3d, called without motion, does not see them
    image = torch.rand(1, 3, TINY.side, TINY.side) * 2 - 1
    before = psi.head(psi.appearance(image)).planes
    assert psi.moving is not None
    torch.nn.init.normal_(psi.moving.planes[0])
    assert torch.equal(before, psi.head(psi.appearance(image)).planes)
    v = torch.randn(1, TINY.motion_dim)
    other = psi.head(psi.appearance(image), v).planes
    assert not torch.equal(other, psi.head(psi.appearance(image), v + torch.randn(1, TINY.motion_dim)).planes)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose expressions alone differ between the two moments."""
    folder = tmp_path_factory.mktemp("still")
    made = synthesize_people(
        np.array([0, 1]), 2, 128, "train", 9, CPU, apart=2.5, expression=1.8, still_neck=True
    )
    write_people(folder / "a.safetensors", made)
    return folder


def test_with_a_still_neck_expressions_alone_differ(people: Path) -> None:
    source, driver, still = read_people(str(people)).moment_pairs(2, 0, 0, CPU, 128)
    assert torch.equal(still.K, driver.K) and torch.equal(still.params.expression, source.params.expression)
    assert torch.equal(source.background, driver.background)
    assert torch.equal(still.params.neck, driver.params.neck)
    apart = (source.params.expression - driver.params.expression).abs()
    assert apart.amax() > 0.1
    away = (still.face - driver.face).norm(dim=-1)  # the forehead rests, what talks moves
    assert away.amin() < 5e-4 < 2e-3 < away.amax()


def test_a_few_steps_teach_what_an_expression_changes(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    encoder = Encoder().eval().requires_grad_(False)
    monkeypatch.setattr(infer, "load_encoder", lambda which, device="cpu": encoder)
    recipe = MotionRecipe(people=2, folder=str(people), ablation="real-only", rate=1e-3, mean_rate=1.0)
    networks = recipe.networks(0)
    batch = recipe.batch(0, 0, CPU)
    batch["by_weights"][:] = True
    optimizer = recipe.optimizers(networks)["main"]
    off = []
    for step in range(12):
        terms = recipe.losses("main", networks, batch, step)
        off.append(terms["difference"].item())
        optimizer.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    assert min(off[-4:]) < 0.93 * off[0], off
    assert "difference" not in replace(recipe, difference_weight=0.0).losses("main", networks, batch, 0)
    # and the weights of the expression alone move the face
    psi, said = networks["synthesizer"], networks["said"]
    assert isinstance(psi, Synthesizer)
    told = torch.zeros(2, 56)
    told[1, EXPRESSION_INDEX["jawOpen"]] = 1
    with torch.no_grad():
        kept = psi.appearance(batch["source"].image[:1].expand(2, -1, -1, -1))
        planes = psi.head(kept, said(told)).planes
    assert (planes[0] - planes[1]).abs().max() > 1e-3
