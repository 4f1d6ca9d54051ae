"""Weights of published networks that the user brings, for the evaluator alone; no code in them is run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from headcast.errors import HeadcastError

__all__ = ["fill", "read_weights"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "params")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file or a torch checkpoint, ``module.`` dropped from names.

    Raises:
        HeadcastError: missing, damaged, a TorchScript archive (which is code), or without tensors.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        from headcast.weights import load_tensors

        return load_tensors(path)[0]
    from headcast.pickles import load_restricted

    refuse_code(path)
    found = load_restricted(path)
    for name in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    tensors = (
        {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, dict) else {}
    )
    if not tensors:
        raise HeadcastError(f"{path}: holds no weights by name; give a state dict (.pth or .safetensors)")
    return {k.removeprefix("module."): v for k, v in tensors.items()}


def refuse_code(path: Path) -> None:
    """Refuse TorchScript archives: they contain programs."""
    import zipfile

    from headcast.parsing import open_zip, parsing

    with parsing(path, "not a readable checkpoint", "get it again"):
        if not path.is_file() or not zipfile.is_zipfile(path):
            return
        with open_zip(path) as archive:
            if any("/code/" in n or n.endswith("constants.pkl") for n in archive.namelist()):
                raise HeadcastError(
                    f"{path}: a TorchScript program, which is not run here; give the network's state dict"
                )


def fill(module: nn.Module, tensors: dict[str, Tensor], path: str | Path, unused: Iterable[str] = ()) -> None:
    """Load a network's weights and leave it in evaluation mode without gradients.

    Args:
        unused: beginnings of names that the file may hold beside.

    Raises:
        HeadcastError: a name or a shape is not the network's.
    """
    wanted = module.state_dict()
    counters = {k for k in wanted if k.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(tensors) - counters)
    if missing:
        raise HeadcastError(f"{path}: not the weights of {type(module).__name__}: '{missing[0]}' is missing")
    extra = sorted(k for k in set(tensors) - set(wanted) if not k.startswith(tuple(unused)))
    if extra:
        raise HeadcastError(f"{path}: not the weights of {type(module).__name__}: '{extra[0]}' is unknown")
    for name, old in wanted.items():
        if name in tensors and tensors[name].shape != old.shape:
            shapes = f"{tuple(tensors[name].shape)}, not {tuple(old.shape)}"
            raise HeadcastError(f"{path}: '{name}' has the shape {shapes}")
    module.load_state_dict(
        {k: tensors[k].to(v.dtype) if k in tensors else torch.zeros_like(v) for k, v in wanted.items()}
    )
    module.eval().requires_grad_(False)
