"""Where training of the identity network starts: converted weights and a discriminant of real people."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.parsing import parsing
from headcast.priors.embedding.network import DIMS, FaceBackbone
from headcast.weights import load_tensors

__all__ = ["Discriminant", "fit_discriminant", "load_backbone"]

COMPONENTS = 400
"""Principal components of the features among which the discriminant is sought."""
SHRINKAGE = 0.5
"""Weight of a sphere in the scatter within people: few have two photographs."""


class Discriminant(NamedTuple):
    """A linear map of features to people: ``weight @ (features - mean)``."""

    mean: Float[Tensor, " f"]
    weight: Float[Tensor, "d f"]


def fit_discriminant(
    features: Float[Tensor, "n f"], person: Int[Tensor, " n"], dims: int = DIMS, shrinkage: float = SHRINKAGE
) -> Discriminant:
    """Fit Fisher's linear discriminant of people; those with one photograph count between people only.

    The scatter within people is shrunk to a sphere by ``shrinkage`` among ``COMPONENTS`` principal
    components; directions that do not exist (fewer photographs than ``dims``) are zero.
    """
    x = features.double()
    mean = x.mean(0)
    x = x - mean
    values, vectors = torch.linalg.eigh(x @ x.T)
    keep = min(COMPONENTS, int((values > 1e-8 * values[-1]).sum()))
    basis = (vectors[:, -keep:] / values[-keep:].sqrt()).T @ x
    z = x @ basis.T
    _, number, count = person.unique(return_inverse=True, return_counts=True)
    middle = torch.zeros(len(count), keep, dtype=x.dtype).index_add_(0, number, z) / count[:, None]
    several = count[number] > 1
    apart = (z - middle[number])[several]
    within = apart.T @ apart / max(1, int(several.sum()) - int((count > 1).sum()))
    sphere = within.trace().clamp(min=1e-12) / keep * torch.eye(keep, dtype=x.dtype)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within + shrinkage * (sphere - within)))
    _, axes = torch.linalg.eigh(whiten @ (z.T @ z / len(z)) @ whiten.T)
    weight = torch.zeros(dims, x.shape[1], dtype=x.dtype)
    found = axes.flip(1)[:, :dims].T @ whiten @ basis
    weight[: len(found)] = found
    return Discriminant(mean.float(), weight.float())


def load_backbone(path: Path) -> FaceBackbone:
    """Load the converted face mesh network.

    Raises:
        HeadcastError: missing, or not written by ``tools/convert_face_mesh.py``.
    """
    if not path.is_file():
        raise HeadcastError(f"{path}: no such file; make it with tools/convert_face_mesh.py")
    backbone = FaceBackbone()
    tensors = load_tensors(path)[0]
    with parsing(path, "not a converted face mesh network", "make it with tools/convert_face_mesh.py"):
        backbone.load_state_dict({k: v.float() for k, v in tensors.items()})
    return backbone
