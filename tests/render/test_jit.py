"""Threads beside the work."""

from __future__ import annotations

import threading

import pytest

from headcast.render.jit import side_jobs


def test_an_interrupt_does_not_wait_for_side_jobs() -> None:
    go, done = threading.Event(), threading.Event()

    def job() -> None:
        go.wait(20)
        done.set()

    with pytest.raises(KeyboardInterrupt), side_jobs() as pool:
        pool.submit(job)
        waiting = pool.submit(job)
        raise KeyboardInterrupt
    assert not done.is_set() and waiting.cancelled()
    go.set()


def test_the_end_waits_for_side_jobs() -> None:
    with side_jobs() as pool:
        jobs = [pool.submit(pow, 2, n) for n in range(3)]
    assert [j.result(0) for j in jobs] == [1, 2, 4]
