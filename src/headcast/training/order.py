"""Endless, repeatable orders: which item and which window belongs to an index."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["item_of", "window_of"]


def item_of(index: int, count: int, seed: int) -> int:
    """The item at a place of an endless order: every item once in each round, each round shuffled anew.

    A pure function, so that a run that goes on, or one of many processes, needs to remember nothing.
    """
    return int(_round(index // count, count, seed)[index % count])


@lru_cache(maxsize=4)
def _round(number: int, count: int, seed: int) -> Int[Tensor, " n"]:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    return torch.randperm(count, generator=generator)


def window_of(index: int, length: int, span: int, seed: int) -> int:
    """Where a window of ``span`` frames begins in a clip of ``length``."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + 7919 * index + 1) % 2**63)
    return int(torch.randint(length - span + 1, (), generator=generator))
