"""The restorer: degradation as a function of a seed, the network, whole pictures in tiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pad

from headcast.errors import HeadcastError
from headcast.priors.restorer import infer
from headcast.priors.restorer.degrade import Degradation, blurred, degrade
from headcast.priors.restorer.jpeg import jpeg
from headcast.priors.restorer.network import Restorer, block_dct
from headcast.priors.restorer.optimizer import orthogonalize


def picture(side: int = 96, seed: int = 0) -> torch.Tensor:
    """Soft colours with hard edges, display values 0..1."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=rng)
    soft = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0].clamp(0, 1)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    disc = ((x - side / 2) ** 2 + (y - side / 3) ** 2 < (side / 5) ** 2).float()
    return soft * (1 - disc) + 0.9 * disc * (1 - soft)


def trained(seed: int = 0) -> Restorer:
    """A network whose last layer is no longer zero."""
    torch.manual_seed(seed)
    network = Restorer((8, 16, 16), (1, 1, 1))
    torch.nn.init.normal_(network.leave.weight, std=0.02)
    return network.eval()


def test_degradation_is_a_function_of_the_seed() -> None:
    x = picture()
    for seed in range(8):
        y = degrade(x, seed)
        assert y.shape == x.shape and float(y.min()) >= 0 and float(y.max()) <= 1
        assert torch.equal(y, degrade(x, seed))
    assert len({float(degrade(x, s).sum()) for s in range(8)}) == 8


def test_blur_by_its_transfer_function_is_a_convolution() -> None:
    x, long, short, angle = picture(64), 2.5, 1.2, 0.6
    y, u = torch.meshgrid(*[torch.arange(-9.0, 10.0)] * 2, indexing="ij")
    along, across = u * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - u * math.sin(angle)
    kernel = torch.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2))
    kernel /= kernel.sum()
    dense = conv2d(pad(x[:, None], (9, 9, 9, 9), mode="replicate"), kernel[None, None])[:, 0]
    assert float((blurred(x, long, short, angle) - dense).abs().max()) < 2e-3


def test_ranges_are_kept() -> None:
    x = torch.full((3, 96, 96), 0.5)
    none = {"blur": (0.2, 0.3), "down": (1.0, 1.0), "light": 0.0, "plain": 1.0}
    for sigma in (5.0, 12.0):
        noise = [degrade(x, s, Degradation(noise=(sigma, sigma), **none)) - x for s in range(12)]
        assert float(torch.stack(noise).std()) * 255 == pytest.approx(sigma, rel=0.05)
    small = Degradation().at_scale(0.5)
    assert small.blur == (0.1, 2.0) and small.down == (1.0, 2.75)


@pytest.mark.parametrize("quality", [35, 60, 92])
def test_jpeg_is_that_of_libjpeg(quality: int) -> None:
    cv2 = pytest.importorskip("cv2")
    rgb = (picture(90) * 255).round().byte().permute(1, 2, 0).numpy()
    data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    truth = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    mine = jpeg(torch.from_numpy(rgb).permute(2, 0, 1) / 255, quality).permute(1, 2, 0).numpy() * 255
    assert np.abs(truth - rgb).mean() > 1.0  # it does something
    assert np.abs(mine - truth).mean() < 1.1


@pytest.mark.parametrize("size", [(64, 64), (37, 51)])
def test_an_untrained_network_changes_nothing(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size) * 2 - 1
    assert torch.equal(Restorer((8, 8, 8), (1, 1, 1))(x), x)


def test_weights_tell_the_network() -> None:
    network = trained()
    stored = {k: v.to(torch.bfloat16) for k, v in network.state_dict().items()}
    again = infer.build_network(stored, "x")
    x = torch.rand(1, 3, 48, 48)
    assert float((network(x) - again(x)).detach().abs().max()) < 0.02
    with pytest.raises(HeadcastError, match="not the weights of a restorer"):
        infer.build_network({"enter.bias": torch.zeros(8)}, "x")


def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    network = trained()
    rgb = (picture(160) * 255).byte().permute(1, 2, 0).numpy()[:, :131]
    whole = infer.restore_tiled(rgb, network)
    monkeypatch.setattr(infer, "TILE", 64)
    tiled = infer.restore_tiled(rgb, network)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert np.abs(whole.astype(int) - rgb).max() > 3


def test_strength_mixes() -> None:
    network = trained()
    rgb = (picture(64) * 255).byte().permute(1, 2, 0).numpy()
    assert np.array_equal(infer.restore_tiled(rgb, network, 0.0), rgb)
    full, half = (infer.restore_tiled(rgb, network, s).astype(float) for s in (1.0, 0.5))
    inside = (full > 0) & (full < 255)
    assert np.abs(half - (full + rgb) / 2)[inside].max() <= 1


def test_orthogonalized_steps_have_even_singular_values() -> None:
    x = torch.randn(24, 60, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.logspace(0, -2, 60)
    )
    for m in (x, x.T):
        u, s, v = torch.linalg.svd(m, full_matrices=False)
        found = orthogonalize(m)
        assert (
            0.6 < float(torch.linalg.svdvals(found).min()) <= float(torch.linalg.svdvals(found).max()) < 1.25
        )
        assert float((u.T @ found @ v.T).diag().min()) > 0.6 and s.min() > 0


def test_block_frequencies_are_orthonormal() -> None:
    basis, gains = block_dct()
    assert torch.allclose(basis @ basis.T, torch.eye(16), atol=1e-6)
    assert torch.allclose(basis[0], torch.full((16,), 0.25)) and gains.shape == (16, 1, 1)
