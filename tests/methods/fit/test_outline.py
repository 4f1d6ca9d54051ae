"""Cheeks, jaw and neck follow the outline of a photo's skin."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from tests.observe.heads import head, truth
from tests.texture.test_registration import photograph

from headcast.methods.fit.outline import fit_outline
from headcast.observe.types import Observation


def narrowed(observation: Observation, metres: float, clothes: bool = False) -> Observation:
    """Erode the photo's skin by some metres; what was skin is the background, or clothes."""
    masks = observation.masks
    assert masks is not None
    distance = float(observation.camera.to_camera(head()(observation.params))[:, 2].mean())
    pixels = metres * float(observation.camera.K[0, 0]) / distance
    size = 2 * round(pixels) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    skin = cv2.erode(masks.skin.astype(np.float32), disk)
    taken = (masks.skin - skin).clip(0, 1).astype(np.float32)
    worn = np.maximum(masks.clothes, taken).astype(np.float32) if clothes else masks.clothes
    return replace(observation, masks=replace(masks, skin=skin, clothes=worn))


def cheeks() -> torch.Tensor:
    """Return the face's vertices at the sides, below the eyes and above the chin."""
    points, at = head().landmarks(head().neutral, 68), head().neutral
    low, high = points[8, 1] + 0.03, points[36:48, 1].mean() - 0.02
    beside = at[:, 0].abs() > 0.8 * at[head().region_mask("face"), 0].abs().max()
    return head().region_mask("face") & (at[:, 1] > low) & (at[:, 1] < high) & beside


def test_a_head_that_fits_hardly_moves() -> None:
    offset = fit_outline(photograph(truth(1, 0.0, {})), head())
    assert float(offset[cheeks()].abs().median()) < 0.002


def test_cheeks_follow_narrower_skin_and_features_stay() -> None:
    observation = photograph(truth(1, 0.0, {}))
    plain, offset = (fit_outline(o, head()) for o in (observation, narrowed(observation, 0.004)))
    inwards = -(offset - plain)[:, 0] * head().neutral[:, 0].sign()
    assert 0.001 < float(inwards[cheeks()].quantile(0.75)) < 0.005
    features = head().region_mask("lips", "nose", "lids")
    assert float(offset[features].abs().max()) < 1e-6
    assert float(offset[:, 1:].abs().max()) == 0


def test_skin_that_ends_at_clothes_says_nothing() -> None:
    observation = narrowed(photograph(truth(1, 0.0, {})), 0.006, clothes=True)
    assert not bool(fit_outline(observation, head()).any())


def test_without_masks_nothing_moves() -> None:
    observation = replace(photograph(truth(1, 0.0, {})), masks=None)
    assert not bool(fit_outline(observation, head()).any())
