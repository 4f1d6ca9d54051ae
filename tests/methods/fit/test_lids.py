"""Upper lids: bare skin when shut, however dark lashes, glasses or a shadow made them in the photo."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Float

from headcast.head.model import BLINKS, HeadModel
from headcast.image import linear_to_srgb
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.closed_lids import close_lids, lash_fringe, lid_patches
from headcast.methods.fit.skin.lids import (
    UpperLids,
    bare_lids,
    delight_lids,
    draw_lash_line,
    find_upper_lids,
    lash_shade,
    reject_smears,
)
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.margins import lid_margins
from headcast.texture.texels import Texels, interpolate_attributes, texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)


@cache
def parts() -> tuple[HeadModel, Texels, UpperLids]:
    """Head, texels and upper lids."""
    head = HeadModel.load()
    texels = texels_of(head, 512)
    return head, texels, find_upper_lids(head, texels, head.neutral.numpy())


def canvas(
    albedo: Float[np.ndarray, "n 3"], fill: Float[np.ndarray, "n 3"], folded: float = 0.0, sure: float = 1.0
) -> TextureCanvas:
    """Everything seen."""
    head, texels, _ = parts()
    one = np.ones(len(albedo), np.float32)
    seen = TexelObservations(
        albedo=albedo.astype(np.float32),
        confidence=one * np.float32(sure),
        is_clean=one,
        label=np.tile(np.array([1, 0, 0], np.float32), (len(albedo), 1)),
        frontality=one,
        in_face=one,
        label_confidence=one,
        foldedness=one * np.float32(folded),
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )
    return TextureCanvas(head=head, texels=texels, rest=head.neutral.numpy(), observed=seen, fill=fill)


def skin() -> Float[np.ndarray, "n 3"]:
    """One colour everywhere."""
    return np.tile(SKIN, (len(parts()[1].index), 1))


def test_the_lids_are_found_above_the_eyes() -> None:
    head, texels, lids = parts()
    covering = lids.index[lids.blink_cover > 0.9]
    at = interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)[covering]
    eyes = head.landmarks(head.neutral).numpy()[[473, 468]]
    off = np.abs(at[:, None, 0] - eyes[:, 0]).min(1)
    assert len(covering) > 100 and off.max() < 0.025  # metres
    assert (np.abs(at[:, 1] - eyes[:, 1].mean()) < 0.015).all()
    rim = head.neutral[head.lid_index[0, head.lid_rim[head.lid_share.argmax()]]].numpy()
    nearest = np.linalg.norm(at - rim, axis=1).argmin()
    assert lids.distance[lids.blink_cover > 0.9][nearest] < 0.001


def test_dark_lids_of_the_fill_take_the_colour_of_the_skin_around() -> None:
    lids = parts()[2]
    fill = skin()
    fill[lids.index[lids.blink_cover > 0]] *= 0.4
    bare = bare_lids(canvas(fill, fill), lids).fill[lids.index[lids.blink_cover > 0.95]]
    assert np.abs(bare / SKIN - 1).mean() < 0.12
    plain = canvas(skin(), skin())
    line = draw_lash_line(plain, lids).fill
    assert line[lids.index].mean(1).min() < 0.4 * SKIN.mean()
    assert (np.delete(line, lids.index, 0) == SKIN).all() and (plain.fill == SKIN).all()


@pytest.mark.parametrize("darkness", [0.3, 0.6])
def test_what_the_photo_showed_is_kept_as_bare_skin_times_shade(darkness: float) -> None:
    lids = parts()[2]
    albedo = skin()
    albedo[lids.index] *= 1 - (1 - darkness) * lids.blink_cover[:, None]
    seen = canvas(albedo, skin())
    shade = lash_shade(seen, lids)
    assert 0.15 <= shade.min() < darkness + 0.1 and shade.max() == pytest.approx(1)
    lit = delight_lids(seen, lids, shade)
    assert (seen.fill == SKIN).all()  # what was given is not written to
    weight = lit.observed.confidence[:, None]
    shown = (weight * lit.observed.albedo + (1 - weight) * skin()) * shade[:, None]
    inner = lids.index[lids.blink_cover > 0.95]
    assert np.abs(np.log(shown[inner] / albedo[inner])).mean() < 0.15
    shut = shown[inner] / shade[inner, None]
    assert np.abs(shut / SKIN - 1).mean() < 0.1
    assert (lit.observed.confidence[np.setdiff1d(np.arange(len(albedo)), lids.index)] == 1).all()


def test_a_lid_without_lashes_stays_as_it_is() -> None:
    lids = parts()[2]
    plain = canvas(skin(), skin())
    assert np.allclose(lash_shade(plain, lids), 1, atol=1e-3)
    lit = delight_lids(plain, lids, np.ones(len(skin()), np.float32))
    assert lit.observed.confidence.min() > 0.99


def test_smears_are_not_kept_on_a_folded_lid() -> None:
    def confidence(albedo: Float[np.ndarray, "n 3"], folded: float) -> Float[np.ndarray, "n"]:
        return reject_smears(canvas(albedo, skin(), folded)).observed.confidence

    dark = 0.2 * skin()
    assert confidence(dark, 0.9).max() < 0.05
    assert (confidence(skin(), 0.9) == 1).all()
    assert (confidence(dark, 0.0) == 1).all()


def test_shut_lids_become_patches_of_the_texture() -> None:
    head, texels, lids = parts()
    dark = np.full((2 * texels.size, 2 * texels.size, 3), 40, np.uint8)
    shut = close_lids(canvas(0.1 * skin(), skin(), sure=0), lids)
    found = lid_patches(dark, texels, shut, torch.tensor([0.1, 0.2]))
    colour = np.round(255 * linear_to_srgb(SKIN))
    for side, patch in enumerate(found.patches):
        at = texels.index[shut.index[side][shut.weight[side] > 0.99]]
        y, x = np.divmod(at, texels.size)
        left, top = patch.corner.tolist()
        inner = patch.texture[2 * y + 1 - top, 2 * x + 1 - left]
        assert np.abs(np.median(inner, 0) - colour).max() <= 2
        assert (patch.texture[[0, -1]] == 40).all() and (patch.texture[:, [0, -1]] == 40).all()
    first, second = (
        interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)[w, 0] for w in shut.index
    )
    assert first.min() > 0 > second.max()


def test_lashes_lie_before_the_lower_lids_below_the_shut_edge() -> None:
    head, texels, _ = parts()
    rest = head.neutral.numpy()
    shut = rest + head.expression_basis[list(BLINKS)].sum(0).numpy()
    which, cover = lash_fringe(head, texels, rest)
    at = interpolate_attributes(shut, head.faces.numpy(), texels)[which]
    for margin, mine in zip(lid_margins(head, rest), (at[:, 0] > 0, at[:, 0] < 0), strict=True):
        line = shut[margin.upper]
        below = np.interp(at[mine, 0], line[:, 0], line[:, 1]) - at[mine, 1]
        inside = (at[mine, 0] > line[:, 0].min()) & (at[mine, 0] < line[:, 0].max())
        assert below.min() > 0
        near, far = (cover[mine][inside & c].mean() for c in (below < 0.001, below > 0.004))
        assert near > 0.7 and far < 0.6 * near
