"""Eq. 2 and 3: the paper's weights, and what each term measures."""

from __future__ import annotations

import torch

from headcast.methods.invertavatar.paper.config import TINY
from headcast.methods.invertavatar.paper.generator import CanonicalFeatures, FieldRendering, HeadGenerator
from headcast.methods.invertavatar.paper.losses import (
    STAGE_1,
    STAGE_2,
    LatentDiscriminator,
    blur_images,
    canonical_terms,
    density_smoothness,
)
from headcast.nets.stylegan2 import FeaturePyramid


def test_weights_are_those_the_paper_prints() -> None:
    assert STAGE_1 == {"l1": 1, "lpips": 0.5, "identity": 0.25}
    assert STAGE_2 == {"l1": 1, "lpips": 1, "tri": 0.001, "tex": 0.001, "raw": 1, "adversarial": 0.1}


def head(texture: float, plane: float) -> CanonicalFeatures:
    """A head of constant features."""
    pyramid = FeaturePyramid(torch.zeros(1), [], torch.full((1, 6, 4, 4), plane))
    return CanonicalFeatures(
        torch.zeros(1, 2, 3), [torch.full((1, 2, n, n), texture) for n in (2, 4)], pyramid
    )


def test_features_are_compared_each_in_its_own_space() -> None:
    image, depth = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 4, 4)
    rendered = [FieldRendering(image, torch.full((1, 8, 4, 4), v), depth) for v in (0.5, 1.0)]
    found = canonical_terms(head(1.0, 2.0), head(1.0, 5.0), *rendered)
    assert {k: float(v) for k, v in found.items()} == {"tex": 0.0, "tri": 3.0, "raw": 0.5}
    assert float(canonical_terms(head(3.0, 2.0), head(1.0, 2.0), *rendered)["tex"]) == 2.0


def test_blur_keeps_the_mean_and_goes_with_sigma() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 3, 32, 32)
    raw = torch.nn.functional.avg_pool2d(image, 2)
    soft, soft_raw = blur_images([image, raw], 2.0)
    assert soft.shape == image.shape and soft_raw.shape == raw.shape
    assert float(soft.std()) < 0.3 * float(image.std()) and float(soft_raw.std()) < float(raw.std())
    flat = torch.full((1, 3, 16, 16), 0.7)
    torch.testing.assert_close(blur_images([flat], 3.0)[0], flat)
    assert blur_images([image], 0.0)[0] is image


def test_smooth_densities_cost_less_than_rough_ones() -> None:
    torch.manual_seed(1)
    generator = HeadGenerator(TINY).requires_grad_(False)
    rough = 3 * torch.randn(1, 3, TINY.plane_channels, TINY.side, TINY.side)
    smooth = rough.mean((-1, -2), keepdim=True).expand_as(rough)
    assert float(density_smoothness(generator, smooth)) < 0.2 * float(density_smoothness(generator, rough))


def test_latents_are_scored_one_by_one() -> None:
    torch.manual_seed(2)
    network, w = LatentDiscriminator(8), torch.randn(5, 8)
    torch.testing.assert_close(network(w)[3:4], network(w[3:4]))
