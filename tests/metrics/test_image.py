"""Pixel measures agree with scikit-image and with closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.metrics.image import over_grey, psnr, ssim


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    b = np.clip(a.astype(int) + rng.integers(-20, 21, a.shape), 0, 255).astype(np.uint8)
    return a, b, rng.random((60, 50)) > 0.3


def test_ssim_is_scikit_images(pair: tuple) -> None:
    structural = pytest.importorskip(
        "skimage.metrics", reason="scikit-image comes with the extra dev"
    ).structural_similarity
    a, b, m = pair
    _, full = structural(
        a, b, channel_axis=2, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b, m) == pytest.approx(full.mean(2)[m].mean(), abs=1e-9)


def test_psnr_of_a_constant_difference(pair: tuple) -> None:
    a, _, m = pair
    a = a // 2
    assert psnr(a, a + 51, m) == pytest.approx(-20 * np.log10(0.2), abs=1e-6)
    assert psnr(a, a, m) > 100


def test_only_the_mask_counts(pair: tuple) -> None:
    a, b, m = pair
    c = b.copy()
    c[~m] = 0
    assert psnr(a, b, m) == psnr(a, c, m)


def test_transparency_becomes_grey() -> None:
    x = np.zeros((2, 2, 4), np.uint8)
    assert (over_grey(x) == 128).all()
    x[..., 3] = 255
    assert (over_grey(x) == 0).all()
