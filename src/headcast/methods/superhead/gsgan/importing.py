"""Convert official checkpoints of GSGAN to our state dict (``headcast weights import``)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.methods.superhead.gsgan.network import GSGAN
from headcast.pickles.modules import state_dict_of

__all__ = ["convert_gsgan"]

GENERATORS = ("G_ema", "G")
FILE = "network-snapshot-NNNNNN.pkl"


def convert_gsgan(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert the generator of a published pickle, or a plain state dict, of either resolution.

    The pickles embed their network's source; the restricted loader gives their tensors without running it.

    Raises:
        HeadcastError: it is another network's.
    """
    source = content
    if isinstance(content, dict):
        source = next((content[k] for k in GENERATORS if content.get(k) is not None), content)
    state = state_dict_of(source)
    resolution = 512 if any(".block_128." in k for k in state) else 256
    with torch.device("meta"):
        wanted = {k: v.shape for k, v in GSGAN(resolution).state_dict().items()}
    wrong = [k for k, s in wanted.items() if not isinstance(state.get(k), Tensor) or state[k].shape != s]
    if wrong:
        raise HeadcastError(
            f"is no checkpoint of GSGAN ({len(wrong)} of {len(wanted)} tensors are missing or of another "
            f"shape, '{wrong[0]}' first); use {FILE}"
        )
    tensors = {k: state[k].clone() if "rotation_init" in k else state[k].float().clone() for k in wanted}
    return tensors, {
        "licence": "none stated by its authors; parts are NVIDIA's and Inria's, non-commercial: ask first",
        "commercial": "no",
        "what": f"GSGAN's generator of Gaussian heads, {resolution} pixels",
    }
