"""Check the tensors of a head model's file: names, shapes that agree, indices inside, finite numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headcast.parsing import parsing

__all__ = ["check_model_file"]

DIMENSIONS = {
    "neutral": "v 3",
    "identity_basis": "i v 3",
    "identity_parity": "i",
    "expression_basis": "52 v 3",
    "faces": "f 3",
    "uv": "u 2",
    "faces_uv": "f 3",
    "part": "f",
    "region": "v",
    "mirror": "v",
    "joint_neutral": "j 3",
    "joint_identity": "i j 3",
    "skin_weights": "v j",
    "landmark68_faces": "68",
    "landmark68_bary": "68 3",
    "landmark478_faces": "478",
    "landmark478_bary": "478 3",
    "eye_growth": "i 2",
    "eye_profile": "3",
    "lid_index": "2 l",
    "lid_rim": "r",
    "lid_partner": "2? r r",
    "lid_share": "2? r",
    "lid_spread": "2? l r",
    "lid_clearance": "2? l",
}
"""Shape of each tensor; equal letters are equal sizes; ``2?``: once, or once for each side."""
OPTIONAL = "lr"
"""Sizes that may be 0: a head without lids that close."""
INDICES = {
    "faces": "v",
    "faces_uv": "u",
    "mirror": "v",
    "landmark68_faces": "f",
    "landmark478_faces": "f",
    "lid_index": "v",
}
"""What the values of a tensor count."""


def check_model_file(
    tensors: dict[str, Tensor], metadata: dict[str, str], path: Path | str
) -> dict[str, Any]:
    """Return the facts of a head model's file after checking its tensors.

    Raises:
        HeadcastError: not a head model, or damaged.
    """
    with parsing(path, "not a head model", "delete it and build or install it again"):
        facts = json.loads(metadata["head"])
        parts, regions = (tuple(facts[k]) for k in ("part_names", "region_names"))
        if not all(isinstance(n, str) for n in (facts["name"], *parts, *regions)):
            raise ValueError("names that are no text")
        sizes = dict[str, int]()
        for name, dimensions in DIMENSIONS.items():
            check_shape(name, tensors[name], dimensions.split(), sizes)
        counts = {**sizes, "part": len(parts), "region": len(regions)}
        for name, letter in {**INDICES, "part": "part", "region": "region"}.items():
            check_indices(name, tensors[name], counts[letter])
        if unknown := set(tensors) - set(DIMENSIONS):
            raise ValueError(f"unknown tensor '{min(unknown)}'")
    return facts


def check_shape(name: str, tensor: Tensor, dimensions: list[str], sizes: dict[str, int]) -> None:
    """Raise ValueError if a tensor's shape disagrees with sizes known so far, or it is not finite."""
    if dimensions[0] == "2?":
        dimensions = ["2"] * (tensor.ndim == len(dimensions)) + dimensions[1:]
    if tensor.ndim != len(dimensions):
        raise ValueError(f"'{name}' has {tensor.ndim} dimensions")
    for size, letter in zip(tensor.shape, dimensions, strict=True):
        wanted = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
        if size != wanted or (size == 0 and letter not in OPTIONAL):
            raise ValueError(f"'{name}' has the shape {tuple(tensor.shape)}")
    if tensor.is_complex() or (tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())):
        raise ValueError(f"'{name}' holds impossible numbers")


def check_indices(name: str, tensor: Tensor, count: int) -> None:
    """Raise ValueError if a tensor's values are no indices below ``count``."""
    if tensor.is_floating_point() or (
        tensor.numel() and not 0 <= int(tensor.min()) <= int(tensor.max()) < count
    ):
        raise ValueError(f"'{name}' points outside")
