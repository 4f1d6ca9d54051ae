"""Dataset update (OHPAvatars, "Iterative Dataset Update"): render the script's frames and restore them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.view import View, flatten, to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.priors.restorer.restore import Network

__all__ = ["GREY", "Restore", "is_dropped", "landmarks_in", "make_restore", "render_rgba", "restored_frame"]

GREY = 128
MIN_IDENTITY = 0.7
"""Cosine of a restored frame's face to the same frame's before: below it, restoration made another person."""

Restore = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "478 2"]], UInt8[np.ndarray, "h w 3"]]
"""Restore an image, given the landmarks of the face in it."""


def make_restore(network: Network, strength: float, seed: int) -> Restore:
    """Return the restoration of renderings by a network of ``priors.restorer``."""
    from headcast.priors.restorer.restore import restore_image

    def restore(
        rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
    ) -> UInt8[np.ndarray, "h w 3"]:
        return restore_image(
            rgb, network=network, strength=strength, seed=seed, find_faces=lambda image: [points]
        )

    return restore


def landmarks_in(avatar: Avatar, view: View) -> Float[np.ndarray, "478 2"]:
    """Project the avatar's landmarks into a view: a rendering knows where its face is."""
    with torch.no_grad():
        points = avatar.head.landmarks(avatar.head(view.params), 478)
        return view.camera.project(points).double().numpy()


def render_rgba(avatar: Avatar, view: View) -> UInt8[np.ndarray, "h w 4"]:
    """Render a view with straight alpha, 8 bits."""
    with torch.no_grad():
        return to_rgba(avatar.render(view.params, view.camera))


def restored_frame(avatar: Avatar, view: View, restore: Restore) -> UInt8[np.ndarray, "h w 4"]:
    """Render a view over grey and restore it.

    Returns:
        Restored colours, over grey where the head covers a pixel in part, and the rendering's coverage; no
        coverage at all (see ``is_dropped``) where restoration changed who it is.
    """
    from headcast.priors.embedding.infer import embed_face

    rgba, points = render_rgba(avatar, view), landmarks_in(avatar, view)
    rendered = flatten(rgba, (GREY, GREY, GREY))
    restored = restore(rendered, points)
    alike = float(embed_face(rendered, points) @ embed_face(restored, points))
    coverage = rgba[..., 3] if alike >= MIN_IDENTITY else np.zeros_like(rgba[..., 3])
    return np.dstack([restored, coverage])


def is_dropped(rgba: UInt8[np.ndarray, "h w 4"]) -> bool:
    """Tell whether a restored frame was dropped: it covers nothing."""
    return not rgba[..., 3].any()
