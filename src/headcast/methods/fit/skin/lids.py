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
    "AROUND",
    "UpperLids",
    "bare_lids",
    "blink_offset",
    "delight_lids",
    "distrust_smears",
    "draw_lash_line",
    "find_upper_lids",
    "lash_shade",
]

SMEARED = (
    0.4,
    0.7,
)  # fractions of a closed lid that an open eye hides, from which on lashes come out as smears
UNLIKE = (0.3, 0.6)  # logarithm of lightness next to the skin's
AROUND = (0.05, 0.25)  # fraction of a lid's edge's path in a blink: what moves less is skin around
COVERING = (0.25, 0.5)  # the same: what moves more lies under the lashes of an open eye
CORNER = 0.25  # fraction of the edge's longest path: at the eye's corners it moves little
BARED = 10.0  # texels of a 1024 texture over which the skin around gives a lid its colour
OWN = 4.0  # weight of a lid's own skin, next to that of the skin around
ALIKE = (0.15, 0.35)  # logarithm of lightness next to the skin around, of what may be a lid's skin
# the same next to the bare lid, in no shade: more is single lashes, glass or the eye's white
LASHED = (0.3, 0.6)
EDGE = (0.0015, 0.003)  # metres from a closed lid's edge within which nothing is taken for skin
RIM = (0.0008, 0.0022)  # metres from a closed lid's edge within which it stays as it is
DEEP = (0.15, 0.4)  # fraction of the light that lashes take, from which on the photo says nothing of the skin
HUE = 0.2  # fraction of its hue that a lid keeps
MIN_LIGHT = 0.15  # light under the darkest lashes
KNOWN = 2.0
EPS = 0.01
LASHES = (0.003, 0.85)  # width of their line on a closed lid (metres), how much darker it is


@dataclass(frozen=True)
class UpperLids:
    """The texels of both upper lids, m of them.

    Attributes:
        which: their numbers.
        blink_fraction: how far a blink moves each, as a fraction of the lid's edge below it.
        distance: metres from the edge when the lids are closed.
    """

    which: Int[np.ndarray, "m"]
    blink_fraction: Float[np.ndarray, "m"]
    distance: Float[np.ndarray, "m"]

    @property
    def blink_cover(self) -> Float[np.ndarray, "m"]:
        """0..1: what a blink moves over the eye."""
        return smoothstep(self.blink_fraction, *COVERING)


