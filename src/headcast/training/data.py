"""Batches in the order of their indices, prefetched by threads where that helps."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from headcast.training.config import TrainConfig
from headcast.training.engine import Engine
from headcast.training.recipe import Recipe
from headcast.training.step import indices

__all__ = ["step_batches"]


def step_batches(recipe: Recipe, config: TrainConfig, engine: Engine, step: int) -> Generator[list[Any]]:
    """Yield the batches of each step from ``step`` on; closing the iterator ends the threads."""

    def make(number: int) -> Any:
        return recipe.batch(number, config.seed, engine.device)

    if not config.workers:
        while True:
            numbers = indices(step, config, engine.rank, engine.world)
            torch.manual_seed(config.seed + numbers[0])  # so that global random numbers repeat, too
            yield [make(n) for n in numbers]
            step += 1
    pool = ThreadPoolExecutor(config.workers, "batch")
    waiting: deque[list[Future[Any]]] = deque()
    try:
        while True:
            while len(waiting) <= -(-config.workers // config.accumulate):
                ahead = indices(step, config, engine.rank, engine.world)
                waiting.append([pool.submit(make, n) for n in ahead])
                step += 1
            yield [f.result() for f in waiting.popleft()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
