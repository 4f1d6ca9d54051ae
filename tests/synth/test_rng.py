"""Random numbers by name depend on nothing but seed, row and name."""

from __future__ import annotations

import numpy as np
import torch

from headcast.synth.rng import CounterRng

CPU = torch.device("cpu")


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, 0] for n in numbers], np.int64)


def test_a_row_does_not_depend_on_its_batch() -> None:
    together, alone = CounterRng(rows(3, 7, 9), 1, CPU), CounterRng(rows(7), 1, CPU)
    assert torch.equal(together.uniform("a", 4)[1], alone.uniform("a", 4)[0])
    assert torch.equal(together.normal("b", 2, 2)[1], alone.normal("b", 2, 2)[0])


def test_names_rows_and_seeds_differ() -> None:
    d = CounterRng(rows(1, 2), 0, CPU)
    a = d.uniform("a", 50)
    assert not torch.equal(a[0], a[1])
    assert not torch.equal(a, d.uniform("b", 50))
    assert not torch.equal(a, CounterRng(rows(1, 2), 5, CPU).uniform("a", 50))


def test_distributions() -> None:
    d = CounterRng(np.arange(20000, dtype=np.int64)[:, None], 0, CPU)
    u, n = d.uniform("u"), d.normal("n")
    assert abs(float(u.mean()) - 0.5) < 0.01
    assert abs(float(u.var()) - 1 / 12) < 0.003
    assert abs(float(n.mean())) < 0.03
    assert abs(float(n.std()) - 1) < 0.02
    share = torch.bincount(d.choice("c", (1.0, 2.0, 1.0)), minlength=3) / 20000
    assert torch.allclose(share, torch.tensor([0.25, 0.5, 0.25]), atol=0.015)
    assert abs(float(torch.corrcoef(torch.stack([u[:-1], u[1:]]))[0, 1])) < 0.03
