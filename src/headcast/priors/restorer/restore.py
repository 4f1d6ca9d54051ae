"""Blind restoration of images: by the bundled restorer, or face by face by a published network of the user's.

Where faces lie is the caller's to say: a rendering knows it, a photo needs a detector (``headcast.restore``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.image import to_network_input
from headcast.priors.faces import align, cut_face, five_points, put_back
from headcast.progress import Progress

__all__ = ["RESTORERS", "FindFaces", "Network", "restore_image"]

Network = Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"]
RESTORERS: tuple[Network, ...] = get_args(Network)
Step = Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h2 w2 3"]]
FindFaces = Callable[[UInt8[np.ndarray, "h w 3"]], Sequence[Float[np.ndarray, "478 k"]]]
"""An image to the 478 landmarks of each face in it, pixels (centres at +0.5)."""


def restore_image(
    rgb: UInt8[np.ndarray, "h w 3"],
    *,
    network: Network = "headcast",
    strength: float = 1.0,
    scale: int = 1,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
    find_faces: FindFaces | None = None,
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Restore a soft, noisy, small or compressed image.

    Args:
        network: ``headcast`` and ``realesrgan`` work on the whole image. ``gfpgan``, ``codeformer`` and
            ``restoreformer`` work on each face, aligned in a square of 512; the rest is restored by
            ``headcast``. All but ``headcast`` need weights that the user imported.
        strength: 0 returns the input, 1 the network's output.
        scale: so many times larger (1, 2 or 4), for small images.
        seed: of the noise that GFPGAN adds.
        find_faces: called with the enlarged image by the networks that restore faces.

    Raises:
        HeadcastError: no face where one is needed; weights or packages are missing; senseless numbers.
    """
    from headcast.priors.restorer.infer import enlarged, load_restorer, restore_tiled

    if not 0 <= strength <= 1:
        raise HeadcastError(f"restore: strength {strength} lies outside 0..1")
    if scale not in (1, 2, 4):
        raise HeadcastError(f"restore: scale {scale} is not 1, 2 or 4")
    device = torch.device(device)
    large = enlarged(rgb, scale)
    if network == "headcast":
        return restore_tiled(large, load_restorer(device=device), strength, progress)
    if network == "realesrgan":
        return blend_images(large, resize_like(whole_step(device)(rgb), large), strength)
    step = gfpgan_step(device, seed) if network == "gfpgan" else face_step(network, device)
    places = _alignments(large, find_faces)
    out = restore_tiled(large, load_restorer(device=device), strength, progress)
    for k, affine in enumerate(places):
        if progress is not None:
            progress(k / len(places), f"face {k + 1} of {len(places)}")
        out = put_back(out, blend_images(cut := cut_face(large, affine), step(cut), strength), affine)
    return out


def _alignments(
    rgb: UInt8[np.ndarray, "h w 3"], find_faces: FindFaces | None
) -> list[Float[np.ndarray, "2 3"]]:
    found = [] if find_faces is None else find_faces(rgb)
    if not found:
        raise HeadcastError(
            "restore: no face was found, and this network restores faces; use --with headcast"
        )
    return [align(five_points(points)) for points in found]


def gfpgan_step(device: torch.device, seed: int) -> Step:
    """Return the step that restores an aligned face by GFPGAN."""
    from headcast.priors.gfpgan import load_gfpgan

    network = load_gfpgan(device)

    @torch.no_grad()
    def step(face: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        x = to_network_input(face, device)
        rng = torch.Generator().manual_seed(seed)
        return to_image((network(x, rng).image[0] + 1) / 2)

    return step


def face_step(network: str, device: torch.device) -> Step:
    """Return the step that restores an aligned face by a network that spandrel runs."""
    from headcast.priors.restorer.foreign import load_foreign

    run, _ = load_foreign(network, device)
    return lambda face: resize_like(to_image(run(to_tensor(face, device))[0]), face)


def whole_step(device: torch.device) -> Step:
    """Return the step that enlarges an image by Real-ESRGAN, as many times as its weights make it."""
    from headcast.priors.restorer.foreign import load_foreign

    run, _ = load_foreign("realesrgan", device)
    return lambda image: to_image(run(to_tensor(image, device))[0])


def to_tensor(rgb: UInt8[np.ndarray, "h w 3"], device: torch.device) -> torch.Tensor:
    """Convert to display values 0..1, (1, 3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(2, 0, 1)[None] / 255


def to_image(x: torch.Tensor) -> UInt8[np.ndarray, "h w 3"]:
    """Convert display values 0..1, (3, h, w), to 8 bits."""
    return (x.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def resize_like(
    rgb: UInt8[np.ndarray, "h w 3"], like: UInt8[np.ndarray, "h2 w2 3"]
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Resize an image to another's size."""
    import cv2

    if rgb.shape == like.shape:
        return rgb
    smaller = rgb.shape[0] > like.shape[0]
    return cv2.resize(rgb, like.shape[1::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def blend_images(
    a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"], strength: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Blend from a (strength 0) to b (1)."""
    return b if strength == 1 else np.round(a * (1 - strength) + b * strength).astype(np.uint8)
