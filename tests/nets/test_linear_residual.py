"""Small blocks: equalized linear layers, residual blocks that start as nothing."""

from __future__ import annotations

import torch
from torch.nn.functional import leaky_relu

from headcast.nets.linear import EqualizedLinear
from headcast.nets.residual import SLOPE, ConvNorm, Residual


def test_equalized_layers_keep_variance_and_start_with_their_bias() -> None:
    torch.manual_seed(0)
    layer = EqualizedLinear(400, 300, bias=1)
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert abs(float(layer.weight.std()) - 1) < 0.02
    out = layer(torch.randn(200, 400))
    assert abs(float(out.mean()) - 1) < 0.05 and abs(float(out.std()) - 1) < 0.05


def test_equalized_layers_are_linear() -> None:
    torch.manual_seed(1)
    layer = EqualizedLinear(6, 4).double()
    x = torch.randn(3, 2, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), x @ layer.weight.T / 6**0.5)


def test_residual_blocks_start_as_their_activation_and_keep_names() -> None:
    torch.manual_seed(2)
    block, x = Residual(16), torch.randn(2, 16, 5, 7)
    assert torch.equal(block(x), leaky_relu(x, SLOPE))
    assert {n.rpartition(".")[0] for n in block.state_dict()} == {"first.conv", "first.norm", "conv", "norm"}
    torch.nn.init.ones_(block.norm.weight)
    assert not torch.equal(block(x), leaky_relu(x, SLOPE))


def test_strides_halve_and_groups_are_of_eight_channels() -> None:
    block = ConvNorm(3, 24, stride=2)
    assert block(torch.randn(1, 3, 9, 8)).shape == (1, 24, 5, 4)
    assert block.norm.num_groups == 3 and ConvNorm(3, 4).norm.num_groups == 1
