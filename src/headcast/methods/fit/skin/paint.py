"""What to paint where no photo shows the head: skin, hair, clothes, eyes and mouth of this person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.complete import EPS, complete
from headcast.methods.fit.skin.eyes import paint_eyes
from headcast.methods.fit.skin.lids import (
    ShutLids,
    lash_line,
    lash_shade,
    lids_bared,
    lit_lids,
    shut_lids,
    upper_lids,
    without_smears,
)
from headcast.methods.fit.skin.mouth import paint_mouth
from headcast.methods.fit.skin.observations import Evidence, zone
from headcast.methods.fit.skin.openings import paint_openings, without_teeth
from headcast.texture.texels import Texels, blurred, gather

__all__ = ["paint"]

CRACK = 4.0  # texels of a 1024 texture
SQUARELY = (0.15, 0.6)  # of ``Evidence.square``
SLANTED = (0.0, 0.15)  # of the same: pixels stretched beyond use
STRETCH = 1.0  # pixels of the photo over which those are evened
GLARE = 1.1  # logarithm of how much lighter than skin
WHITE = 0.33  # mean albedo of light skin under white light
TONE = (0.42, 0.30, 0.23)


def paint(
    head: HeadModel,
    texels: Texels,
    evidence: Evidence,
    rest: Float[np.ndarray, "v 3"],
    height: float,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "n 3"], Evidence, ShutLids]:
    """Linear albedo for every texel as if nothing of it were seen, in keeping with what is seen around it.

    Args:
        height: of the hair above the scalp, metres (see ``hair_height``).

    Also returns the evidence without what looks like no skin where nothing else should be, and the upper lids
    as they are when shut.
    """  # fmt: skip
    sure = evidence.trust * evidence.plain * evidence.label[:, 0] > 0.7
    tone = np.median(evidence.albedo[sure], 0) if sure.any() else np.array(TONE)
    evidence = glare_is_skin(head, texels, evidence, tone, height)
    skin = usual_skin(head, texels, evidence, tone)
    evidence = cleaned(head, texels, evidence, skin)
    fill = complete(head, texels, evidence, skin, rest, rng)
    white = float(np.clip(tone.mean() / WHITE, 0.5, 1.3))
    fill = cracks_closed(head, texels, evidence, fill)
    evidence, fill = slants_evened(head, texels, evidence, fill)
    paint_eyes(head, texels, evidence, fill, rest, white)
    paint_mouth(head, texels, evidence, fill, rest, white)
    lids = upper_lids(head, texels, rest)
    fill = lids_bared(head, texels, evidence, fill, lids)
    lash_line(fill, lids)
    shade = lash_shade(head, texels, evidence, fill, lids)
    here = gather(shade[:, None], head.faces.numpy(), texels)[:, 0]
    freed = without_smears(lit_lids(evidence, fill, lids, here), fill)
    evidence = without_smears(evidence, fill)
    paint_openings(head, texels, evidence, fill, rest)
    evidence = without_teeth(head, texels, evidence, fill, rest)
    fill = np.nan_to_num(fill).clip(0, 1)
    return fill, evidence, shut_lids(head, texels, lids, freed, fill, rest)


def cracks_closed(
    head: HeadModel, texels: Texels, seen: Evidence, fill: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """``fill`` with the colour of the nearest seen skin in thin cracks between seen parts of the face."""
    width = CRACK * texels.size / 1024
    known = np.concatenate([seen.albedo * seen.trust[:, None], seen.trust[:, None]], 1)
    near = texels.values(blurred(texels.picture(known), width))
    colour = near[:, :3] / np.maximum(near[:, 3:], 1e-3)
    share = smoothstep(near[:, 3], 0.2, 0.5) * zone(head, texels, "face", "nose") * seen.core
    return fill + share[:, None] * (colour - fill)


def slants_evened(
    head: HeadModel, texels: Texels, seen: Evidence, fill: Float[np.ndarray, "n 3"]
) -> tuple[Evidence, Float[np.ndarray, "n 3"]]:
    """Skin seen at a slant keeps its colour but takes its fine detail from ``fill``: no streaks of pixels."""
    slanted = (1 - smoothstep(seen.square, *SLANTED)) * zone(head, texels, "face", "ears", "neck")
    slanted *= seen.label[:, 0]
    width = max(1.0, STRETCH * seen.pitch)
    known = np.concatenate([seen.albedo * seen.trust[:, None], seen.trust[:, None], fill], 1)
    near = texels.values(blurred(texels.picture(known), width))
    even = near[:, :3] / np.maximum(near[:, 3:4], 1e-3) * (fill + EPS) / (near[:, 4:] + EPS)
    share = (slanted * seen.trust).astype(np.float32)
    trust = seen.trust * (1 - slanted).astype(np.float32)
    return replace(seen, trust=trust), fill + share[:, None] * (even - fill)


def glare_is_skin(
    head: HeadModel, texels: Texels, evidence: Evidence, tone: Float[np.ndarray, "3"], height: float
) -> Evidence:
    """Evidence in which a bald scalp's glare is skin, not white hair: much lighter, and of no height."""
    weight = evidence.told * zone(head, texels, "scalp") * evidence.label[:, 1]
    if height > -0.002 or weight.sum() < 20:
        return evidence
    colour = np.average(evidence.albedo, axis=0, weights=weight)
    if float(np.log((colour + EPS) / (tone + EPS)).mean()) < GLARE:
        return evidence
    label = evidence.label.copy()
    label[:, 0] += label[:, 1]
    label[:, 1] = 0
    return replace(evidence, label=label)


