"""Restoration of whole images with the bundled network, in tiles where they are large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.image import to_network_input
from headcast.priors.restorer.network import Restorer
from headcast.progress import Progress
from headcast.weights import load_tensors

__all__ = ["build_network", "enlarged", "load_restorer", "restore_tiled"]

TILE, HALO = 768, 96  # pixels; what lies further away than the halo hardly changes a pixel


def load_restorer(source: str | Path = "restorer", device: torch.device | str = "cpu") -> Restorer:
    """Load the bundled restorer, or weights that ``headcast train restorer`` wrote.

    Raises:
        HeadcastError: missing or not a restorer's.
    """
    return build_network(load_tensors(source)[0], str(source)).to(device)


def build_network(tensors: dict[str, Tensor], name: str) -> Restorer:
    """Build the network with its weights; widths and depths are read from their shapes.

    Raises:
        HeadcastError: they are not a restorer's.
    """
    try:
        widths = tuple(len(tensors[f"{k}.bias"]) for k in ("enter", "down1", "down2"))
        blocks = tuple(count_blocks(tensors, k) for k in ("fine_in", "middle_in", "coarse"))
        network = Restorer(widths, blocks)  # pyright: ignore[reportArgumentType]
        network.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (KeyError, RuntimeError) as e:
        raise HeadcastError(f"{name}: not the weights of a restorer ({str(e).splitlines()[0]})") from e
    return network.eval()


def count_blocks(tensors: dict[str, Tensor], name: str) -> int:
    """Return the number of residual blocks of a stack."""
    return len({k.split(".")[1] for k in tensors if k.startswith(f"{name}.")})


@torch.no_grad()
def restore_tiled(
    rgb: UInt8[np.ndarray, "h w 3"],
    network: Restorer | None = None,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Restore an image at its own size.

    Args:
        network: by default the bundled one, on the CPU.
        strength: 0 returns the input, 1 the network's output; between them they are blended.
    """
    network = network or load_restorer()
    device = next(network.parameters()).device
    h, w = rgb.shape[:2]
    out = np.empty_like(rgb)
    places = [(y, x) for y in range(0, h, TILE) for x in range(0, w, TILE)]
    for k, (y, x) in enumerate(places):
        if progress is not None:
            progress(k / len(places), "restoring")
        top, left = max(0, y - HALO), max(0, x - HALO)  # both multiples of the network's grid
        part = rgb[top : min(h, y + TILE + HALO), left : min(w, x + TILE + HALO)]
        degraded = to_network_input(part, device)
        restored = torch.lerp(degraded, network(degraded), strength)
        done = ((restored[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
        out[y : y + TILE, x : x + TILE] = done[y - top : y - top + TILE, x - left : x - left + TILE]
    return out


def enlarged(rgb: UInt8[np.ndarray, "h w 3"], times: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Enlarge bicubically by ``times``; the network then restores at that size (super-resolution)."""
    if times == 1:
        return rgb
    import cv2

    return cv2.resize(rgb, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
