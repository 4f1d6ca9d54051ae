"""Upper eyelids: bare skin where an open eye folds it away or lashes cover it, a dark line at their edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import BLINKS, HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.openings import distance_to
from headcast.texture.laplacian import scatter_to_vertices
from headcast.texture.margins import lid_margins
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = [
    "LID_BLINK_FRACTION",
    "UpperLids",
    "bare_lids",
    "blink_offset",
    "delight_lids",
    "draw_lash_line",
    "find_upper_lids",
    "lash_shade",
    "reject_smears",
]

SMEAR_FOLDEDNESS = (0.4, 0.7)  # foldedness from which lashes are smeared over the lid
SMEAR_LOG_DIFFERENCE = (0.3, 0.6)  # difference of log lightness to bare skin that makes a smear
LID_BLINK_FRACTION = (0.05, 0.25)  # motion in a blink relative to the lid's edge: less is skin around the lid
COVER_BLINK_FRACTION = (0.25, 0.5)  # the same: more lies under the lashes of an open eye
MIN_EDGE_PATH = 0.25  # fraction of the edge's longest path, assumed at the eye's corners
SKIN_BLUR_TEXELS = 10.0  # of a 1024 texture, over which a lid takes the colour of the skin around
OWN_SKIN_WEIGHT = 4.0  # relative to the skin around
SKIN_LOG_DIFFERENCE = (0.15, 0.35)  # difference of log lightness up to which texels are the lid's own skin
# the same to the bare lid, without shade: more is single lashes, glasses or sclera
LASH_LOG_DIFFERENCE = (0.3, 0.6)
SKIN_EDGE_DISTANCE_M = (0.0015, 0.003)  # from a closed lid's edge: no skin is observed nearer
KEPT_EDGE_DISTANCE_M = (0.0008, 0.0022)  # from a closed lid's edge: nearer texels keep their colours
DEEP_SHADE = (0.15, 0.4)  # fraction of light lost to lashes, from which the photo's colours are not used
SHADE_HUE_FRACTION = 0.2  # of the hue of shaded skin that the fill takes
MIN_LIGHT = 0.15  # light under the darkest lashes
KNOWN_GAIN = 2.0  # on the diffused weight, before it is clamped to 1
EPS = 0.01
LASH_LINE = (0.003, 0.85)  # width on a closed lid, metres; darkening


@dataclass(frozen=True)
class UpperLids:
    """Texels of both upper eyelids, m of them.

    Attributes:
        index: of the texels.
        blink_fraction: motion of each in a blink, relative to the lid's edge below it.
        distance: metres from the edge when the lids are closed.
    """

    index: Int[np.ndarray, "m"]
    blink_fraction: Float[np.ndarray, "m"]
    distance: Float[np.ndarray, "m"]

    @property
    def blink_cover(self) -> Float[np.ndarray, "m"]:
        """Return 0..1: texels that a blink moves over the eye."""
        return smoothstep(self.blink_fraction, *COVER_BLINK_FRACTION)


def blink_offset(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Return the displacement of every vertex by a blink of both eyes, metres."""
    return head.expression_basis[list(BLINKS)].sum(0).numpy()


def find_upper_lids(head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]) -> UpperLids:
    """Find the upper eyelids' texels; ``rest``: vertices at rest."""
    displacement = blink_offset(head)
    closed, length = rest + displacement, np.linalg.norm(displacement, axis=1)
    fraction = np.zeros((len(rest), 1), np.float32)
    edges = []
    for lid, edge, _ in lid_margins(head, rest):
        edges.append(edge)
        nearest = np.abs(rest[lid, None, 0] - rest[edge, 0]).argmin(1)
        path = np.maximum(length[edge[nearest]], MIN_EDGE_PATH * length[edge].max())
        fraction[lid, 0] = np.clip(length[lid] / np.maximum(path, 1e-9), 0, 1)
    blink_fraction = interpolate_attributes(fraction, head.faces.numpy(), texels)[:, 0] * region_weights(
        head, texels, "lids"
    )
    index = np.flatnonzero(blink_fraction > LID_BLINK_FRACTION[0])
    position = interpolate_attributes(closed, head.faces.numpy(), texels)[index]
    distance = np.min([distance_to(closed[e], position, 3 * SKIN_EDGE_DISTANCE_M[1]) for e in edges], 0)
    return UpperLids(index, blink_fraction[index], distance)


