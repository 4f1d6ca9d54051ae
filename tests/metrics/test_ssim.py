"""Structural similarity agrees with torchmetrics and scikit-image, and a mask means what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.metrics.image import ssim
from headcast.metrics.ssim import BETAS, ms_ssim, ssim_maps


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:190, :201]
    a = (128 + 90 * np.sin(x / 7)[..., None] * np.cos(y / 9)[..., None] * [1, 0.7, 0.4]).astype(np.uint8)
    b = np.clip(a.astype(int) + rng.integers(-25, 26, a.shape), 0, 255).astype(np.uint8)
    return a, b


def batch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float64) / 255).permute(2, 0, 1)[None]


def test_mirrored_borders_are_torchmetrics(pair: tuple) -> None:
    functional = pytest.importorskip("torchmetrics.functional.image", reason="it comes with the extra dev")
    a, b = pair
    ours = ssim_maps(a / 255, b / 255, "mirror")[0].mean()
    theirs = functional.structural_similarity_index_measure(batch(b), batch(a), data_range=1.0)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_zero_padding_is_that_of_gaussian_splatting(pair: tuple) -> None:
    a, b = batch(pair[0]), batch(pair[1])
    x = torch.arange(11, dtype=torch.float64) - 5
    k = torch.exp(-(x**2) / 4.5)
    k = (k / k.sum())[:, None] * (k / k.sum())[None]
    window = k.expand(3, 1, 11, 11)

    def mean(t: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(t, window, padding=5, groups=3)

    p, q = mean(a), mean(b)
    va, vb, vab = mean(a * a) - p * p, mean(b * b) - q * q, mean(a * b) - p * q
    full = (2 * p * q + 1e-4) * (2 * vab + 9e-4) / ((p * p + q * q + 1e-4) * (va + vb + 9e-4))
    assert ssim_maps(pair[0] / 255, pair[1] / 255, "zero")[0].mean() == pytest.approx(
        float(full.mean()), abs=1e-9
    )


def test_the_map_and_the_number_are_one_formula(pair: tuple) -> None:
    a, b = pair
    mask = np.random.default_rng(1).random(a.shape[:2]) > 0.5
    assert ssim(a, b, mask) == pytest.approx(ssim_maps(a / 255, b / 255)[0].mean(2)[mask].mean(), abs=1e-12)


def test_multi_scale_is_torchmetrics(pair: tuple) -> None:
    functional = pytest.importorskip("torchmetrics.functional.image", reason="it comes with the extra dev")
    a, b = pair
    theirs = functional.multiscale_structural_similarity_index_measure(
        batch(b), batch(a), data_range=1.0, betas=BETAS
    )
    assert ms_ssim(a, b, np.ones(a.shape[:2], bool), "valid", "mirror") == pytest.approx(
        float(theirs), abs=1e-6
    )


def test_damage_far_outside_of_the_mask_does_not_count(pair: tuple) -> None:
    a, _ = pair
    left = np.zeros(a.shape[:2], bool)
    left[:, :40] = True
    hurt = a.copy()
    hurt[:, 130:] = 0  # 90 pixels off: five of the coarsest scale's are 80
    assert ms_ssim(a, hurt, left) == pytest.approx(1, abs=1e-9)
    assert ms_ssim(a, hurt, ~left) < 0.9


def test_small_pictures_and_empty_masks_have_none() -> None:
    small = np.zeros((175, 300, 3), np.uint8)
    assert np.isnan(ms_ssim(small, small, np.ones((175, 300), bool)))
    large = np.zeros((176, 176, 3), np.uint8)
    assert np.isnan(ms_ssim(large, large, np.zeros((176, 176), bool)))
    assert ms_ssim(large, large, np.ones((176, 176), bool)) == 1
