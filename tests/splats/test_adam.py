"""Adam by rows: torch's own, and rows that aren't seen stay."""

from __future__ import annotations

import torch

from headcast.splats.adam import RowAdam


def test_steps_are_those_of_torchs_sparse_adam() -> None:
    g = torch.Generator().manual_seed(0)
    for shape in ((300, 3), (300,)):
        ours = torch.randn(shape, generator=g)
        theirs = ours.clone()
        adam, reference = (
            RowAdam(ours, (0.8, 0.99), 1e-9),
            torch.optim.SparseAdam([theirs], 0.1, (0.8, 0.99), 1e-9),
        )
        before = ours.clone()
        for rate in (0.1, 0.05, 0.02, 0.02):
            index = torch.randperm(200, generator=g)[:120].sort().values
            gradient = torch.randn(120, *shape[1:], generator=g) * 1e-4
            reference.param_groups[0]["lr"] = rate
            theirs.grad = torch.sparse_coo_tensor(index[None], gradient, shape, is_coalesced=True)
            reference.step()
            adam.step(index, gradient, rate, torch.ones(120))
        assert torch.allclose(ours, theirs, atol=1e-6) and not torch.allclose(ours, before, atol=0.05)
        assert torch.equal(ours[200:], before[200:])


def test_a_share_of_a_step_is_that_share() -> None:
    start = torch.ones(4, 2)
    ours, index, gradient = start.clone(), torch.tensor([1, 3]), torch.tensor([[1.0, -2], [1, -2]])
    RowAdam(ours, (0.9, 0.99), 1e-8).step(index, gradient, 0.1, torch.tensor([1.0, 0.25]))
    assert torch.equal(ours[[0, 2]], start[[0, 2]])
    assert torch.allclose(ours[1] - 1, torch.tensor([-0.1, 0.1])) and torch.allclose(
        ours[3] - 1, (ours[1] - 1) / 4
    )
