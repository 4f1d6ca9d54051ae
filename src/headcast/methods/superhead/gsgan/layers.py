"""Layers of GSGAN: equalized linear maps, modulation, attention, edges between neighbouring points."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, leaky_relu, linear

__all__ = [
    "AdaEdge",
    "AdaMLP",
    "AdaptiveNorm",
    "FullyConnected",
    "LocalEdge",
    "ModulatedLinear",
    "PlainMLP",
    "Transformer",
    "Upsample",
    "lrelu",
]

SIBLINGS = 4  # children of a point
NEIGHBOURS = 16
CLAMP = 256.0


def lrelu(x: Tensor) -> Tensor:
    """Apply the leaky rectifier of StyleGAN2: slope 0.2, gain sqrt(2)."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


class FullyConnected(nn.Module):
    """Equalized linear map: weights are scaled by lr_mult / sqrt(fan in), biases by lr_mult."""

    def __init__(self, into: int, out: int, *, active: bool = False, lr_mult: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into) / lr_mult)
        self.bias = nn.Parameter(torch.zeros(out))
        self.gain, self.lr_mult, self.active = lr_mult / math.sqrt(into), lr_mult, active

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Map the last dimension, rectified where the layer is active."""
        x = linear(x, self.weight * self.gain, self.bias * self.lr_mult)
        return lrelu(x) if self.active else x


class PointConv(nn.Module):
    """Equalized 1x1 convolution, over the last dimension."""

    resample_filter: Tensor

    def __init__(self, into: int, out: int, *, active: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out))
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("resample_filter", torch.outer(taps, taps) / 64)
        self.gain, self.active = 1 / math.sqrt(into), active

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Map every point's channels."""
        x = linear(x, self.weight[:, :, 0, 0] * self.gain, self.bias)
        return lrelu(x) if self.active else x


