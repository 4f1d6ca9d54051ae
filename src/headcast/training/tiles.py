"""Preview images of training: columns of images side by side."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from torch import Tensor, cat
from torch.nn.functional import interpolate

__all__ = ["tile_columns"]


def tile_columns(columns: list[Tensor]) -> UInt8[np.ndarray, "h w 3"]:
    """Tile images (-1..1): one column for each batch, at most four rows, all of the first one's size."""
    side = columns[0].shape[-1]
    resized = [interpolate(c[:4].float(), (side, side)) for c in columns]
    rows = cat([cat(list(c), 1) for c in resized], 2)
    return ((rows + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
