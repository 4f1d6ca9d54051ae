"""Face shapes: from the head model's own prior, or as fitted people scatter (``weights/identity``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.parsing import parsing
from headcast.synth.rng import CounterRng
from headcast.weights import load_tensors

__all__ = ["IdentityStatistics", "draw_identities", "fitted_people"]


@dataclass(frozen=True)
class IdentityStatistics:
    """Mean and covariance of fitted identities; no single person's are stored.

    Attributes:
        mean: (I,) of the coefficients.
        factor: (I, I) lower triangular, factor factor^T is their covariance.
    """

    mean: Float[Tensor, " i"]
    factor: Float[Tensor, "i i"]


@cache
def fitted_people(head_hash: str) -> IdentityStatistics:
    """Load the bundled statistics, on the CPU.

    Raises:
        HeadcastError: they belong to another head.
    """
    tensors, metadata, _ = load_tensors("identity")
    with parsing("weights/identity.safetensors", "not identity statistics", "reinstall headcast"):
        about = json.loads(metadata["identity"])
    if about["head"] != head_hash:
        raise HeadcastError("weights/identity: belongs to another head; run tools/learn_identities.py again")
    return IdentityStatistics(tensors["mean"], torch.linalg.cholesky(tensors["covariance"].double()).float())


def draw_identities(
    rng: CounterRng,
    feminine: Bool[Tensor, " b"],
    axis: Float[Tensor, " i"],
    people: IdentityStatistics | None,
    fraction: float,
) -> tuple[Float[Tensor, "b i"], Bool[Tensor, " b"]]:
    """Sample identity coefficients; also return who follows the fitted people's statistics (a ``fraction``).

    Without ``people`` nobody is. Both kinds take their place along ``axis`` (feminine to masculine) from the
    sex alone: the fitted people are mostly men, and their mean must not make women of their kind rare.
    """
    z = rng.normal("identity", len(axis), clip=2.6)
    shape = z * rng.uniform("distinct", low=0.75, high=1.2)[:, None]
    fitted = rng.chance("fitted", 0.0 if people is None else fraction)
    if people is not None:
        like = people.mean.to(z) + z @ people.factor.to(z).T
        shape = torch.where(fitted[:, None], like, shape)
    along = torch.where(feminine, -0.9, 0.9) + 0.75 * rng.normal("dimorphism")
    return shape + (along - shape @ axis)[:, None] * axis, fitted
