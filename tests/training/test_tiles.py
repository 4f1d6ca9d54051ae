"""Preview images: columns of images."""

from __future__ import annotations

import numpy as np
import torch

from headcast.training.tiles import tile_columns


def test_columns_stand_side_by_side_at_most_four_rows() -> None:
    black, white = -torch.ones(5, 3, 8, 8), torch.ones(5, 3, 4, 4)
    out = tile_columns([black, white])
    assert out.shape == (32, 16, 3) and out.dtype == np.uint8
    assert (out[:, :8] == 0).all() and (out[:, 8:] == 255).all()
