"""Pickles as other programs write them, made without those programs."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def pretended(**classes: type) -> Iterator[None]:
    """While open, classes can be pickled under another module's name: ``chumpy_ch__Ch=...``."""
    made: dict[str, types.ModuleType] = {}
    for key, kind in classes.items():
        module, name = key.split("__")
        module = module.replace("_", ".")
        parts = module.split(".")
        for i in range(len(parts)):
            full = ".".join(parts[: i + 1])
            if full not in made:
                made[full] = types.ModuleType(full)
        kind.__module__, kind.__qualname__, kind.__name__ = module, name, name
        setattr(made[module], name, kind)
    before = {k: sys.modules.get(k) for k in made}
    sys.modules.update(made)
    try:
        yield
    finally:
        for k, module in before.items():
            if module is None:
                del sys.modules[k]
            else:
                sys.modules[k] = module


class Ch:
    """What chumpy's array leaves in a pickle: its attributes, the values under ``x``."""

    def __init__(self, values: np.ndarray) -> None:
        self.x = values
        self._dirty_vars: set[str] = set()
        self._itr = None


class Csc:
    """What scipy's matrix leaves in a pickle."""

    def __init__(self, dense: np.ndarray) -> None:
        columns = [np.flatnonzero(c) for c in dense.T]
        self._shape = dense.shape
        self.maxprint = 50
        self.indptr = np.cumsum([0, *map(len, columns)]).astype(np.int32)
        self.indices = np.concatenate(columns).astype(np.int32)
        self.data = np.concatenate([dense[rows, i] for i, rows in enumerate(columns)])


def dump(value: Any, protocol: int = 2) -> bytes:
    """A pickle in which ``Ch`` and ``Csc`` stand under their foreign names."""
    with pretended(chumpy_ch__Ch=Ch, scipy_sparse_csc__csc_matrix=Csc):
        return pickle.dumps(value, protocol)
