"""Networks, losses, data and recipes of ultra-high-resolution skin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture import train as recipes
from headcast.methods.uhr_texture.batches import (
    BRIGHTER,
    WARMER,
    crop_windows,
    perturb_prior,
    sample_gains,
    scale_image_light,
)
from headcast.methods.uhr_texture.data import HeadViews, make_looks, micro_of, read_looks, write_looks
from headcast.methods.uhr_texture.light import (
    COARSE,
    LEVEL,
    calibrate_albedo,
    coarse_of,
    delit_image,
    estimate_shading,
    fit_level,
    guide_at,
    skin_mean,
)
from headcast.methods.uhr_texture.losses import l1_loss, laplacian, laplacian_loss
from headcast.methods.uhr_texture.network import CONFIGS, GDE, HFDR, OUT, Predictor, config_named, resize_maps
from headcast.methods.uhr_texture.weights import load_network, to_stored
from headcast.nets.hashgrid import HashGrid
from headcast.render.shading import sh_basis
from headcast.training import TrainConfig, train
from headcast.weights import save_tensors

TINY = CONFIGS["tiny"]
CPU = torch.device("cpu")


@cache
def looks() -> HeadViews:
    """Two heads, made once."""
    return make_looks("train", 1, np.array([0, 1]), 64, 128, CPU)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Stored looks."""
    write_looks(looks(), tmp_path / "looks" / "a.safetensors")
    return str(tmp_path / "looks")


@pytest.mark.parametrize("name", ["small", "official"])
def test_layers_are_counted_as_in_the_paper(name: str) -> None:
    with torch.device("meta"):
        config = config_named(name)
        assert GDE(config, hashed=False).body.hidden_layers + 1 == 12
        assert len(config.hfdr) == 4
    if name == "small":
        assert HFDR(config).body.hidden_layers == 17
    assert (CONFIGS["official"].side, CONFIGS["official"].patch) == (1024, 512)


def test_shapes_and_guidance() -> None:
    torch.manual_seed(0)
    rgb, prior, guide = torch.rand(2, 3, 37, 37), torch.rand(2, 5, 37, 37), torch.rand(2, OUT, 37, 37)
    assert Predictor(TINY)(rgb).shape == (2, 5, 37, 37)
    assert GDE(TINY)(rgb, prior, rgb, rgb.mean((2, 3))).shape == (2, OUT, 37, 37)
    hfdr = HFDR(TINY)
    coarse = coarse_of(rgb, prior, guide, estimate_shading(rgb, prior))
    out = hfdr(rgb, coarse)
    torch.testing.assert_close(guide_at(rgb, coarse)[1], guide)
    other = hfdr(rgb, coarse + torch.tensor([0.0] * 5 + [0.25] * 7 + [0.0] * 3).view(1, COARSE, 1, 1))
    # before training the guide passes through unchanged
    torch.testing.assert_close(
        (other - out)[..., 1:-1, 1:-1], torch.full((2, OUT, 35, 35), 0.25), atol=1e-4, rtol=0
    )
    assert config_named("tiny") is TINY
    with pytest.raises(HeadcastError, match="official"):
        config_named("huge")


def test_micronormals_are_learnt_in_tenths() -> None:
    """A step moves them a tenth as far, a loss counts them ten times; bfloat16 spares them."""
    torch.manual_seed(0)
    hfdr = HFDR(TINY)
    rgb = torch.rand(1, 3, 32, 32)
    coarse = torch.rand(1, COARSE, 32, 32) * 0.2 + 0.4
    before = hfdr(rgb, coarse).detach()
    with torch.no_grad():
        hfdr.body.out.bias += 0.01  # type: ignore[operator]
    moved = (hfdr(rgb, coarse) - before).mean((0, 2, 3))
    torch.testing.assert_close(moved, torch.tensor([0.01] * 3 + [0.001] * 3 + [0.01]), atol=1e-5, rtol=0)
    off = torch.zeros(1, OUT, 8, 8)
    off[:, 3] = 0.01
    assert float(l1_loss(off, torch.zeros_like(off), torch.ones(1, 1, 8, 8))) == pytest.approx(0.1 / 7)
    with torch.autocast("cpu", torch.bfloat16):
        out = hfdr(rgb, coarse)
    assert out.dtype == torch.float32
    # before training the guide passes: in bfloat16 it would be off by up to 0.002
    assert (out - hfdr(rgb, coarse))[:, 3:6].abs().max() < 2e-4


def test_hash_grid_reads_corners_bilinearly() -> None:
    torch.manual_seed(0)
    grid = HashGrid(4, 2, 4, 64, log2_size=6)
    assert grid.channels == 8
    uv = torch.tensor([[0.25, 0.5], [0.25, 0.75]])[None].permute(0, 2, 1)[..., None]
    first = grid(uv)[0, :2, :, 0]
    torch.testing.assert_close(first[:, 0], grid.tables[0][2 * 5 + 1])
    torch.testing.assert_close(first[:, 1], grid.tables[0][3 * 5 + 1])
    middle = torch.tensor([0.25, 0.625]).view(1, 2, 1, 1)
    torch.testing.assert_close(grid(middle)[0, :2, 0, 0], first.mean(1))
    assert max(len(t) for t in grid.tables) == 64  # the finest levels share entries


