"""The PBR mode: pores by region, softened light, and a plain mode that did not change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from headcast.synth import SynthConfig, make_batch
from headcast.synth.assets import load_assets
from headcast.synth.lights import Lamps
from headcast.synth.pbr import lit_skin

CPU = torch.device("cpu")
PLAIN = SynthConfig(size=48, texture=256, framing="front", hair=False)


def test_only_skin_and_its_light_differ() -> None:
    from dataclasses import replace

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
    pores, lines = assets.relief()
    assert assets.relief()[0] is pores
    r = assets.atlas.region
    nose, neck = r["nose"] * r["skin"] > 0.9, r["neck"] * r["skin"] > 0.9
    assert pores[nose].mean() > 2 * pores[neck].mean()
    assert pores[r["sclera"] > 0.5].max() == 0 == lines[r["sclera"] > 0.5].max()


def test_forehead_wrinkles_run_level() -> None:
    atlas = load_assets(CPU, 256).atlas
    lines = load_assets(CPU, 256).relief()[1]
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
        up, torch.ones(1, 3), torch.full((1,), 0.1), up[:, None].expand(1, 2, 3), torch.zeros(1, 2, 3)
    )
    one, none = torch.ones(1), torch.zeros(1)

    def lit(n: torch.Tensor) -> torch.Tensor:
        sky = torch.zeros(1, 9, 3)
        return lit_skin(lamps, sky, torch.ones(1, 3), n, up, up, one, one, none, one * 0.5, one * flesh)[0]

    loss = lit(up) - lit(tilted)
    if flesh:
        assert loss[0] < loss[1] < loss[2]
    else:
        torch.testing.assert_close(loss, loss[:1].expand(3))
