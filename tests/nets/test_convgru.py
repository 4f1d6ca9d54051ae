"""The convolutional GRU: Eq. 1, with the gate as published."""

from __future__ import annotations

import torch

from headcast.nets.convgru import ConvGRU


def gru() -> ConvGRU:
    """A small unit with random weights."""
    torch.manual_seed(0)
    return ConvGRU(4)


@torch.no_grad()
def test_a_step_is_eq_1_with_the_gates_exchanged() -> None:
    unit, x, h = gru(), torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 6)
    gates = torch.sigmoid(unit.ih[0](torch.cat([x, h], 1)))
    r, z = gates[:, :4], gates[:, 4:]
    o = torch.tanh(unit.hh[0](torch.cat([x, r * h], 1)))
    torch.testing.assert_close(unit.step(x, h), (1 - z) * h + z * o)
    # as Eq. 1 prints it, with the update gate's layer negated: z and 1 - z change places
    unit.ih[0].weight[4:] *= -1
    unit.ih[0].bias[4:] *= -1
    negated = torch.sigmoid(unit.ih[0](torch.cat([x, h], 1)))[:, 4:]
    torch.testing.assert_close(negated * h + (1 - negated) * o, (1 - z) * h + z * o)


@torch.no_grad()
def test_a_state_that_is_carried_continues_the_sequence() -> None:
    unit, x = gru(), torch.randn(1, 5, 4, 6, 6)
    whole = unit(x)
    torch.testing.assert_close(unit(x[:, 3:], unit(x[:, :3])), whole)
    assert whole.shape == (1, 4, 6, 6)
    assert not torch.allclose(unit(x[:, 3:]), whole)  # what came before counts


@torch.no_grad()
def test_a_closed_gate_keeps_the_state_and_an_open_one_replaces_it() -> None:
    unit, x, h = gru(), torch.randn(1, 1, 4, 6, 6), torch.randn(1, 4, 6, 6)
    unit.ih[0].bias[4:] = -50.0
    torch.testing.assert_close(unit(x, h), h)
    unit.ih[0].bias[4:] = 50.0
    assert float(unit(x, 3 * h).abs().max()) <= 1.0  # the candidate is a tanh
