"""Convert official checkpoints of face-vid2vid to our state dicts (``headcast weights import``)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from headcast.errors import HeadcastError
from headcast.methods.facevid2vid.config import BETA, OFFICIAL, ORIGINAL, NetworkSizes
from headcast.methods.facevid2vid.weights import PARTS, tensor_shapes

__all__ = ["convert_facevid2vid"]

PUBLISHED = {OFFICIAL: "Vox-256-New, SPADE", ORIGINAL: "original generator", BETA: "Vox-256-Beta"}
"""The published configurations, and words for the card."""


def convert_facevid2vid(content: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Convert the networks of a published checkpoint; discriminator, optimizers and counters are dropped.

    Raises:
        HeadcastError: it is no face-vid2vid of official size.
    """
    state = join_parts(content)
    config, wrong = match_published(state)
    if wrong:
        raise HeadcastError(
            f"is no face-vid2vid checkpoint ({len(wrong)} of {len(tensor_shapes(config))} tensors are "
            f"missing or of another shape, '{wrong[0]}' first); use the Vox-256 .pth.tar of its authors"
        )
    tensors = {k: state[k].float().clone() for k in tensor_shapes(config)}
    return tensors, {
        "licence": "CC BY-NC 4.0 (repository of its authors; the weights state none of their own): "
        "non-commercial; trained on VoxCeleb1",
        "commercial": "no",
        "what": f"face-vid2vid at its official sizes ({PUBLISHED[config]})",
    }


def join_parts(content: Any) -> dict[str, Tensor]:
    """Join the state dicts of the networks, each name with its network's before it."""
    if not isinstance(content, dict):
        return {}
    if all(isinstance(content.get(part), dict) for part in PARTS):
        content = {
            f"{part}.{k.removeprefix('module.')}": v
            for part in PARTS
            for k, v in content[part].items()
            if isinstance(k, str)
        }
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}


def match_published(state: dict[str, Tensor]) -> tuple[NetworkSizes, list[str]]:
    """Find the published configuration that a state fits best, and the tensors it lacks for that."""
    found = []
    for config in PUBLISHED:
        wanted = tensor_shapes(config)
        wrong = [k for k, s in wanted.items() if k not in state or tuple(state[k].shape) != s]
        if not wrong:
            return config, []
        found.append((config, wrong))
    return min(found, key=lambda x: len(x[1]))
