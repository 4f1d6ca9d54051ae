"""The skin model: what it samples looks like skin, and a fit finds what was sampled."""

from __future__ import annotations

import pytest
import torch

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel, uv_key
from headcast.weights import card, weights_path


@pytest.fixture(scope="module")
def model() -> SkinModel:
    return SkinModel.load()


def test_made_for_the_bundled_head(model: SkinModel) -> None:
    assert model.uv == uv_key(HeadModel.load()), "run tools/build_skin_model.py: the head's UV changed"
    assert SkinModel.load_for(HeadModel.load()) is not None
    assert weights_path("skin").stat().st_size < 8 * 2**20
    assert card("skin")["licence"] and card("skin")["trained_on"]


def test_samples_are_skin(model: SkinModel) -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(5):
        albedo = model.sample(torch.randn(len(model.components), generator=g))[model.inside]
        assert torch.isfinite(albedo).all() and (albedo > 0).all()
        red, green, blue = albedo.median(0).values
        assert red > green > 0.6 * blue and 0.05 < red < 1.1


def test_a_fit_finds_the_coefficients(model: SkinModel) -> None:
    g = torch.Generator().manual_seed(1)
    truth = torch.randn(len(model.components), generator=g)
    albedo = model.sample(truth)
    found = model.fit(albedo, model.inside.float(), prior=0.01)
    torch.testing.assert_close(found, truth, atol=0.05, rtol=0)
    half = model.inside.float()
    half[:, : model.size // 2] = 0
    again = model.sample(model.fit(albedo, half, prior=0.1))
    assert (again - albedo)[model.inside].abs().mean() < 0.02


def test_outliers_and_nothing_do_no_harm(model: SkinModel) -> None:
    truth = torch.zeros(len(model.components))
    albedo = model.sample(truth)
    spoilt = albedo.clone()
    spoilt[100:120] = 0.01
    found = model.fit(spoilt, model.inside.float())
    assert (model.sample(found) / albedo - 1)[model.inside].abs().median() < 0.1
    assert torch.equal(model.fit(albedo, torch.zeros_like(model.inside, dtype=torch.float)), truth)


def test_other_files_are_refused() -> None:
    with pytest.raises(HeadcastError, match="skin model"):
        SkinModel.load(weights_path("head"))
