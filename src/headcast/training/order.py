"""Endless, repeatable orders: the item and the window of an index."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["item_of", "window_of"]


def item_of(index: int, count: int, seed: int) -> int:
    """Return the item at a position of an endless order: every item once an epoch, reshuffled each epoch.

    A pure function, so that a resumed run, or one of many processes, needs no state.
    """
    return int(_round(index // count, count, seed)[index % count])


@lru_cache(maxsize=4)
def _round(number: int, count: int, seed: int) -> Int[Tensor, " n"]:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    return torch.randperm(count, generator=generator)


def window_of(index: int, length: int, span: int, seed: int) -> int:
    """Return the first frame of a window of ``span`` frames in a clip of ``length``."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + 7919 * index + 1) % 2**63)
    return int(torch.randint(length - span + 1, (), generator=generator))