def cleaned(head: HeadModel, texels: Texels, evidence: Evidence, skin: Float[np.ndarray, "n 3"]) -> Evidence:
    """Evidence that trusts little what is unlike this skin: stray hair on ears, a collar's edge, glare.

    Where the face is seen squarely all of it stays visible, but it is not carried on to hidden skin.
    """
    off = np.log((evidence.albedo + EPS) / (skin + EPS))
    sure = evidence.trust * evidence.plain * evidence.square * evidence.label[:, 0] > 0.5
    if sure.any():
        off = off - np.median(off[sure], 0)
    light = off.mean(1)
    slack = np.where(light > 0, 0.45 + 0.25 * smoothstep(evidence.square, *SQUARELY), 0.7)
    unlike = np.maximum(np.linalg.norm(off - light[:, None], axis=1) / 0.3, np.abs(light) / slack)
    odd = smoothstep(unlike, 0.8, 1.6)
    kept = evidence.core * smoothstep(evidence.square, *SQUARELY)
    bare = zone(head, texels, "face", "ears", "neck", "nose", "lips", "lids") * (1 - evidence.label[:, 2])
    return replace(
        evidence,
        trust=(evidence.trust * (1 - odd * bare * (1 - kept))).astype(np.float32),
        square=np.where(evidence.label[:, 0] > 0.5, evidence.square * (1 - odd), evidence.square).astype(
            np.float32
        ),
    )


def usual_skin(
    head: HeadModel, texels: Texels, evidence: Evidence, tone: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "n 3"]:
    """What the skin model takes this person's skin to be; one colour where no model fits the head."""
    import cv2

    model = SkinModel.load_for(head)
    if model is None:
        return np.repeat(tone[None].astype(np.float32), len(texels.index), 0)
    weight = (evidence.trust * evidence.plain * evidence.label[:, 0] ** 2)[:, None]
    small = cv2.resize(
        texels.picture(np.concatenate([evidence.albedo * weight, weight], 1)), (model.size, model.size),
        interpolation=cv2.INTER_AREA,
    )  # fmt: skip
    colour, known = small[..., :3] / np.maximum(small[..., 3:], 1e-4), small[..., 3]
    albedo = model.sample(model.fit(torch.from_numpy(colour), torch.from_numpy(known)))
    filled = torch.where(model.inside[..., None], albedo, torch.zeros(3)).numpy()
    share = cv2.GaussianBlur(model.inside.numpy().astype(np.float32), (0, 0), 2.0)
    outside = (
        cv2.GaussianBlur(filled, (0, 0), 2.0) / np.maximum(share, 1e-3)[..., None]
    )  # no dark rim at chart borders
    filled = np.where(model.inside.numpy()[..., None], filled, outside)
    large = cv2.resize(filled, (texels.size, texels.size), interpolation=cv2.INTER_CUBIC)
    return np.maximum(texels.values(large), 1e-3).astype(np.float32)
