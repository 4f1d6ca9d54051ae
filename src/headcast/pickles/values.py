"""What a pickle may become beside Python's containers, numpy arrays and torch tensors. All of it is inert."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Bad", "Budget", "Name", "Pending", "Record", "Sparse", "Storage"]

MAX_WORK = 1_000_000  # instructions and copied values of one file, nested pickles included
MAX_NESTING = 2
MAX_TUPLE_KEYS = 1024  # tuples are easily made to collide in a dictionary
MAX_NAME = 256  # characters of a class's or function's name


class Bad(Exception):
    """The bytes are damaged or ask for something that no model file needs; the message says what."""


class Budget:
    """What one file may cost, shared by all pickles nested in it.

    Args:
        size: bytes of arrays and tensors that may come out of it.
    """

    def __init__(self, size: int) -> None:
        self.size, self.work, self.nesting, self.tuple_keys = size, MAX_WORK, MAX_NESTING, MAX_TUPLE_KEYS

    def spend_work(self, count: int) -> None:
        """Count instructions and copied values: small files must not keep the machine busy."""
        self.work -= count
        if self.work < 0:
            raise Bad("it takes far more steps than a model file needs")

    def spend_bytes(self, count: int) -> None:
        """Count bytes of numbers: small files must not become huge arrays."""
        self.size -= count
        if self.size < 0:
            raise Bad("it unfolds to far more numbers than it holds")


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names. It is never looked up."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass
class Record:
    """An object of a class that is not rebuilt: what it was made from, and nothing that runs.

    Attributes:
        name: the class or function. args: what it was to be called with. state: its attributes.
        items, entries: what was appended to it, as to a list or a dictionary.
    """

    name: Name
    args: tuple
    state: Any = None
    items: list = field(default_factory=list)
    entries: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Sparse:
    """A sparse matrix in compressed columns (``csc``) or rows (``csr``), as scipy stores it."""

    form: str
    shape: tuple[int, int]
    data: Float[np.ndarray, " n"]
    indices: Int[np.ndarray, " n"]
    indptr: Int[np.ndarray, " m"]

    def dense(self) -> Float[np.ndarray, "r c"]:
        """Return the full matrix, float64."""
        major = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        out = np.zeros(self.shape)
        rows, columns = (self.indices, major) if self.form == "csc" else (major, self.indices)
        np.add.at(out, (rows, columns), self.data)
        return out


@dataclass(frozen=True)
class Storage:
    """The numbers behind torch tensors: a flat tensor."""

    flat: Any


class Pending:
    """An object that gets its content in a later instruction (``BUILD``)."""

    def __init__(self, finish: Any) -> None:
        self.finish = finish
        self.memo_keys: list[int] = []
