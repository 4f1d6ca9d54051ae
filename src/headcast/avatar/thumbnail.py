"""The small image inside an ``.avatar`` file, for file browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8

from headcast.view import to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import BaseAvatar

__all__ = ["render_thumbnail"]

THUMBNAIL_SIDE = 256  # pixels of the longer side, at most


def render_thumbnail(avatar: BaseAvatar) -> UInt8[np.ndarray, "h w 4"]:
    """Render the source view of an avatar of any kind, small, on a transparent background."""
    camera = avatar.source.camera
    small = camera.scaled(min(1.0, THUMBNAIL_SIDE / max(camera.width, camera.height)))
    with torch.no_grad():
        return to_rgba(avatar.render(avatar.source.params, small))
