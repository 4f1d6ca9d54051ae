"""The low-rank skin model: a prior of a person's albedo where no photo shows it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.parsing import parsing

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = ["SkinModel", "uv_key"]

LOWEST = 1e-3
ROUNDS = 3
HUBER = 0.25  # of the logarithm of colour


class SkinModel(nn.Module):
    """log albedo = mean + coefficients · components, in the head's UV; coefficients are N(0, 1).

    Buffers (S texels a side, K components):
        mean (S, S, 3) of log linear albedo; components (K, S, S, 3); inside (S, S): texels of the skin part.
    """

    mean: Tensor
    components: Tensor
    inside: Tensor

    def __init__(self, mean: Tensor, components: Tensor, inside: Tensor, uv: str, name: str) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("components", components.float())
        self.register_buffer("inside", inside.bool())
        self.uv, self.name = uv, name

    @staticmethod
    def load(path: str | Path | None = None) -> SkinModel:
        """Load the bundled skin model, or another one in the same format.

        Raises:
            HeadcastError: the file is missing or not a skin model.
        """
        from headcast.weights import load_tensors

        t, metadata, _ = load_tensors(path or "skin")
        with parsing(path or "skin.safetensors", "not a skin model", "reinstall headcast"):
            meta = json.loads(metadata["skin"])
            inside = t["inside"].bool()
            mean = torch.zeros(*inside.shape, 3)
            mean[inside] = t["mean"].float()
            components = torch.zeros(len(t["components"]), *inside.shape, 3)
            components[:, inside] = t["components"].float() * t["scale"].float()[:, None, None]
            return SkinModel(mean, components, inside, meta["uv"], meta["name"])

    @staticmethod
    def load_for(head: HeadModel) -> SkinModel | None:
        """Load the bundled model if it was made for this head's UV layout, else None."""
        from headcast.weights import weights_path

        if not weights_path("skin").is_file():
            return None
        model = SkinModel.load()
        return model if model.uv == uv_key(head) else None

    @property
    def size(self) -> int:
        """Return the side of the texture, texels."""
        return self.mean.shape[0]

    def sample(self, coefficients: Float[Tensor, "*b k"]) -> Float[Tensor, "*b s s 3"]:
        """Return linear albedo of given coefficients."""
        return (self.mean + torch.tensordot(coefficients, self.components, 1)).exp()

    def fit(
        self, colour: Float[Tensor, "s s 3"], weight: Float[Tensor, "s s"], prior: float = 30.0
    ) -> Float[Tensor, "k"]:
        """Fit coefficients to linear albedo where ``weight`` (0..1) marks it as observed.

        Least squares of the logarithm with a Gaussian prior; what no skin looks like loses weight (Huber).
        ``prior``: how many texels the prior is worth.
        """
        rows = self.inside & (weight > 0.02)
        basis = self.components[:, rows].permute(1, 2, 0).double()
        target = (colour[rows].clamp(min=LOWEST).log() - self.mean[rows]).double()
        w = weight[rows].double()
        eye = prior * torch.eye(len(self.components), dtype=torch.float64)
        c = torch.zeros(len(self.components), dtype=torch.float64)
        if not bool(rows.any()):
            return c.float()
        start = (target * w[:, None]).sum(0) / w.sum()
        trust = w * (HUBER / (target - start).norm(dim=-1).clamp(min=HUBER))
        for _ in range(ROUNDS):
            scaled = basis * trust[:, None, None]
            normal = torch.einsum("nck,ncl->kl", scaled, basis)
            c = torch.linalg.solve(normal + eye, torch.einsum("nck,nc->k", scaled, target))
            residual = (target - basis @ c).norm(dim=-1)
            trust = w * (HUBER / residual.clamp(min=HUBER))
        return c.float()


def uv_key(head: HeadModel) -> str:
    """Hash triangles and texture coordinates: UV maps fit every head with the same hash."""
    h = hashlib.sha256()
    for x in (head.faces, head.faces_uv, (head.uv * 65536).round().long()):
        h.update(x.cpu().numpy().tobytes())
    return h.hexdigest()[:16]
