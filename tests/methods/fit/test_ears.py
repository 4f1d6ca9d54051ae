"""Ears are pinned to what a photo shows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.observe.heads import head, truth
from tests.texture.test_registration import photograph

from headcast.head.model import HeadModel
from headcast.methods.fit.ears import pin_ears
from headcast.observe.types import Observation


def without_skin(observation: Observation, hidden: np.ndarray) -> Observation:
    """Take skin away where ``hidden`` is set, as hair would."""
    masks = observation.masks
    assert masks is not None
    hair = np.where(hidden, 1.0, 0.0).astype(np.float32)
    skin = np.where(hidden, 0.0, masks.skin).astype(np.float32)
    return replace(observation, masks=replace(masks, skin=skin, hair=hair))


def ear_columns(observation: Observation, model: HeadModel) -> tuple[float, float]:
    """Return where the subject's left ear begins to stick out and where it ends, pixel columns."""
    rest = model.shape(observation.params.identity)
    ear = model.region_mask("ears") & (rest[:, 0] > 0)
    columns = observation.camera.project(model(observation.params)[ear])[:, 0]
    return float(columns.quantile(0.1)), float(columns.max())


def test_ears_that_the_photo_shows_whole_stay() -> None:
    observation = photograph(truth(1, 0.0, {}))
    assert float(pin_ears(observation, head()).abs().max()) < 0.003


def test_an_ear_whose_outer_half_is_not_skin_is_pinned_and_the_other_is_not() -> None:
    observation = photograph(truth(1, 0.0, {}))
    begin, end = ear_columns(observation, head())
    columns = np.arange(observation.image.shape[1])[None] + 0.5
    hidden = np.broadcast_to(columns > (begin + end) / 2, observation.image.shape[:2])
    offset = pin_ears(without_skin(observation, hidden), head())
    left = head().shape(observation.params.identity)[:, 0] > 0
    assert float(offset[left, 0].min()) < -0.004
    assert float(offset[~left].abs().max()) < 0.003
    assert float(offset[:, 1:].abs().max()) == 0
    assert not bool(offset[~head().region_mask("ears")].any())


def test_ears_under_hair_stay() -> None:
    observation = photograph(truth(1, 0.0, {}))
    everywhere = np.ones(observation.image.shape[:2], bool)
    assert not bool(pin_ears(without_skin(observation, everywhere), head()).any())


def test_without_masks_nothing_is_pinned() -> None:
    observation = replace(photograph(truth(1, 0.0, {})), masks=None)
    assert torch.equal(pin_ears(observation, head()), torch.zeros_like(head().neutral))
