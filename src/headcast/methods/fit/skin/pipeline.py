"""The order in which the head's texture is completed: every step takes a canvas and returns the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.beard import beard_growth
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.closed_lids import ClosedLids, close_lids
from headcast.methods.fit.skin.complete import complete_hidden
from headcast.methods.fit.skin.ear_shade import shade_ears
from headcast.methods.fit.skin.eyes import paint_eyes
from headcast.methods.fit.skin.lids import (
    bare_lids,
    delight_lids,
    draw_lash_line,
    find_upper_lids,
    lash_shade,
    reject_smears,
)
from headcast.methods.fit.skin.mouth import paint_mouth
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.openings import paint_openings, reject_teeth
from headcast.methods.fit.skin.photo_cast import estimate_photo_cast
from headcast.methods.fit.skin.slant import slant_level
from headcast.methods.fit.skin.steps import (
    close_cracks,
    fit_skin_model,
    reject_unlike_skin,
    relabel_glare,
    skin_tone,
    smooth_grazing_skin,
)
from headcast.texture.texels import Texels

__all__ = ["CompletedTexture", "complete_texture"]

WHITE = 0.33  # mean albedo of light skin under white light
WHITE_RANGE = (0.5, 1.3)  # of a photo's albedo scale
PAINTED_LEVEL = 0.5  # exponent of the levelling of slanted skin, where it is painted and not only continued


class CompletedTexture(NamedTuple):
    """Completed linear albedo of n texels.

    Attributes:
        observed: what the photos show, without what looks like no skin where nothing else should be.
        level: (n, 3) factors by which the colours of slanted skin were levelled.
        fill: (n, 3) in keeping with it, as if nothing of a texel were visible.
        closed_lids: upper eyelids as they are when closed.
    """

    observed: TexelObservations
    level: Float[np.ndarray, "n 3"]
    fill: Float[np.ndarray, "n 3"]
    closed_lids: ClosedLids


def complete_texture(
    head: HeadModel,
    texels: Texels,
    observed: TexelObservations,
    rest: Float[np.ndarray, "v 3"],
    hair_height: float,
    rng: np.random.Generator,
) -> CompletedTexture:
    """Complete the texture of one person from what the photos show of its texels.

    The order matters: what is distrusted early is not diffused, eyelids are bared before lashes are painted
    on them, and openings are painted over everything else. All of it happens without the photo's cast.

    Args:
        rest: vertices at rest, metres.
        hair_height: of the hair above the scalp, metres.
        rng: for the grain of hidden skin and strands of hidden hair.
    """
    cast = estimate_photo_cast(observed)
    observed = cast.remove(observed)
    tone = skin_tone(observed)
    white = float(np.clip(tone.mean() / WHITE, *WHITE_RANGE))
    canvas = TextureCanvas(
        head=head,
        texels=texels,
        rest=rest,
        observed=observed,
        fill=np.broadcast_to(tone, (len(texels.index), 3)),
    )
    canvas = relabel_glare(canvas, tone, hair_height)
    growth = beard_growth(canvas)
    canvas = fit_skin_model(canvas, tone, 1 - growth)
    level = slant_level(canvas, growth)
    canvas = replace(canvas, observed=replace(canvas.observed, albedo=canvas.observed.albedo * level))
    canvas = fit_skin_model(canvas, tone, 1 - growth)
    canvas = reject_unlike_skin(canvas)
    canvas = shade_ears(complete_hidden(canvas, growth, rng))
    canvas = close_cracks(canvas)
    canvas = smooth_grazing_skin(canvas)
    canvas = paint_eyes(canvas, white)
    canvas = paint_mouth(canvas, white)
    lids = find_upper_lids(head, texels, rest)
    canvas = bare_lids(canvas, lids)
    canvas = draw_lash_line(canvas, lids)
    unshaded = delight_lids(canvas, lids, lash_shade(canvas, lids))
    canvas = reject_smears(replace(canvas, fill=unshaded.fill))
    canvas = cast.apply(paint_openings(canvas))
    canvas = reject_teeth(canvas)
    canvas = replace(canvas, fill=np.nan_to_num(canvas.fill).clip(0, 1))
    closing = replace(canvas, observed=cast.apply_to_observed(reject_smears(unshaded).observed))
    painted = level**PAINTED_LEVEL
    observed = replace(canvas.observed, albedo=canvas.observed.albedo * (painted / level))
    return CompletedTexture(observed, painted, canvas.fill, close_lids(closing, lids))
