"""The PBR mode: pores by region, softened light, and a plain mode that did not change."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from headcast.head.names import EXPRESSION_INDEX
from headcast.synth import SynthConfig, make_batch
from headcast.synth.assets import load_assets
from headcast.synth.fields import FOLDS
from headcast.synth.lights import Lamps
from headcast.synth.pbr import LINES, add_expression_lines, shade_skin
from headcast.synth.relief import PITS, pits, remove_grain
from headcast.synth.rng import CounterRng
from headcast.synth.shade import ShadingPoints, Shadows

CPU = torch.device("cpu")
PLAIN = SynthConfig(size=48, texture=256, framing="front", hair=False)


def test_only_skin_and_its_light_differ() -> None:
    plain = make_batch(PLAIN, CPU, 3, np.array([4]))
    pbr = make_batch(replace(PLAIN, pbr=True), CPU, 3, np.array([4]))
    for name in ("depth", "label", "uv", "alpha", "geometric_normal"):
        assert torch.equal(getattr(plain, name), getattr(pbr, name)), name
    assert not torch.equal(plain.textures, pbr.textures)
    off = (plain.rgb - pbr.rgb).abs()[plain.label == 1]
    assert 0.002 < off.mean() < 0.15
    again = make_batch(replace(PLAIN, pbr=True), CPU, 3, np.array([4]))
    digest = [hashlib.sha256(b.rgb.numpy().tobytes()).hexdigest() for b in (pbr, again)]
    assert digest[0] == digest[1]


def test_pores_are_deepest_on_the_nose() -> None:
    assets = load_assets(CPU, 256)
    assert assets.relief() is assets.relief()
    (pores, other), (lines, _) = assets.relief().of(CounterRng(np.array([[0, 1], [0, 2]]), 0, CPU))
    assert not torch.equal(pores, other)
    r = assets.atlas.region
    nose, neck = r["nose"] * r["skin"] > 0.9, r["neck"] * r["skin"] > 0.9
    assert pores[nose].mean() > 2 * pores[neck].mean()
    assert pores[r["sclera"] > 0.5].max() == 0 == lines[r["sclera"] > 0.5].max()


def test_forehead_wrinkles_run_level() -> None:
    atlas = load_assets(CPU, 256).atlas
    lines = load_assets(CPU, 256).relief().lines
    p = atlas.position
    brow = atlas.points[17:27, 1].max()
    here = (
        (p[..., 1] > brow + 0.01) & (p[..., 1] < brow + 0.03) & (p[..., 0].abs() < 0.03) & (p[..., 2] > 0.05)
    )
    along, across = ((lines - lines.roll(1, k)).abs()[here].mean() for k in (1, 0))
    assert along < 0.8 * across


@pytest.mark.parametrize("flesh", [0.0, 1.0])
def test_flesh_softens_red_most(flesh: float) -> None:
    up = torch.tensor([[0.0, 0.0, 1.0]])
    tilted = normalize(torch.tensor([[0.7, 0.0, 0.7]]), dim=-1)
    lamps = Lamps(
        key=up,
        key_colour=torch.ones(1, 3),
        key_size=torch.full((1,), 0.1),
        fill=up[:, None].expand(1, 2, 3),
        fill_colour=torch.zeros(1, 2, 3),
    )
    one, none = torch.ones(1), torch.zeros(1)

    def lit(n: torch.Tensor) -> torch.Tensor:
        sky = torch.zeros(1, 9, 3)
        surface = ShadingPoints(
            albedo=torch.ones(1, 3),
            normal=n,
            smooth=up,
            view=up,
            openness=one,
            shadow=one,
            specular=none,
            rough=one * 0.5,
            flesh=one * flesh,
        )
        return shade_skin(lamps, sky, surface)[0]

    loss = lit(up) - lit(tilted)
    if flesh:
        assert loss[0] < loss[1] < loss[2]
    else:
        torch.testing.assert_close(loss, loss[:1].expand(3))


def test_every_expression_of_lines_exists() -> None:
    assert set(LINES) == set(FOLDS)
    for names in LINES.values():
        for name in names:
            assert name in EXPRESSION_INDEX or {name + "Left", name + "Right"} <= set(EXPRESSION_INDEX), name


def test_a_raised_brow_and_half_a_smile_leave_lines_where_they_should() -> None:
    assets = load_assets(CPU, 256)
    atlas, fold = assets.atlas, assets.fields.fold
    flat = torch.zeros(2, *fold.shape[1:], 8)
    face = torch.zeros(2, 52)
    face[0, EXPRESSION_INDEX["browInnerUp"]] = 1
    face[1, EXPRESSION_INDEX["mouthSmileLeft"]] = 1
    out = add_expression_lines(flat, face, torch.full((2,), 0.5), atlas, assets.fields, 1.0)
    slope = out[..., 3:5].norm(dim=-1)
    forehead, cheek = (fold[FOLDS.index(n)] > 0.3 for n in ("forehead", "nasolabial"))
    left = atlas.position[..., 0] > 0.01
    right = atlas.position[..., 0] < -0.01
    assert slope[0][forehead].mean() > 20 * slope[0][cheek & ~forehead].mean().clamp(min=1e-6)
    assert slope[1][cheek & left].mean() > 0.01 > 100 * slope[1][cheek & right].mean()
    assert torch.equal(out[..., :3], flat[..., :3])  # albedo stays
    assert 0 < float(slope[1].max()) <= 0.91


def test_moments_wear_their_own_lines() -> None:
    config = SynthConfig(
        size=32, texture=128, framing="front", hair=False, pbr=True, frames=2, expression=2.0
    )
    b = make_batch(config, CPU, 5, np.array([2]))
    assert len(b.textures) == 2 and b.owner.tolist() == [0, 1]
    assert not torch.equal(b.textures[0, ..., 3:5], b.textures[1, ..., 3:5])
    assert torch.equal(b.textures[0, ..., :3], b.textures[1, ..., :3])


def test_pores_are_small_and_dense() -> None:
    field = pits(1024, *PITS, "pits", CPU)
    assert 0.02 < (pits(4096, *PITS, "pits", CPU)[:512, :512] > 0.25).float().mean() < 0.15
    assert (
        0.5 < field.mean() / pits(512, *PITS, "pits", CPU).mean() < 2
    )  # coarse textures hold no more of them


def test_smoothing_leaves_folds() -> None:
    atlas = load_assets(CPU, 256).atlas
    slope = torch.randn(1, 64, 64, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(remove_grain(slope, atlas), slope)
    smooth = remove_grain(slope, replace(atlas, size=4096))
    assert smooth.std() < 0.25 * slope.std()
    slow = torch.linspace(0, 6, 64).sin().expand(1, 64, 64)
    kept = remove_grain(torch.stack([slow, slow], -1), replace(atlas, size=4096))
    assert (kept[..., 0] - slow)[:, 8:-8, 8:-8].abs().max() < 0.03


def test_close_shadows_show_no_squares() -> None:
    depth = torch.zeros(1, 8, 8)
    depth[0, :, :4] = 0.5  # something before the left half
    shadows = Shadows(
        depth, torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 4.0], [0.0, 0.0, 1.0]]), torch.eye(4)[None]
    )
    x = torch.linspace(-0.4, 0.4, 200)
    points = torch.stack([x, torch.zeros_like(x), torch.ones_like(x)], 1)
    to = torch.tensor([0.0, 0.0, -1.0]).expand(200, 3)
    zero = torch.zeros(200, dtype=torch.long)
    hard, soft = (shadows.light(zero, points, to, to, torch.zeros(200), smooth) for smooth in (False, True))
    for lit in (hard, soft):
        assert lit[0] < 1e-4 and lit[-1] > 1 - 1e-4
    assert hard.diff().abs().max() >= 1 / 8
    assert soft.diff().abs().max() < 0.05 and soft.diff().min() > -1e-5