def test_light_of_one_colour_is_found_and_taken_out() -> None:
    y, x = torch.meshgrid(*(torch.linspace(-0.9, 0.9, 48),) * 2, indexing="ij")
    on = x.square() + y.square() < 0.75
    normal = torch.stack([x, -y, (1 - x.square() - y.square()).clamp(min=0).sqrt()])
    prior = torch.cat([torch.zeros(2, 48, 48), (normal + 1) / 2 * on])[None]
    light = torch.tensor([2.6, 0.5, 0.6, 0.7, 0.1, 0.0, 0.1, 0.0, 0.2])[:, None] * torch.tensor(
        [1.0, 0.9, 0.8]
    )
    shading = (sh_basis(normal.permute(1, 2, 0)) @ light).permute(2, 0, 1)
    albedo = torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1).expand(3, 48, 48).clone()
    albedo[:, 20:26, 10:20] *= 0.3  # a brow: little of the skin, so that the light is not taken for it
    rgb = linear_to_srgb((albedo * shading * 0.3).clamp(0, 1))[None]
    free = srgb_to_linear(delit_image(rgb, estimate_shading(rgb, prior)))[0]
    ratio = (free / albedo)[:, on]
    assert (ratio.std(1) / ratio.mean(1)).max() < 0.03  # the ridge keeps some of it
    before = (srgb_to_linear(rgb)[0] / albedo)[:, on]
    assert (before.std(1) / before.mean(1)).min() > 0.1
    holes = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0)).round()
    torch.testing.assert_close(
        estimate_shading(rgb, prior, holes), estimate_shading(rgb, prior), atol=0.03, rtol=0
    )
    assert (estimate_shading(rgb, prior)[0, :, ~on] == 1).all()
    torch.testing.assert_close(
        estimate_shading(rgb, 0 * prior), torch.ones(1, 3, 48, 48)
    )  # no head, no light


def test_level_of_a_delit_image_is_fitted() -> None:
    torch.manual_seed(0)
    free = torch.rand(30, 3, 6, 6) * 0.3 + torch.rand(30, 3, 1, 1) * 0.7
    prior, mask = torch.ones(30, 5, 6, 6), torch.ones(30, 1, 6, 6)
    mean = skin_mean(free, prior)
    albedo = 0.7 * free + (0.4 * mean.square() - 0.1 * mean[:, :1])[..., None, None]
    level = fit_level(free, mean, albedo, mask)
    torch.testing.assert_close(calibrate_albedo(free, mean, level), albedo, atol=1e-3, rtol=0)
    torch.testing.assert_close(calibrate_albedo(free, mean, torch.eye(LEVEL, 3)), free)
    half = torch.cat([torch.ones(30, 1, 6, 3), torch.zeros(30, 1, 6, 3)], 3)
    torch.testing.assert_close(skin_mean(free, prior, half), free[..., :3].mean((2, 3)))


def test_gains_are_of_light() -> None:
    gain = sample_gains(4000, torch.Generator().manual_seed(0)).log()
    assert abs(float(gain.mean(1).std()) - (BRIGHTER**2 + WARMER**2 / 3) ** 0.5) < 0.02
    assert abs(float((gain - gain.mean(1, keepdim=True)).std()) - WARMER * (2 / 3) ** 0.5) < 0.01
    rgb, double = torch.full((1, 3, 2, 2), 0.4), torch.full((1, 3, 1, 1), 2.0)
    assert torch.allclose(srgb_to_linear(scale_image_light(rgb, double)), 2 * srgb_to_linear(rgb))


