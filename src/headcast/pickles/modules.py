"""The state dict of a network that was pickled whole, its source code included, without rebuilding it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from headcast.errors import HeadcastError
from headcast.pickles.values import Record

__all__ = ["state_dict_of"]

MAX_DEPTH = 64
MAX_ENTRIES = 200_000  # modules and tensors: a module may stand in many places
MAX_NAME = 1024


def state_dict_of(value: Any) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by dotted name, as ``torch.nn.Module.state_dict`` gives them.

    Args:
        value: what ``load_restricted(path, keep_unknown=True)`` gave for a module: a ``Record`` (an
            ``nn.Module``, or StyleGAN's persistent object, whose attributes stand in its arguments), or a
            plain dictionary of tensors.

    Raises:
        HeadcastError: modules hold each other without end; the caller names the file.
    """
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, Tensor)}
    out: dict[str, Tensor] = {}
    stack, work = [(value, "", 0)], 0
    while stack:
        module, prefix, depth = stack.pop()
        own = attributes_of(module)
        hidden = own.get("_non_persistent_buffers_set")
        parameters, buffers, children = (entries(own.get(g)) for g in ("_parameters", "_buffers", "_modules"))
        work += 1 + len(parameters) + len(buffers) + len(children)
        if work > MAX_ENTRIES or len(prefix) > MAX_NAME:
            raise HeadcastError("a network of impossible size; get the file again from its publisher")
        buffers = [(k, v) for k, v in buffers if not is_hidden(k, hidden)]
        out.update({prefix + k: v for k, v in parameters + buffers if isinstance(v, Tensor)})
        if depth < MAX_DEPTH:
            stack += [(child, f"{prefix}{k}.", depth + 1) for k, child in reversed(children)]
    return out


def attributes_of(value: Any) -> dict[Any, Any]:
    """Return attributes of a pickled object."""
    if not isinstance(value, Record):
        return {}
    if isinstance(value.state, dict):
        return value.state
    first = value.args[0] if value.args else None
    state = first.get("state") if isinstance(first, dict) else None
    return state if isinstance(state, dict) else {}


def is_hidden(name: str, hidden: Any) -> bool:
    """Whether a buffer is left out of state dicts."""
    return isinstance(hidden, set | frozenset) and name in hidden


def entries(value: Any) -> list[tuple[str, Any]]:
    """Return items of a dictionary, or of an object that is one."""
    found = value.entries if isinstance(value, Record) else value
    return [(k, v) for k, v in found.items() if isinstance(k, str)] if isinstance(found, dict) else []