def bare_lids(canvas: TextureCanvas, lids: UpperLids) -> TextureCanvas:
    """Fill the upper lids with the colour of their own bare skin, or else of the skin around.

    The skin model's albedo contains lashes there.
    """
    import cv2

    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    index, width = lids.index, SKIN_BLUR_TEXELS * texels.size / 1024
    crop, gather_texels = texels.crop(index, round(5 * width))

    def diffuse(weight: Float[np.ndarray, "n"], colour: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 4"]:
        known = np.concatenate([colour * weight[:, None], weight[:, None]], 1).astype(np.float32)
        return gather_texels(cv2.GaussianBlur(crop(known), (0, 0), width))

    skin_around = np.ones(len(fill), np.float32)
    skin_around[index] = 1 - smoothstep(lids.blink_fraction, *LID_BLINK_FRACTION)
    observed_skin = fill + observed.confidence[:, None] * (observed.albedo - fill)
    diffused = diffuse(skin_around * canvas.region_weights("lids", "face"), observed_skin)
    nearby_lightness = diffused[:, :3].mean(1) / np.maximum(diffused[:, 3], 1e-3)
    own_weight = _own_weight(lids, observed, index, nearby_lightness, fill)
    diffused = diffused + diffuse(own_weight, observed.albedo)
    bare_colour = diffused[:, :3] / np.maximum(diffused[:, 3:4], 1e-3)
    weight = lids.blink_cover * smoothstep(diffused[:, 3], 0.0, 0.05)
    return canvas.with_fill(
        index, fill[index] + weight[:, None].astype(np.float32) * (bare_colour - fill[index])
    )


def _own_weight(
    lids: UpperLids,
    observed: TexelObservations,
    index: Int[np.ndarray, "m"],
    nearby_lightness: np.ndarray,
    fill: np.ndarray,
) -> np.ndarray:
    """Return weights of lid texels that are bare skin: as light as the skin nearby, off the lid's edge."""
    log_difference = np.log((observed.albedo[index].mean(1) + EPS) / (nearby_lightness + EPS))
    weight = np.zeros(len(fill), np.float32)
    weight[index] = (
        OWN_SKIN_WEIGHT
        * observed.confidence[index]
        * lids.blink_cover
        * (1 - smoothstep(np.abs(log_difference), *SKIN_LOG_DIFFERENCE))
    )
    weight[index] *= smoothstep(lids.distance, *SKIN_EDGE_DISTANCE_M)
    return weight


def draw_lash_line(canvas: TextureCanvas, lids: UpperLids) -> TextureCanvas:
    """Darken the edge of the bare lids."""
    width, darkening = LASH_LINE
    light_fraction = 1 - darkening * lids.blink_cover * np.exp(-((lids.distance / width) ** 2))
    return canvas.with_fill(lids.index, canvas.fill[lids.index] * light_fraction[:, None].astype(np.float32))


def lash_shade(canvas: TextureCanvas, lids: UpperLids) -> Float[np.ndarray, "n"]:
    """Estimate the fraction of light that lashes or glasses transmit in the photo; 1 off the bare lids."""
    head, texels, observed, fill = canvas.head, canvas.texels, canvas.observed, canvas.fill
    index = lids.index
    weight = np.zeros(len(fill), np.float32)
    log_difference = np.zeros((len(fill), 1), np.float32)
    log_difference[index, 0] = np.log(
        (observed.albedo[index].mean(1) + EPS) / (fill[index].mean(1) + EPS)
    ).clip(max=0)
    weight[index] = observed.confidence[index] * lids.blink_cover * (1 - log_difference[index, 0])
    mean, known = scatter_to_vertices(texels, head.faces.numpy(), len(head.neutral), log_difference, weight)
    light_fraction = np.exp(mean[:, 0]).clip(MIN_LIGHT)
    shade = (1 - (1 - light_fraction) * np.minimum(1, KNOWN_GAIN * known)).astype(np.float32)
    return canvas.gather(shade[:, None])[:, 0]


def delight_lids(canvas: TextureCanvas, lids: UpperLids, shade: Float[np.ndarray, "n"]) -> TextureCanvas:
    """Divide the observed albedo by the lashes' shade.

    Texels in deep shade, or still unlike the bare lids of ``fill``, lose their confidence, except for the
    dark edge; ``fill`` takes some of the hue of deep shade, because lashes are not grey.
    """
    observed, fill, index = canvas.observed, canvas.fill, lids.index
    albedo = (observed.albedo / shade[:, None]).astype(np.float32)
    log_difference = np.log((albedo[index] + EPS) / (fill[index] + EPS))
    log_lightness = log_difference.mean(1)
    off_edge = smoothstep(lids.distance, *KEPT_EDGE_DISTANCE_M)
    deep_shade = smoothstep(1 - shade[index], *DEEP_SHADE) * lids.blink_cover * off_edge
    weight = deep_shade * observed.confidence[index]
    if weight.sum() > 0:
        hue = np.average(log_difference - log_lightness[:, None], axis=0, weights=weight)
        canvas = canvas.with_fill(
            index, fill[index] * np.exp(SHADE_HUE_FRACTION * deep_shade[:, None] * hue).astype(np.float32)
        )
    unlike_skin = lids.blink_cover * np.maximum(
        smoothstep(-log_lightness, *LASH_LOG_DIFFERENCE) * off_edge,
        smoothstep(log_lightness, *LASH_LOG_DIFFERENCE),
    )
    observed_delit = replace(observed, albedo=albedo).scale_confidence(
        index, 1 - np.maximum(unlike_skin, deep_shade)
    )
    return replace(canvas, observed=observed_delit)


def reject_smears(canvas: TextureCanvas) -> TextureCanvas:
    """Lower the confidence of lid folds whose observed colours, lashes or eye, differ from ``fill``."""
    observed, fill = canvas.observed, canvas.fill
    index = np.flatnonzero(observed.foldedness > SMEAR_FOLDEDNESS[0])
    log_difference = np.abs(np.log((observed.albedo[index].mean(1) + EPS) / (fill[index].mean(1) + EPS)))
    smear_weight = smoothstep(observed.foldedness[index], *SMEAR_FOLDEDNESS) * smoothstep(
        log_difference, *SMEAR_LOG_DIFFERENCE
    )
    return replace(canvas, observed=observed.scale_confidence(index, 1 - smear_weight))
