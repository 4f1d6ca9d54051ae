"""Light by which a photo is divided."""

from __future__ import annotations

import numpy as np
import torch

from headcast.render.shading import directional
from headcast.texture.delight import FLOOR, shading_at, soften_light


def test_the_light_is_never_too_dark() -> None:
    strong = directional(torch.tensor([1.0, 0.0, 0.0]), torch.ones(3)).numpy() * 3
    strong[0] = 1.0
    n = np.random.default_rng(1).normal(size=(500, 3))
    shading = shading_at(n / np.linalg.norm(n, axis=1, keepdims=True), soften_light(strong))
    assert shading.min() > 0.97 * FLOOR * 0.282
    assert np.allclose(shading_at(n, soften_light(None))[:3], 1, atol=1e-5)
    assert np.isfinite(soften_light(np.full((9, 3), np.nan))).all()
