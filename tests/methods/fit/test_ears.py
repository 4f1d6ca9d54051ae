"""Ears are fitted to what a photo shows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.observe.heads import head, truth
from tests.texture.test_registration import photograph

from headcast.avatar.bound import bind_head
from headcast.head.model import HeadModel
from headcast.methods.fit.ears import fit_ears, head_axes
from headcast.observe.types import Observation


def without_skin(observation: Observation, hidden: np.ndarray, hair: bool = True) -> Observation:
    """Take skin away where ``hidden`` is set, as hair or the background would."""
    masks = observation.masks
    assert masks is not None
    skin = np.where(hidden, 0.0, masks.skin).astype(np.float32)
    person = np.where(hidden, float(hair), masks.person).astype(np.float32)
    covered = np.where(hidden, float(hair), masks.hair).astype(np.float32)
    return replace(observation, masks=replace(masks, skin=skin, hair=covered, person=person))


def ear_columns(observation: Observation, model: HeadModel) -> tuple[float, float]:
    """Return where the subject's left ear begins to stick out and where it ends, pixel columns."""
    rest = model.shape(observation.params.identity)
    ear = model.region_mask("ears") & (rest[:, 0] > 0)
    columns = observation.camera.project(model(observation.params)[ear])[:, 0]
    return float(columns.quantile(0.1)), float(columns.max())


def test_ears_that_the_photo_shows_whole_hardly_move() -> None:
    observation = photograph(truth(1, 0.0, {}))
    assert float(fit_ears(observation, head()).abs().max()) < 0.005


def test_an_ear_that_lies_flatter_is_found() -> None:
    """The photo shows background where the left ear of a head with flatter ears ends."""
    observation = photograph(truth(1, 0.0, {}))
    model = head()
    left = model.region_mask("ears") & (model.neutral[:, 0] > 0)
    root = model.neutral[left, 0].quantile(0.1)
    moved = torch.zeros_like(model.neutral)
    moved[left, 0] = 0.6 * (root - model.neutral[left, 0]).clamp(max=0)
    begin, end = ear_columns(observation, model)
    flatter = bind_head(model, moved)
    _, limit = ear_columns(observation, flatter)
    columns = np.arange(observation.image.shape[1])[None] + 0.5
    hidden = np.broadcast_to(columns > limit, observation.image.shape[:2])
    offset = fit_ears(without_skin(observation, hidden, hair=False), model)
    assert begin < limit < end
    outer = left & (model.neutral[:, 0] > model.neutral[left, 0].quantile(0.9))
    assert -0.016 < float(offset[outer, 0].mean()) < -0.004
    assert float(offset[~(model.neutral[:, 0] > 0)].abs().max()) < 0.005


def test_an_ear_whose_outer_half_is_hair_is_pinned_and_the_other_is_not() -> None:
    observation = photograph(truth(1, 0.0, {}))
    begin, end = ear_columns(observation, head())
    columns = np.arange(observation.image.shape[1])[None] + 0.5
    hidden = np.broadcast_to(columns > (begin + end) / 2, observation.image.shape[:2])
    offset = fit_ears(without_skin(observation, hidden), head())
    left = head().shape(observation.params.identity)[:, 0] > 0
    assert float(offset[left, 0].min()) < -0.004
    assert float(offset[~left].abs().max()) < 0.005


def test_ears_under_hair_stay() -> None:
    observation = photograph(truth(1, 0.0, {}))
    everywhere = np.ones(observation.image.shape[:2], bool)
    assert not bool(fit_ears(without_skin(observation, everywhere), head()).any())


def test_an_ear_that_the_photo_does_not_show_follows_the_other() -> None:
    observation = photograph(truth(1, 45.0, {}))
    offset = fit_ears(observation, head())
    side = head().neutral[:, 0].sign()
    ears = head().region_mask("ears")
    left, right = ((offset[ears & (side == s), 0] * s).mean() for s in (1, -1))
    torch.testing.assert_close(left, right, atol=5e-4, rtol=0.2)


def test_without_masks_nothing_moves() -> None:
    observation = replace(photograph(truth(1, 0.0, {})), masks=None)
    assert torch.equal(fit_ears(observation, head()), torch.zeros_like(head().neutral))


def test_the_axes_are_orthonormal_and_point_left_up_and_forward() -> None:
    axes = head_axes(head(), photograph(truth(1, 0.0, {})))
    torch.testing.assert_close(axes @ axes.T, torch.eye(3), atol=1e-4, rtol=0)
    assert float(torch.linalg.det(axes)) > 0
