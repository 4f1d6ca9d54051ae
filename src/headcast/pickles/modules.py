"""The state dict of a network that was pickled whole, its source code included, without rebuilding it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from headcast.pickles.values import Record

__all__ = ["state_dict_of"]

MAX_DEPTH = 64


def state_dict_of(value: Any) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by dotted name, as ``torch.nn.Module.state_dict`` gives them.

    Args:
        value: what ``load_restricted(path, keep_unknown=True)`` gave for a module: a ``Record`` (an
            ``nn.Module``, or StyleGAN's persistent object, whose attributes stand in its arguments), or a
            plain dictionary of tensors.
    """
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, Tensor)}
    out: dict[str, Tensor] = {}
    _collect(value, "", out, 0)
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


def _collect(value: Any, prefix: str, out: dict[str, Tensor], depth: int) -> None:
    own = attributes_of(value)
    hidden = own.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, tensor in entries(own.get(group)):
            if isinstance(tensor, Tensor) and not (group == "_buffers" and name in hidden):
                out[prefix + name] = tensor
    if depth < MAX_DEPTH:
        for name, module in entries(own.get("_modules")):
            _collect(module, f"{prefix}{name}.", out, depth + 1)


def entries(value: Any) -> list[tuple[str, Any]]:
    """Return items of a dictionary, or of an object that is one."""
    found = value.entries if isinstance(value, Record) else value
    return [(k, v) for k, v in found.items() if isinstance(k, str)] if isinstance(found, dict) else []
