"""The few things that a model file may ask for by name, rebuilt by our own functions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headcast.pickles.machine import plain_key
from headcast.pickles.values import Bad, Budget, Name, Pending, Record, Sparse, Storage

__all__ = ["Rebuilder"]

MAX_DIMENSIONS = 32
MAX_SIZE = 1 << 62
MAX_ATTRIBUTES = 256  # of a sparse matrix or an array of chumpy
DTYPE = re.compile(r"[biufc?](1|2|4|8|16)?")
SPARSE = re.compile(r"scipy\.sparse(\._?(csc|csr))?\.(csc|csr)_(matrix|array)")
DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "Untyped": torch.uint8,
}
"""Element types by the name of torch's storage classes."""


class Rebuilder:
    """Builder that answers a pickle's calls.

    Args:
        budget: what the file may cost.
        keep_unknown: gives an inert ``Record`` for other classes instead of refusing the file.
        nested: opens a storage that torch pickled as bytes.
    """

    def __init__(self, budget: Budget, keep_unknown: bool, nested: Callable[[bytes], Any]) -> None:
        self.budget, self.keep_unknown, self.nested = budget, keep_unknown, nested
        numpy_names = ("numpy.core.multiarray", "numpy._core.multiarray")
        self.table: dict[str, Callable[[tuple], Any]] = {
            **{f"{m}._reconstruct": lambda a: Pending(self.array) for m in numpy_names},
            **{f"{m}.scalar": self.scalar for m in numpy_names},
            "numpy.core.numeric._frombuffer": self.from_buffer,
            "numpy._core.numeric._frombuffer": self.from_buffer,
            "numpy.dtype": make_dtype,
            "collections.OrderedDict": self.ordered,
            "builtins.dict": self.ordered,
            "copy_reg._reconstructor": self.instance,
            "copyreg._reconstructor": self.instance,
            "_codecs.encode": self.encoded,
            **{f"{m}.set": self.plain_set for m in ("builtins", "__builtin__")},
            **{f"{m}.frozenset": self.plain_set for m in ("builtins", "__builtin__")},
            **{f"{m}.bytes": self.encoded for m in ("builtins", "__builtin__")},
            **{f"{m}.bytearray": self.encoded for m in ("builtins", "__builtin__")},
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": lambda a: a[0],
            "torch._utils._rebuild_parameter_with_state": lambda a: a[0],
            "torch.storage._load_from_bytes": lambda a: self.nested(a[0]),
            "torch.Size": lambda a: whole(a[0]),
            "torch.device": device_name,
        }

    def __call__(self, name: Name, args: tuple) -> Any:
        """Return what stands for ``name(*args)``."""
        build = self.table.get(str(name))
        if build is not None:
            return build(args)
        return self.instance((name, *args))

    def instance(self, args: tuple) -> Any:
        """Make an object of a class that gets its attributes later."""
        name = args[0]
        if not isinstance(name, Name):
            raise Bad("it makes an object of no class")
        if SPARSE.fullmatch(str(name)):
            return Pending(lambda state: self.sparse(name.attribute[:3], state))
        if name.module.split(".")[0] == "chumpy":
            return Pending(self.chumpy)
        if not self.keep_unknown:
            raise Bad(f"it asks for '{str(name)[:80]}', which a file of numbers has no need of")
        return Record(name=name, args=args[1:])

    def encoded(self, args: tuple) -> bytes:
        """Encode bytes that Python 2 or 3 wrote as text."""
        text = args[0] if args else b""
        if isinstance(text, bytes):
            return text
        if not isinstance(text, str) or (len(args) > 1 and args[1] not in ("latin1", "latin-1")):
            raise Bad("bytes of an unknown encoding")
        self.budget.spend_bytes(len(text))
        return text.encode("latin-1")

    def listed(self, args: tuple) -> list[Any] | tuple[Any, ...]:
        """Return the list or tuple that is copied into a container."""
        values = args[0] if args else []
        if not isinstance(values, list | tuple):
            raise Bad("it fills a container from no list")
        self.budget.spend_work(len(values))
        return values

    def ordered(self, args: tuple) -> dict[Any, Any]:
        """Make ``OrderedDict()`` or ``OrderedDict([[key, value], ...])``."""
        return {plain_key(k, self.budget): v for k, v in self.listed(args)}

    def plain_set(self, args: tuple) -> set[Any]:
        """Make a set from ``set([...])``."""
        return {plain_key(v, self.budget) for v in self.listed(args)}

    def shaped(self, data: Any, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
        """Make an array from its bytes; shape and length must agree."""
        shape = whole(shape)
        raw = self.encoded((data,))
        if not isinstance(raw, bytes) or len(raw) != math.prod(shape) * dtype.itemsize:
            raise Bad("an array's shape and its bytes don't agree")
        self.budget.spend_bytes(len(raw))
        return np.frombuffer(raw, dtype).reshape(shape, order=order)  # type: ignore[call-overload]

    def array(self, state: Any) -> np.ndarray:
        """Set numpy's state: (version, shape, dtype, Fortran order, bytes)."""
        _, shape, dtype, fortran, data = state
        return self.shaped(data, real(dtype), shape, "F" if fortran else "C")

    def scalar(self, args: tuple) -> Any:
        """Make a numpy number."""
        return self.shaped(args[1], real(args[0]), (1,), "C")[0]

    def from_buffer(self, args: tuple) -> np.ndarray:
        """Make an array from numpy's form of protocol 5."""
        data, dtype, shape, order = args
        if order not in ("C", "F"):
            raise Bad("an array of an unknown order")
        return self.shaped(data, real(dtype), shape, order)

    def sparse(self, form: str, state: Any) -> Sparse:
        """Make scipy's compressed matrix from its attributes."""
        state = attributes(state)
        rows, columns = whole(state.get("_shape", state.get("shape")))
        data, indices, indptr = (numbers(state[k]) for k in ("data", "indices", "indptr"))
        self.budget.spend_bytes(8 * (rows * columns + len(data) + len(indices) + len(indptr)))
        major, minor = (columns, rows) if form == "csc" else (rows, columns)
        if indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu" or data.dtype.kind not in "fiu":
            raise Bad("a sparse matrix of no numbers")
        steps = np.diff(indptr.astype(np.int64))
        fits = len(indptr) == major + 1 and (steps >= 0).all() and indptr[0] == 0 and indptr[-1] == len(data)
        if (
            not fits
            or len(indices) != len(data)
            or (len(data) and not 0 <= indices.min() <= indices.max() < minor)
        ):
            raise Bad("a sparse matrix whose parts don't agree")
        return Sparse(
            form=form, shape=(rows, columns), data=data.astype(np.float64), indices=indices, indptr=indptr
        )

    def chumpy(self, state: Any) -> np.ndarray:
        """Return the values of chumpy's arrays: ``Ch`` holds them, ``Select`` picks them from another."""
        state = attributes(state)
        if "x" in state:
            return numbers(state["x"])
        source, index = numbers(state["a"]), numbers(state["idxs"])
        self.budget.spend_bytes(source.nbytes + index.size * (8 + source.itemsize))
        picked = source.ravel()[index.astype(np.int64)]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(whole(shape))

    def tensor(self, args: tuple) -> Tensor:
        """Make a torch tensor: (storage, offset, size, stride, ...)."""
        storage, offset, size, stride = args[0], args[1], whole(args[2]), whole(args[3])
        if not isinstance(storage, Storage) or not isinstance(offset, int) or offset < 0:
            raise Bad("a tensor without numbers")
        if len(size) != len(stride) or len(size) > 16:
            raise Bad("a tensor of an impossible shape")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if math.prod(size) and last >= len(storage.flat):
            raise Bad("a tensor larger than its storage")
        if not storage.flat.is_meta:
            self.budget.spend_bytes(math.prod(size) * storage.flat.element_size())
        return torch.as_strided(storage.flat, size, stride, offset)


def whole(shape: Any) -> tuple[int, ...]:
    """Check and return a tuple of sizes."""
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, list | tuple) or len(sizes) > MAX_DIMENSIONS:
        raise Bad("an impossible shape")
    sizes = tuple(int(n) for n in sizes if isinstance(n, int | np.integer))
    if len(sizes) != len(shape if isinstance(shape, list | tuple) else (shape,)):
        raise Bad("a shape of no whole numbers")
    if any(not 0 <= n < MAX_SIZE for n in sizes):
        raise Bad("a negative or impossible size")
    return sizes