def blink_offset(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Return the displacement of every vertex by a blink of both eyes, metres."""
    return head.expression_basis[list(BLINKS)].sum(0).numpy()


def find_upper_lids(head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]) -> UpperLids:
    """Find the upper eyelids' texels; ``rest``: vertices at rest."""
    move = blink_offset(head)
    closed, length = rest + move, np.linalg.norm(move, axis=1)
    fraction = np.zeros((len(rest), 1), np.float32)
    edges = []
    for lid, edge, _ in lid_margins(head, rest):
        edges.append(edge)
        below = np.abs(rest[lid, None, 0] - rest[edge, 0]).argmin(1)
        most = np.maximum(length[edge[below]], CORNER * length[edge].max())
        fraction[lid, 0] = np.clip(length[lid] / np.maximum(most, 1e-9), 0, 1)
    blink_fraction = interpolate_attributes(fraction, head.faces.numpy(), texels)[:, 0] * region_weights(
        head, texels, "lids"
    )
    which = np.flatnonzero(blink_fraction > AROUND[0])
    at = interpolate_attributes(closed, head.faces.numpy(), texels)[which]
    distance = np.min([distance_to(closed[e], at, 3 * EDGE[1]) for e in edges], 0)
    return UpperLids(which, blink_fraction[which], distance)


def bare_lids(canvas: TextureCanvas, lids: UpperLids) -> TextureCanvas:
    """Fill the upper lids with the colour of their own bare skin, or of that around them.

    The skin model has lashes there.
    """
    import cv2

    texels, observed, fill = canvas.texels, canvas.observed, canvas.fill
    mine, width = lids.which, BARED * texels.size / 1024
    cut, read = texels.crop(mine, round(5 * width))

    def diffuse(weight: Float[np.ndarray, "n"], colour: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 4"]:
        known = np.concatenate([colour * weight[:, None], weight[:, None]], 1).astype(np.float32)
        return read(cv2.GaussianBlur(cut(known), (0, 0), width))

    around = np.ones(len(fill), np.float32)
    around[mine] = 1 - smoothstep(lids.blink_fraction, *AROUND)
    shown = fill + observed.confidence[:, None] * (observed.albedo - fill)
    near = diffuse(around * canvas.region_weights("lids", "face"), shown)
    nearby = near[:, :3].mean(1) / np.maximum(near[:, 3], 1e-3)
    own = _own_weight(lids, observed, mine, nearby, fill)
    near = near + diffuse(own, observed.albedo)
    bare = near[:, :3] / np.maximum(near[:, 3:4], 1e-3)
    weight = lids.blink_cover * smoothstep(near[:, 3], 0.0, 0.05)
    return canvas.with_fill(mine, fill[mine] + weight[:, None].astype(np.float32) * (bare - fill[mine]))


def _own_weight(
    lids: UpperLids,
    observed: TexelObservations,
    mine: Int[np.ndarray, "m"],
    nearby: np.ndarray,
    fill: np.ndarray,
) -> np.ndarray:
    """Return how much each lid texel shows bare skin: as light as that nearby, and off the edge."""
    off = np.log((observed.albedo[mine].mean(1) + EPS) / (nearby + EPS))
    own = np.zeros(len(fill), np.float32)
    own[mine] = OWN * observed.confidence[mine] * lids.blink_cover * (1 - smoothstep(np.abs(off), *ALIKE))
    own[mine] *= smoothstep(lids.distance, *EDGE)
    return own


def draw_lash_line(canvas: TextureCanvas, lids: UpperLids) -> TextureCanvas:
    """Darken the edge of the bare lids."""
    width, dark = LASHES
    line = 1 - dark * lids.blink_cover * np.exp(-((lids.distance / width) ** 2))
    return canvas.with_fill(lids.which, canvas.fill[lids.which] * line[:, None].astype(np.float32))


def lash_shade(canvas: TextureCanvas, lids: UpperLids) -> Float[np.ndarray, "n"]:
    """Estimate the fraction of light that lashes or glasses leave in the photo, 1 off the bare lids."""
    head, texels, observed, fill = canvas.head, canvas.texels, canvas.observed, canvas.fill
    mine = lids.which
    weight = np.zeros(len(fill), np.float32)
    off = np.zeros((len(fill), 1), np.float32)
    off[mine, 0] = np.log((observed.albedo[mine].mean(1) + EPS) / (fill[mine].mean(1) + EPS)).clip(max=0)
    weight[mine] = observed.confidence[mine] * lids.blink_cover * (1 - off[mine, 0])
    mean, known = scatter_to_vertices(texels, head.faces.numpy(), len(head.neutral), off, weight)
    dark = np.exp(mean[:, 0]).clip(MIN_LIGHT)
    shade = (1 - (1 - dark) * np.minimum(1, KNOWN * known)).astype(np.float32)
    return canvas.gather(shade[:, None])[:, 0]


def delight_lids(canvas: TextureCanvas, lids: UpperLids, shade: Float[np.ndarray, "n"]) -> TextureCanvas:
    """Divide what is observed by the lashes' shade.

    What lay in deep shade, or is still unlike the bare lids of ``fill``, is not trusted, but for the dark of
    their edge; and ``fill`` gets some of its hue there, for lashes are not grey.
    """
    observed, fill, mine = canvas.observed, canvas.fill, lids.which
    albedo = (observed.albedo / shade[:, None]).astype(np.float32)
    off = np.log((albedo[mine] + EPS) / (fill[mine] + EPS))
    light = off.mean(1)
    inner = smoothstep(lids.distance, *RIM)
    deep = smoothstep(1 - shade[mine], *DEEP) * lids.blink_cover * inner
    weight = deep * observed.confidence[mine]
    if weight.sum() > 0:
        hue = np.average(off - light[:, None], axis=0, weights=weight)
        canvas = canvas.with_fill(mine, fill[mine] * np.exp(HUE * deep[:, None] * hue).astype(np.float32))
    odd = lids.blink_cover * np.maximum(smoothstep(-light, *LASHED) * inner, smoothstep(light, *LASHED))
    delit = replace(observed, albedo=albedo).scale_confidence(mine, 1 - np.maximum(odd, deep))
    return replace(canvas, observed=delit)


def distrust_smears(canvas: TextureCanvas) -> TextureCanvas:
    """Distrust lashes and eye visible on the folds of a lid, unlike its bare skin in ``fill``."""
    observed, fill = canvas.observed, canvas.fill
    mine = np.flatnonzero(observed.foldedness > SMEARED[0])
    off = np.abs(np.log((observed.albedo[mine].mean(1) + EPS) / (fill[mine].mean(1) + EPS)))
    smear = smoothstep(observed.foldedness[mine], *SMEARED) * smoothstep(off, *UNLIKE)
    return replace(canvas, observed=observed.scale_confidence(mine, 1 - smear))
