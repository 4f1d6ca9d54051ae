"""What a pickle may become beside Python's containers, numpy arrays and torch tensors. All of it is inert."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Bad", "Name", "Pending", "Record", "Sparse", "Storage"]


class Bad(Exception):
    """The bytes are damaged or ask for something that no model file needs; the message says what."""


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