class AdaptiveNorm(nn.Module):
    """Instance norm over points, then scale and shift by the latent."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.gamma, self.beta = FullyConnected(latent, width), FullyConnected(latent, width)
        nn.init.ones_(self.gamma.bias)

    def forward(self, x: Float[Tensor, "b n c"], w: Float[Tensor, "b z"]) -> Float[Tensor, "b n c"]:
        """Normalize over points, then modulate by the latent."""
        x = x - x.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True).sqrt() + 1e-8)
        return x * self.gamma(w)[:, None] + self.beta(w)[:, None]


class Perceptron(nn.Module):
    """Two linear maps with a GELU of gain sqrt(2) between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = FullyConnected(width, 4 * width), FullyConnected(4 * width, width)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Map the features of every point."""
        return self.c_proj(gelu(self.c_fc(x)) * math.sqrt(2))


class PointAttention(nn.Module):
    """Self-attention whose q, k and v lie together for each head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.c_qkv, self.c_proj = FullyConnected(width, 3 * width), FullyConnected(width, width)
        self.heads = heads

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Attend over all points."""
        b, n, c = x.shape
        q, k, v = self.c_qkv(x).view(b, n, self.heads, -1).chunk(3, -1)
        scale = (c // self.heads) ** -0.25
        weight = torch.einsum("bthd,bshd->bhts", q * scale, k * scale).softmax(-1)
        return self.c_proj(torch.einsum("bhts,bshd->bthd", weight, v).reshape(b, n, c))


class ResidualAttention(nn.Module):
    """One transformer layer; both branches are scaled by the latent."""

    def __init__(self, width: int, latent: int, heads: int) -> None:
        super().__init__()
        self.attn, self.mlp = PointAttention(width, heads), Perceptron(width)
        self.ln_1, self.ln_2 = AdaptiveNorm(width, latent), AdaptiveNorm(width, latent)
        self.ls_1, self.ls_2 = FullyConnected(latent, width), FullyConnected(latent, width)

    def forward(
        self, x: Float[Tensor, "b n c"], a: Float[Tensor, "b z"], m: Float[Tensor, "b z"]
    ) -> Float[Tensor, "b n c"]:
        """Apply attention (latent ``a``) and the perceptron (latent ``m``)."""
        x = x + self.attn(self.ln_1(x, a)) * self.ls_1(a)[:, None]
        return x + self.mlp(self.ln_2(x, m)) * self.ls_2(m)[:, None]


class Transformer(nn.Module):
    """Layers of ``ResidualAttention`` that take two latents each."""

    def __init__(self, width: int, latent: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualAttention(width, latent, heads) for _ in range(layers))

    def forward(self, x: Float[Tensor, "b n c"], ws: Float[Tensor, "b k z"]) -> Float[Tensor, "b n c"]:
        """Apply all layers, each with its two latents."""
        for k, layer in enumerate(self.resblocks):
            x = layer(x, ws[:, 2 * k], ws[:, 2 * k + 1])
        return x


class EdgeBase(nn.Module):
    """Sum over neighbours, weighted for each channel by the difference of features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        halves = [PointConv(width, width // 2, active=True), PointConv(width // 2, width, active=False)]
        values = [PointConv(2 * width, width, active=True), PointConv(width, width, active=False)]
        self.conv_w, self.conv_x = nn.Sequential(*halves), nn.Sequential(*values)

    def gather(self, h: Float[Tensor, "b n c"], near: Float[Tensor, "b n k c"]) -> Float[Tensor, "b n c"]:
        """Return the weighted sum of the edges from points to their neighbours."""
        center = h[:, :, None].expand_as(near)
        away = near - center
        weight = self.conv_w(away).softmax(2)
        return (weight * self.conv_x(torch.cat([center, away], -1))).sum(2)


class AdaEdge(EdgeBase):
    """Edges to the nearest points in feature space, under a latent."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__(width)
        self.norm, self.ls = AdaptiveNorm(width, latent), FullyConnected(latent, width)

    def forward(self, x: Float[Tensor, "b n c"], w: Float[Tensor, "b z"]) -> Float[Tensor, "b n c"]:
        """Add what the neighbours say."""
        h = self.norm(x, w)
        near = torch.stack([rows[index] for rows, index in zip(h, nearest_neighbours(h), strict=True)])
        return x + self.gather(h, near) * self.ls(w)[:, None]


def nearest_neighbours(h: Float[Tensor, "b n c"]) -> Int[Tensor, "b n k"]:
    """Return the nearest points of each, itself (the first found) left out."""
    square = h.square().sum(-1)
    distance = square[:, :, None] + square[:, None] - 2 * h @ h.transpose(1, 2)
    return distance.topk(NEIGHBOURS + 1, largest=False).indices[..., 1:]


class LocalEdge(EdgeBase):
    """Edges to the siblings of the last upsampling, a point itself among them."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.ls = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Add what the siblings say."""
        groups = x.unflatten(1, (-1, SIBLINGS))
        near = groups[:, :, None].expand(-1, -1, SIBLINGS, -1, -1).flatten(1, 2)
        return x + self.gather(x, near) * self.ls


class Upsample(nn.Module):
    """Four children of every point, consecutive."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.subpixel = FullyConnected(into, SIBLINGS * out, active=True)
        self.res_fc = None if into == out else FullyConnected(into, out)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b m d"]:
        """Return the children's features."""
        new = self.subpixel(x).unflatten(-1, (SIBLINGS, -1)).flatten(1, 2)
        short = x if self.res_fc is None else self.res_fc(x)
        return (short.repeat_interleave(SIBLINGS, 1) + new) / math.sqrt(2)


class AdaMLP(nn.Module):
    """Residual perceptron under a latent."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.norm, self.mlp = AdaptiveNorm(width, latent), Perceptron(width)
        self.ls = FullyConnected(latent, width)

    def forward(self, x: Float[Tensor, "b n c"], w: Float[Tensor, "b z"]) -> Float[Tensor, "b n c"]:
        """Map the features of every point."""
        return x + self.mlp(self.norm(x, w)) * self.ls(w)[:, None]


class PlainMLP(nn.Module):
    """Residual perceptron with a learned scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ls, self.mlp = nn.Parameter(torch.zeros(width)), Perceptron(width)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Map the features of every point."""
        return x + self.mlp(x) * self.ls


class ModulatedLinear(nn.Module):
    """Linear map modulated by a latent (the background's).

    Args:
        demodulate: normalize outputs, and rectify them; without it, an output head.
        residual: add the input to the scaled output.
    """

    def __init__(
        self, into: int, out: int, latent: int, *, demodulate: bool = True, residual: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(out, into)), nn.Parameter(torch.zeros(out))
        self.affine = FullyConnected(latent, into)
        nn.init.ones_(self.affine.bias)
        if residual:
            self.layerscale = nn.Parameter(torch.zeros(1, 1, out))
        self.demodulate, self.residual = demodulate, residual

    def forward(self, x: Float[Tensor, "b n i"], w: Float[Tensor, "b z"]) -> Float[Tensor, "b n o"]:
        """Map the features of every point."""
        style = self.affine(w)
        if not self.demodulate:
            return linear(x * style[:, None] / math.sqrt(self.weight.shape[1]), self.weight, self.bias)
        out = (x * style[:, None]) @ self.weight.T
        size = ((self.weight[None] * style[:, None]).square().sum(2) + 1e-8).rsqrt()
        out = lrelu(out * size[:, None] + self.bias).clamp(-CLAMP, CLAMP)
        return out * self.layerscale + x if self.residual else out