def test_losses() -> None:
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    x[0, 0, 2, 2] = 1
    assert laplacian(x)[0, 0].tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    mask = torch.ones_like(x)
    assert laplacian_loss(x, torch.zeros_like(x), mask) == pytest.approx(8 / 9)
    assert l1_loss(x, torch.zeros_like(x), mask) == pytest.approx(1 / 25)
    mask[0, 0, 2, 2] = 0  # what is masked counts neither by itself nor in its neighbours' Laplacian
    assert laplacian_loss(x, torch.zeros_like(x), mask) == 0 == l1_loss(x, torch.zeros_like(x), mask)
    a, b = (torch.rand(1, 2, 5, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda p, q: laplacian_loss(p, q, mask), (a, b))


def test_micronormals_do_not_know_of_the_geometry() -> None:
    z = torch.tensor([[0.0, 0, 1], [0.6, 0, 0.8], [0, -0.6, 0.8]])
    torch.testing.assert_close(micro_of(z, z), torch.tensor([[0.0, 0, 1]]).expand(3, 3), atol=1e-6, rtol=0)
    turn = torch.tensor([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])  # about y
    fine = torch.nn.functional.normalize(torch.tensor([[0.1, 0.2, 1.0]]), dim=-1)
    flat = micro_of(fine, z[:1])
    torch.testing.assert_close(flat, fine)
    torch.testing.assert_close(micro_of(fine @ turn.T, z[:1] @ turn.T), flat, atol=1e-6, rtol=0)


def test_windows_are_parts_of_the_whole() -> None:
    made = looks()
    for person in range(2):
        for w in range(made.windows.shape[1]):
            part = crop_windows(made.whole[person : person + 1], made.place[person, w][None], 64)[0]
            window = made.windows[person, w]
            both = (part[15] > 0.99) & (window[15] > 0.99)
            assert both.float().mean() > 0.1
            # the same place on the head and nearly the same colour
            assert (part[3:5] - window[3:5])[:, both].abs().median() < 0.01
            assert (part[8:11] - window[8:11])[:, both].abs().median() < 0.03


def test_looks_are_stored(folder: str) -> None:
    again = read_looks(folder)
    assert (again.whole.float() - looks().whole).abs().max() < 1e-3
    with pytest.raises(HeadcastError, match="build_uhr_looks"):
        read_looks(folder + "x")


def test_guides_ratio_covers_one_to_eight(folder: str) -> None:
    assert set(recipes.HALVINGS) == {1, 2, 4}
    # a window of 256 pixels at factor 2..4 over stage 1's 128: 4..8, reduced by 1..4
    assert 2 * 256 / 128 / 4 == 1 and 4 * 256 / 128 == 8
    prior = resize_maps(looks().whole, 32, 32)[:, 3:8]
    bent = perturb_prior(prior, torch.Generator().manual_seed(0))
    on = (prior[:, 2:].sum(1, keepdim=True) > 0.3).expand(-1, 2, -1, -1)
    off = (bent - prior).abs()[:, :2][on]
    assert 0 < off.median() < 0.02
    assert bent.min() >= 0 and bent.max() <= 1


@pytest.mark.parametrize("kind", ["normal", "gde", "hfdr"])
def test_recipes_learn_two_heads_and_ship(
    kind: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        recipes, "sample_gains", lambda n, dice: torch.ones(n, 3, 1, 1)
    )  # lights to be learnt by heart
    settings: dict[str, Any] = {"size": "tiny", "folder": folder, "count": 2, "rate": 5e-3}
    made = {"normal": recipes.NormalRecipe, "gde": recipes.GDERecipe, "hfdr": recipes.HFDRRecipe}[kind]
    if kind == "hfdr":
        path = tmp_path / "gde.safetensors"
        save_tensors(path, to_stored(GDE(TINY), TINY), {})
        settings |= {"gde": str(path), "window": 32}
    recipe = made(**settings)
    result = train(recipe, TrainConfig(steps=40, ema=0.0, log_every=1, device="cpu"), tmp_path / "run")
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    sums = [x["main/sum"] for x in lines if "main/sum" in x]
    assert sum(sums[-8:]) < 0.8 * sum(sums[:8]), sums
    assert result.weights.name == f"uhr-{kind}.safetensors"
    network = load_network(kind, result.weights)
    assert network.config is TINY
    card = json.loads(result.weights.with_suffix(".json").read_text())
    assert card["status"] == "preview" and "no photograph" in card["trained_on"]
    with pytest.raises(HeadcastError, match="not weights"):
        load_network("normal" if kind != "normal" else "gde", result.weights)
    again = made(**settings, start=str(result.weights)).networks(1)
    for mine, theirs in zip(next(iter(again.values())).parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(HeadcastError, match="--size"):
        made(**settings | {"size": "half"}, start=str(result.weights)).networks(1)


def test_ablation_has_no_tables() -> None:
    @dataclass(frozen=True)
    class Without(recipes.GDERecipe):
        """Without hash encoding."""

    gde = Without(size="tiny", hashed=False).networks(0)["gde"]
    assert gde.hash is None
    assert gde(
        torch.rand(1, 3, 16, 16), torch.rand(1, 5, 16, 16), torch.rand(1, 3, 16, 16), torch.rand(1, 3)
    ).shape == (
        1,
        OUT,
        16,
        16,
    )


@pytest.mark.parametrize("kind", ["normal", "gde", "hfdr"])
def test_recipes_draw_a_grid(kind: str, folder: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"size": "tiny", "folder": folder, "count": 2}
    made = {"normal": recipes.NormalRecipe, "gde": recipes.GDERecipe, "hfdr": recipes.HFDRRecipe}[kind]
    if kind == "hfdr":
        path = tmp_path / "gde.safetensors"
        save_tensors(path, to_stored(GDE(TINY), TINY), {})
        settings |= {"gde": str(path), "window": 32}
    recipe = made(**settings)
    with torch.no_grad():
        picture = recipe.preview(recipe.networks(0), recipe.batch(0, 0, CPU))
    assert picture is not None and picture.shape[1:] == (
        2 * picture.shape[0] // (5 if kind == "normal" else 7),
        3,
    )
