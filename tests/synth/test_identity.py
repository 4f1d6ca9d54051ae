"""Face shapes: two sources, one sex direction, and nobody's own face in the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.synth.config import SynthConfig
from headcast.synth.identity import IdentityStatistics, draw_identities, fitted_people
from headcast.synth.people import sex_axis
from headcast.synth.rng import CounterRng
from headcast.weights import card, load_tensors, weights_path

COUNT = 4000
RNG = CounterRng(np.stack([np.zeros(COUNT), np.arange(COUNT)], 1).astype(np.int64), 0, torch.device("cpu"))
FEMININE = RNG.chance("sex", 0.5)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


def made_up(n: int) -> IdentityStatistics:
    g = torch.Generator().manual_seed(0)
    return IdentityStatistics(
        torch.randn(n, generator=g) * 0.5, torch.randn(n, n, generator=g).tril() * 0.1 + 0.4 * torch.eye(n)
    )


def test_a_share_of_people_scatters_as_the_fitted_ones(head: HeadModel) -> None:
    axis, people = sex_axis(head), made_up(head.identities)
    z, fitted = draw_identities(RNG, FEMININE, axis, people, 0.4)
    assert abs(float(fitted.float().mean()) - 0.4) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([fitted.float(), FEMININE.float()]))[0, 1])) < 0.05
    plain, none = draw_identities(RNG, FEMININE, axis, None, 0.4)
    assert not none.any() and torch.equal(z[~fitted], plain[~fitted])
    assert (z[fitted] - plain[fitted]).norm(dim=1).min() > 0.5


def test_they_have_the_mean_and_covariance_across_the_sex_direction(head: HeadModel) -> None:
    axis, people = sex_axis(head), made_up(head.identities)
    z, _ = draw_identities(RNG, FEMININE, axis, people, 1.0)
    plain, _ = draw_identities(RNG, FEMININE, axis, people, 0.0)
    assert torch.allclose(z @ axis, plain @ axis, atol=1e-4)  # along it both are drawn by sex alone
    across = torch.eye(len(axis)) - axis[:, None] * axis
    wanted = across @ people.factor @ people.factor.T @ across
    spread = float(torch.linalg.matrix_norm(wanted, 2)) ** 0.5
    seen = z @ across
    assert (seen.mean(0) - across @ people.mean).abs().max() < 5 * spread / COUNT**0.5
    assert torch.linalg.matrix_norm(seen.T.cov() - wanted, 2) < 0.15 * spread**2


def test_the_file_holds_a_mean_and_a_covariance_and_no_person(head: HeadModel) -> None:
    if not weights_path("identity").is_file():
        pytest.skip("weights/identity: not learned yet (tools/learn_identities.py)")
    tensors, _, _ = load_tensors("identity")
    n = head.identities
    assert {k: tuple(v.shape) for k, v in tensors.items()} == {"mean": (n,), "covariance": (n, n)}
    assert torch.allclose(tensors["covariance"], tensors["covariance"].T)
    values = torch.linalg.eigvalsh(tensors["covariance"])
    assert float(values[0]) > 0.02 and float(values[-1]) < 6  # proper, and near the head model's scale
    about = card("identity")
    assert about["licence"] and "public-domain" in about["trained_on"] and about["head"] == head.hash
    with pytest.raises(HeadcastError, match="another head"):
        fitted_people("0" * 16)


def test_a_share_lies_between_nothing_and_all() -> None:
    with pytest.raises(HeadcastError, match="fraction"):
        SynthConfig(fitted=1.5)
