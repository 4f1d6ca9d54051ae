"""The dual discriminator and the adversarial losses."""

from __future__ import annotations

import math

import torch

from headcast.nets.discriminator import DualDiscriminator
from headcast.training.adversarial import discriminator_loss, generator_loss, r1_penalty


def test_logits_depend_on_both_images() -> None:
    torch.manual_seed(0)
    network = DualDiscriminator(16, 8, 16)
    image, raw = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 4, 4)
    logits = network(image, raw)
    assert logits.shape == (2, 1)
    assert not torch.allclose(logits, network(image, -raw)) and not torch.allclose(
        logits, network(-image, raw)
    )


def test_the_spread_over_the_batch_is_a_feature() -> None:
    torch.manual_seed(1)
    network = DualDiscriminator(8, 8, 16)
    image, raw = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)
    # a batch of the same image twice has no spread, as an image alone
    alone = network(image[:1], raw[:1])
    same = network(image[:1].expand(2, -1, -1, -1), raw[:1].expand(2, -1, -1, -1))
    torch.testing.assert_close(same, alone.expand(2, -1))
    assert not torch.allclose(network(image, raw)[:1], alone)


def test_losses_are_the_non_saturating_ones() -> None:
    zero = torch.zeros(3, 1)
    assert math.isclose(float(generator_loss(zero)), math.log(2), rel_tol=1e-6)
    assert math.isclose(float(discriminator_loss(zero, zero)), 2 * math.log(2), rel_tol=1e-6)
    assert generator_loss(zero + 5) < generator_loss(zero) < generator_loss(zero - 5)
    assert discriminator_loss(zero + 5, zero - 5) < discriminator_loss(zero, zero)
    assert discriminator_loss(zero - 5, zero + 5) > discriminator_loss(zero, zero)
    fake = torch.tensor([[-20.0]], requires_grad=True)
    generator_loss(fake).backward()
    assert fake.grad is not None and float(fake.grad) < -0.99  # its gradient does not vanish where it loses


def test_r1_is_the_squared_gradient_by_every_image() -> None:
    torch.manual_seed(2)
    network = DualDiscriminator(16, 8, 16)
    image, raw = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 4, 4)
    found = r1_penalty(network, image, raw)
    image.requires_grad_()
    raw.requires_grad_()
    network(image, raw).sum().backward()
    assert image.grad is not None and raw.grad is not None
    assert torch.isclose(found, (image.grad.square().sum() + raw.grad.square().sum()) / 2, rtol=1e-4)


def test_r1_of_a_known_function_and_its_gradient() -> None:
    weight = torch.tensor(3.0, requires_grad=True)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return (weight * x).sum((1, 2, 3))[:, None]

    found = r1_penalty(critic, torch.randn(4, 2, 3, 3))
    assert float(found.detach()) == 9 * 18
    found.backward()
    assert weight.grad is not None and float(weight.grad) == 2 * 3 * 18


def test_a_batch_of_one_has_a_finite_gradient() -> None:
    torch.manual_seed(3)
    network = DualDiscriminator(16, 8, 16)
    image = torch.randn(1, 3, 16, 16, requires_grad=True)
    network(image, torch.randn(1, 3, 4, 4)).sum().backward()
    assert image.grad is not None and bool(image.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
