"""The mapping network: condition, truncation, running mean."""

from __future__ import annotations

import pytest
import torch

from headcast.nets.discriminator import DualDiscriminator
from headcast.nets.mapping import RATE, MappingNetwork


@torch.no_grad()
def test_codes_are_normalised_and_labels_count() -> None:
    torch.manual_seed(0)
    network, z, label = MappingNetwork(8, 5, 12), torch.randn(3, 8), torch.randn(3, 5)
    w = network(z, label)
    assert w.shape == (3, 12)
    torch.testing.assert_close(network(7 * z, label), w, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(z, label.flip(0)), w)
    with pytest.raises(ValueError, match="label"):
        network(z)
    assert MappingNetwork(8, 0, 12)(z).shape == (3, 12)


@torch.no_grad()
def test_layers_are_stored_for_a_smaller_learning_rate() -> None:
    torch.manual_seed(1)
    layer = MappingNetwork(64, 0, 64).get_submodule("fc0")
    assert abs(float(layer.weight.std()) * RATE - 1) < 0.05
    x = torch.randn(4000, 64)
    assert 0.9 < float(layer(x).std()) < 1.1  # used, it is as any equalized layer


@torch.no_grad()
def test_truncation_draws_towards_the_running_mean() -> None:
    torch.manual_seed(2)
    network, z = MappingNetwork(8, 0, 4), torch.randn(500, 8)
    w = network(z)
    for _ in range(3000):
        network.update_average(w)
    torch.testing.assert_close(network.get_buffer("w_avg"), w.mean(0), rtol=0.02, atol=0.01)
    half, none = network(z, truncation=0.5), network(z, truncation=0.0)
    torch.testing.assert_close(half, (w + network.get_buffer("w_avg")) / 2)
    torch.testing.assert_close(none, network.get_buffer("w_avg").expand_as(w))


def test_a_discriminator_is_conditioned_on_hints_and_labels() -> None:
    torch.manual_seed(3)
    network = DualDiscriminator(16, 8, 16, hints=1, label=5)
    image, raw, hint, label = (torch.randn(2, *s) for s in ((3, 16, 16), (3, 4, 4), (1, 16, 16), (5,)))
    logits = network(image, raw, hint, label)
    assert logits.shape == (2, 1)
    assert not torch.allclose(logits, network(image, raw, -hint, label))
    assert not torch.allclose(logits, network(image, raw, hint, -label))
