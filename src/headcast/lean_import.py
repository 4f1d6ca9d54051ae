"""Import torch and numba without parts that rendering has no use for: a fifth of the start of a command.

torch registers its operators for tracing (fake tensors, export, compilation) when it is imported, numba looks
for scipy's linear algebra. Both come back to whoever imports them later.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

__all__ = ["import_numba", "import_torch"]

TRACING = "torch._meta_registrations"


def import_torch() -> None:
    """Import torch without its registrations for tracing."""
    if "torch" in sys.modules:
        return
    with stand_in(TRACING, ModuleType(TRACING)):
        import torch
    if hasattr(torch, "_meta_registrations"):
        delattr(torch, "_meta_registrations")
    with suppress(ImportError, AttributeError):  # releases that have it need it for torch.Generator
        from torch._opaque_base import OpaqueBaseMeta

        getattr(torch._C, "_set_generator_metaclass")(OpaqueBaseMeta)  # noqa: B009


def import_numba() -> None:
    """Import numba without scipy, which it would load for ``numpy.dot`` and the like in kernels."""
    if "scipy" in sys.modules or "numba" in sys.modules:
        return
    with stand_in("scipy", None):
        import numba.np.arraymath  # noqa: F401


@contextmanager
def stand_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Let an import of ``name`` find a module while open; None: let it fail."""
    sys.modules[name] = module  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
