"""The binary half of a GLB: arrays laid out as glTF 2.0 accessors and buffer views (spec 3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

if TYPE_CHECKING:
    from pygltflib import Accessor, BufferView

__all__ = ["GltfData"]

TYPES = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}
VERTICES, TRIANGLES = 34962, 34963  # buffer targets
SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
SMALLEST = 2e-6
"""Movements (metres) below this are left out of sparse accessors."""


class GltfData:
    """Collect arrays; ``accessors`` and ``views`` go into the glTF, ``blob`` into the file's binary part."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self.views: list[BufferView] = []
        self.accessors: list[Accessor] = []
        self._views_by_bytes: dict[bytes, int] = {}

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of four; return the buffer view's index."""
        from pygltflib import BufferView

        self.blob.extend(b"\0" * (-len(self.blob) % 4))
        self.views.append(
            BufferView(buffer=0, byteOffset=len(self.blob), byteLength=len(data), target=target)
        )
        self.blob.extend(data)
        return len(self.views) - 1

    def array(self, array: Shaped[np.ndarray, "n *c"], *, bounds: bool = False) -> int:
        """Add a vertex attribute (or matrices); ``bounds`` writes minimum and maximum."""
        target = VERTICES if array.ndim == 2 else None
        accessor = self._accessor(array, self.view(np.ascontiguousarray(array).tobytes(), target))
        if bounds:
            accessor.min, accessor.max = array.min(0).tolist(), array.max(0).tolist()
        return len(self.accessors) - 1

    def triangles(self, faces: Shaped[np.ndarray, "f 3"], count: int) -> int:
        """Add indices into ``count`` vertices, in the smallest type that holds them."""
        flat = faces.reshape(-1).astype(np.uint16 if count < 65535 else np.uint32)
        self._accessor(flat, self.view(flat.tobytes(), TRIANGLES))
        return len(self.accessors) - 1

    def sparse(self, displacement: Float[np.ndarray, "n 3"]) -> int:
        """Add vertex displacements that are mostly zero: only the others are stored (spec 3.6.2.3).

        Where none moves, one zero is stored: the specification allows accessors without any data, but assimp
        refuses them.
        """
        from pygltflib import AccessorSparseIndices as Indices
        from pygltflib import AccessorSparseValues as Values
        from pygltflib import Sparse

        moved = np.flatnonzero(np.linalg.norm(displacement, axis=1) > SMALLEST)
        if not len(moved):
            moved, displacement = np.zeros(1, np.intp), np.zeros_like(displacement)
        values = displacement[moved].astype(np.float32)
        accessor = self._accessor(np.zeros_like(displacement, np.float32), None)
        bounds = np.zeros((1, 3), np.float32) if len(moved) < len(displacement) else values[:1]
        bounds = np.concatenate([values, bounds])
        accessor.min, accessor.max = bounds.min(0).tolist(), bounds.max(0).tolist()
        index = moved.astype(np.uint16 if len(displacement) < 65535 else np.uint32)
        accessor.sparse = Sparse(
            count=len(moved),
            indices=Indices(bufferView=self._shared(index), componentType=TYPES[index.dtype.name]),
            values=Values(bufferView=self._shared(values)),
        )
        return len(self.accessors) - 1

    def _shared(self, array: Shaped[np.ndarray, "n *c"]) -> int:
        """Return the buffer view of an array without a target; equal bytes are stored once."""
        data = array.tobytes()
        if data not in self._views_by_bytes:
            self._views_by_bytes[data] = self.view(data)
        return self._views_by_bytes[data]

    def _accessor(self, array: np.ndarray, view: int | None) -> Any:
        from pygltflib import Accessor

        accessor = Accessor(
            bufferView=view,
            componentType=TYPES[array.dtype.name],
            count=len(array),
            type=SHAPES[array.shape[1:]],
            byteOffset=None,
        )
        self.accessors.append(accessor)
        return accessor