def attributes(state: Any) -> dict[str, Any]:
    """Return an object's attributes, from its dictionary or a (dictionary, slots) pair."""
    parts = state if isinstance(state, tuple) else (state,)
    if len(parts) > 2 or sum(len(part) for part in parts if isinstance(part, dict)) > MAX_ATTRIBUTES:
        raise Bad("an object of too many attributes")
    return {k: v for part in parts if isinstance(part, dict) for k, v in part.items()}


def make_dtype(args: tuple) -> Pending:
    """Make a ``numpy.dtype``: plain numbers only; the byte order comes with the state."""
    code = args[0]
    if not isinstance(code, str) or not DTYPE.fullmatch(code):
        raise Bad(f"an array of '{code[:20] if isinstance(code, str) else '?'}', which is no plain number")

    def finish(state: Any) -> np.dtype:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")

    return Pending(finish)


def real(dtype: Any) -> np.dtype:
    """Return the dtype of a pending one."""
    found = dtype.finish(None) if isinstance(dtype, Pending) else dtype
    if not isinstance(found, np.dtype):
        raise Bad("an array of no type")
    return found


def numbers(value: Any) -> np.ndarray:
    """Return an array or a number as an array; lists are no arrays here, for they may hold each other."""
    if not isinstance(value, np.ndarray | np.number | int | float):
        raise Bad("an array of no numbers")
    return np.asarray(value)


def device_name(args: tuple) -> str:
    """Return a device's name: its kind and number."""
    if len(args) > 2 or not all(isinstance(a, str | int) for a in args):
        raise Bad("a device of no name")
    return ":".join(str(a)[:20] for a in args)
