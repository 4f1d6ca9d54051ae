"""CodeFormer, RestoreFormer and Real-ESRGAN: the user's checkpoints, run by spandrel (the extra ``restore``).

spandrel needs torchvision, which has no build for some CPU torches: this path was written against spandrel's
interface and has not been run by the authors of this program.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.weights.store import load_imported

__all__ = [
    "convert_codeformer",
    "convert_realesrgan",
    "convert_restoreformer",
    "find_state_dict",
    "load_foreign",
]

WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
Network = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 h2 w2"]]

# By names that only these networks' checkpoints have, and the licences that their authors state.
SIGNS = {
    "codeformer": ("position_emb", "S-Lab License 1.0 (non-commercial)"),
    "restoreformer": ("encoder.conv_in.weight", "Apache-2.0"),
    "realesrgan": ("conv_first.weight", "BSD-3-Clause"),
}


def find_state_dict(content: Any) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint, unwrapped, tensors alone.

    Raises:
        HeadcastError: there is none.
    """
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    found = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not found:
        raise HeadcastError("holds no network's weights; give the checkpoint that its authors published")
    return found


def check_checkpoint(name: str, content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Check the state dict and return it as it is, with a card.

    Raises:
        HeadcastError: it is another network's.
    """
    state = find_state_dict(content)
    state = {k.removeprefix("vqvae."): v for k, v in state.items()} if name == "restoreformer" else state
    sign, licence = SIGNS[name]
    if sign not in state:
        raise HeadcastError(f"is no checkpoint of {name} (it has no '{sign}')")
    return {k: v.clone() for k, v in state.items()}, {"licence": licence}


def convert_codeformer(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert for ``headcast weights import codeformer``."""
    return check_checkpoint("codeformer", content)


def convert_restoreformer(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert for ``headcast weights import restoreformer``."""
    return check_checkpoint("restoreformer", content)


def convert_realesrgan(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert for ``headcast weights import realesrgan``."""
    return check_checkpoint("realesrgan", content)


def load_foreign(name: str, device: torch.device) -> tuple[Network, int]:
    """Load a network from and to display values 0..1; also return how many times larger its result is.

    Raises:
        HeadcastError: spandrel or the weights are missing, or spandrel does not know them.
    """
    wanted = ["spandrel", *(["spandrel_extra_arches"] if name == "codeformer" else [])]
    missing = [p for p in wanted if find_spec(p) is None]
    if missing:
        raise HeadcastError(f"--with {name}: needs {' and '.join(missing)}: pip install 'headcast[restore]'")
    tensors, _ = load_imported(name)
    try:
        spandrel: Any = import_module("spandrel")
        if name == "codeformer":
            import_module("spandrel_extra_arches").install()
    except (ImportError, RuntimeError) as e:  # a torchvision of another torch says RuntimeError
        raise HeadcastError(
            f"--with {name}: spandrel does not start here ({e}); install a torchvision that fits your torch"
        ) from e
    try:
        found = spandrel.ModelLoader(device=device).load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError as e:
        raise HeadcastError(f"{name}: this spandrel does not know these weights ({e}); update it") from e
    return found.eval(), int(found.scale)
