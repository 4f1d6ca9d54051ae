"""Numba kernels that compile at first use, and threads to run them on.

A kernel is plain Python until it is called: importing this package needs no numba. Kernels release the
interpreter lock and are run over pieces of the work by our own threads, which avoids numba's threading
layers (a second OpenMP beside torch's, aborts under threads or after a fork) and halves the compile time.
"""

from __future__ import annotations

import inspect
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

from headcast.render.kernel_cache import KernelCache

__all__ = ["Kernel", "helper", "kernel", "parallel", "prepare", "side_jobs", "threads"]

_lock = threading.RLock()
_pool: ThreadPoolExecutor | None = None
_kernels: list[Kernel] = []


class Kernel:
    """A function that numba compiles for one signature when it is first called."""

    def __init__(self, function: Callable[..., Any], signature: str | None) -> None:
        self.function = inspect.unwrap(function)
        self.signature = signature
        self._compiled: Callable[..., Any] | None = None

    def compiled(self) -> Callable[..., Any]:
        """Return the numba dispatcher; its helpers are found among the globals of the function's module."""
        if self._compiled is None:
            with _lock:
                if self._compiled is None:
                    self._compiled = self._compile()
        return self._compiled

    def _compile(self) -> Callable[..., Any]:
        import numba

        f = self.function
        names = {n: v for n, v in f.__globals__.items() if not n.startswith("__") or n == "__name__"}
        for name in f.__code__.co_names:
            if isinstance(value := names.get(name), Kernel):
                names[name] = value.compiled()
        copy = FunctionType(f.__code__, names, f.__name__, f.__defaults__, f.__closure__)
        copy.__qualname__, copy.__module__ = f.__qualname__, f.__module__
        if self.signature is None:
            return numba.njit(error_model="numpy", nogil=True, forceinline=True)(copy)
        dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(copy)
        if not f.__closure__ and (source := Path(f.__code__.co_filename)).is_file():
            dispatcher._cache = KernelCache(source, f.__qualname__, f.__code__.co_firstlineno)
        dispatcher.compile(self.signature)
        dispatcher.disable_compile()
        return dispatcher

    def __call__(self, *args: Any) -> Any:
        return self.compiled()(*args)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Mark a function as a kernel with one numba signature; kept on disk, see ``kernel_cache``."""

    def mark(function: Callable[..., Any]) -> Kernel:
        _kernels.append(Kernel(function, signature))
        return _kernels[-1]

    return mark


def prepare() -> None:
    """Load or compile, in the background, the kernels of all modules imported so far."""

    def work() -> None:
        for k in tuple(_kernels):
            k.compiled()

    threading.Thread(target=work, daemon=True).start()


def helper(function: Callable[..., Any]) -> Kernel:
    """Mark a function that kernels of the same file call; typed by its callers and built into them.

    (Left to itself LLVM calls the larger ones, and handing over a dozen arrays costs more than the work.)
    """
    return Kernel(function, None)


def threads() -> int:
    """Return the number of threads of kernels: torch's, or ``NUMBA_NUM_THREADS`` where that is less."""
    import torch

    return max(1, min(torch.get_num_threads(), int(os.environ.get("NUMBA_NUM_THREADS") or 1 << 20)))


def parallel(work: Callable[[int], object], pieces: int) -> None:
    """Call ``work(0) .. work(pieces - 1)`` on all threads, the calling one among them.

    Pieces must be independent.
    """
    helpers = min(threads(), pieces) - 1
    todo = itertools.count()

    def run() -> None:
        while (i := next(todo)) < pieces:
            work(i)

    futures: list[Future[None]] = [_threads().submit(run) for _ in range(helpers)]
    run()
    for future in futures:
        future.result()


@contextmanager
def side_jobs() -> Iterator[ThreadPoolExecutor]:
    """Yield a thread for jobs beside the caller's work; the end waits for them, an error or Ctrl-C does not.

    (A job may be compiling kernels: half a minute in which an interrupted program would seem to hang.)
    """
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, threads() - 1), thread_name_prefix="headcast")
        return _pool


def _forget_threads() -> None:
    global _pool, _lock
    _pool, _lock = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
