"""Upper lids: bare skin on what an open eye folds away or covers with lashes, a dark line at their edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.lids import Lids, Patch
from headcast.head.model import BLINKS, HeadModel
from headcast.image import linear_to_srgb
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.observations import Evidence, zone
from headcast.methods.fit.skin.openings import distance_to
from headcast.texture.laplacian import splat
from headcast.texture.margins import lid_margins
from headcast.texture.texels import Texels, gather

__all__ = [
    "ShutLids", "UpperLids", "fringe", "lash_line", "lash_shade", "lids_bared", "lit_lids", "patched",
    "shut_lids", "upper_lids", "without_smears",
]  # fmt: skip

SMEARED = (0.4, 0.7)  # shares of a shut lid that an open eye hides, from which on lashes come out as smears
UNLIKE = (0.3, 0.6)  # logarithm of lightness next to the skin's
AROUND = (0.05, 0.25)  # of the way of a lid's edge at a blink: what moves less is skin around
DRAWN = (0.25, 0.5)  # the same: what moves more lies under the lashes of an open eye
CORNER = 0.25  # of the edge's longest way: at the eye's corners it moves little
BARED = 10.0  # texels of a 1024 texture over which the skin around gives a lid its colour
OWN = 4.0  # weight of a lid's own skin, next to that of the skin around
ALIKE = (0.15, 0.35)  # logarithm of lightness next to the skin around, of what may be a lid's skin
LASHED = (
    0.3,
    0.6,
)  # the same next to the bare lid, in no shade: more is single lashes, glass or the eye's white
EDGE = (0.0015, 0.003)  # metres from a shut lid's edge within which nothing is taken for skin
RIM = (0.0008, 0.0022)  # metres from a shut lid's edge within which it stays as it is
DEEP = (0.15, 0.4)  # share of the light that lashes take, from which on the photo says nothing of the skin
HUE = 0.2  # share of its hue that a lid keeps
LEAST = 0.15  # light under the darkest lashes
KNOWN = 2.0
EPS = 0.01
LASHES = (0.003, 0.85)  # width of their line on a shut lid (metres), how much darker it is
FRINGE = (0.0045, 0.85)  # metres of lashes below a shut lid's edge, share of the skin they cover at it
GAPS = (0.0005, 0.6)  # metres between lashes, how much of the skin shows between their tips
FAN = 0.35  # metres that lashes run outwards for each downwards
LASH = 0.1  # their albedo, next to the skin's


@dataclass(frozen=True)
class UpperLids:
    """The texels of both upper lids, m of them.

    Attributes:
        which: their numbers.
        way: how far a blink moves each, as a share of the lid's edge below it.
        distance: metres from the edge when the lids are shut.
    """

    which: Int[np.ndarray, "m"]
    way: Float[np.ndarray, "m"]
    distance: Float[np.ndarray, "m"]

    @property
    def drawn(self) -> Float[np.ndarray, "m"]:
        """0..1: what a blink draws over the eye."""
        return smoothstep(self.way, *DRAWN)


@dataclass(frozen=True)
class ShutLids:
    """The texels of upper lids, left and right, as they are when shut.

    Attributes:
        which: m numbers of texels each. colour: linear albedo. share: 0..1, 0 where nothing changes.
    """

    which: tuple[Int[np.ndarray, "m1"], Int[np.ndarray, "m2"]]
    colour: tuple[Float[np.ndarray, "m1 3"], Float[np.ndarray, "m2 3"]]
    share: tuple[Float[np.ndarray, "m1"], Float[np.ndarray, "m2"]]


def shut_lids(
    head: HeadModel, texels: Texels, lids: UpperLids, freed: Evidence, fill: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "v 3"],
) -> ShutLids:  # fmt: skip
    """The lids in the colours of the evidence ``freed`` of lashes, else of the bare ``fill``."""
    trust = freed.trust[lids.which, None]
    colour = (trust * freed.albedo[lids.which] + (1 - trust) * fill[lids.which]).astype(np.float32)
    share = smoothstep(lids.way, AROUND[0], AROUND[1]).astype(np.float32)
    below, cover = fringe(head, texels, rest)
    which = np.concatenate([lids.which, below])
    colour, share = np.concatenate([colour, LASH * fill[below]]), np.concatenate([share, cover])
    left = gather(rest[:, :1], head.faces.numpy(), texels)[which, 0] > 0
    sides = left, ~left
    which, colours, shares = zip(*((which[s], colour[s], share[s]) for s in sides), strict=True)
    return ShutLids(which, colours, shares)


def fringe(
    head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]
) -> tuple[Int[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Texels of the lower lids before which the upper lashes lie when the eyes are shut; the share that they
    cover."""
    length, dense = FRINGE
    shut = rest + blink_of(head)
    mine = np.flatnonzero(zone(head, texels, "lids", "face") > 0)
    sub = replace(texels, index=texels.index[mine], triangle=texels.triangle[mine], bary=texels.bary[mine])
    at = gather(shut, head.faces.numpy(), sub)
    cover = np.zeros(len(mine), np.float32)
    for _, edge, _ in lid_margins(head, rest):
        line = shut[edge]
        distance = distance_to(line, at, 2 * length)
        over = np.interp(at[:, 0], line[:, 0], line[:, 1]) - at[:, 1]
        beyond = np.maximum(line[0, 0] - at[:, 0], at[:, 0] - line[-1, 0])
        inside = (over > 0) * (1 - smoothstep(beyond, 0, length / 2))
        fan = at[:, 0] - FAN * over * np.sign(line[:, 0].mean())
        between = 0.5 + 0.5 * np.cos(2 * np.pi * fan / (2 * GAPS[0]))
        tips = smoothstep(distance, 0.3 * length, length) * GAPS[1] * between
        cover += inside * dense * np.exp(-((distance / length) ** 2)) * (1 - tips)
    found = np.flatnonzero(cover > 0.01)
    return mine[found], cover[found].clip(0, 1)


def patched(
    texture: UInt8[np.ndarray, "s s 3"], texels: Texels, lids: ShutLids, blink: Float[Tensor, "2"]
) -> Lids:
    """Shut lids as patches of the finished ``texture``, which may be finer than ``texels``."""
    import cv2

    made = []
    for which, colour, share in zip(lids.which, lids.colour, lids.share, strict=True):
        y, x = np.divmod(texels.index[which], texels.size)
        low = np.maximum([x.min() - 1, y.min() - 1], 0)
        high = np.minimum([x.max() + 2, y.max() + 2], texels.size)
        values = np.concatenate([linear_to_srgb(colour.clip(0, 1)), np.ones((len(which), 1))], 1)
        picture = np.zeros((high[1] - low[1], high[0] - low[0], 4), np.float32)
        picture[y - low[1], x - low[0]] = values * share[:, None]
        scale = texture.shape[0] // texels.size
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        patch = Patch(torch.from_numpy(low * scale), np.zeros((*picture.shape[:2], 3), np.uint8))
        there = patch.inside(texture).astype(np.float32) / 255
        mixed = picture[..., :3] + (1 - picture[..., 3:]) * there
        same = np.where(picture[..., 3:] > 0, mixed, there)
        made.append(replace(patch, texture=(same * 255).round().clip(0, 255).astype(np.uint8)))
    return Lids((made[0], made[1]), blink)


def blink_of(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """What a blink of both eyes moves, metres."""
    return head.expression_basis[list(BLINKS)].sum(0).numpy()


def upper_lids(head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]) -> UpperLids:
    """Finds them; ``rest``: vertices at rest."""
    move = blink_of(head)
    shut, length = rest + move, np.linalg.norm(move, axis=1)
    share = np.zeros((len(rest), 1), np.float32)
    edges = []
    for lid, edge, _ in lid_margins(head, rest):
        edges.append(edge)
        below = np.abs(rest[lid, None, 0] - rest[edge, 0]).argmin(1)
        most = np.maximum(length[edge[below]], CORNER * length[edge].max())
        share[lid, 0] = np.clip(length[lid] / np.maximum(most, 1e-9), 0, 1)
    way = gather(share, head.faces.numpy(), texels)[:, 0] * zone(head, texels, "lids")
    which = np.flatnonzero(way > AROUND[0])
    at = gather(shut, head.faces.numpy(), texels)[which]
    distance = np.min([distance_to(shut[e], at, 3 * EDGE[1]) for e in edges], 0)
    return UpperLids(which, way[which], distance)


def lids_bared(
    head: HeadModel, texels: Texels, seen: Evidence, fill: Float[np.ndarray, "n 3"], lids: UpperLids
) -> Float[np.ndarray, "n 3"]:
    """``fill`` with the upper lids in the colour of their own bare skin, or of that around them.

    The skin model has lashes there.
    """
    import cv2

    mine, width = lids.which, BARED * texels.size / 1024
    here, places = texels.around(mine, round(5 * width))

    def carried(weight: Float[np.ndarray, "n"], colour: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 4"]:
        known = np.concatenate([colour * weight[:, None], weight[:, None]], 1).astype(np.float32)
        return places(cv2.GaussianBlur(here(known), (0, 0), width))

    around = np.ones(len(fill), np.float32)
    around[mine] = 1 - smoothstep(lids.way, *AROUND)
    shown = fill + seen.trust[:, None] * (seen.albedo - fill)
    near = carried(around * zone(head, texels, "lids", "face"), shown)
    off = np.log(
        (seen.albedo[mine].mean(1) + EPS) / (near[:, :3].mean(1) / np.maximum(near[:, 3], 1e-3) + EPS)
    )
    own = np.zeros(len(fill), np.float32)
    own[mine] = OWN * seen.trust[mine] * lids.drawn * (1 - smoothstep(np.abs(off), *ALIKE))
    own[mine] *= smoothstep(lids.distance, *EDGE)
    near = near + carried(own, seen.albedo)
    bare = near[:, :3] / np.maximum(near[:, 3:4], 1e-3)
    share = lids.drawn * smoothstep(near[:, 3], 0.0, 0.05)
    out = fill.copy()
    out[mine] += share[:, None].astype(np.float32) * (bare - fill[mine])
    return out


def lash_line(fill_in: Float[np.ndarray, "n 3"], lids: UpperLids) -> None:
    """Darkens the edge of the bare lids in ``fill_in``."""
    width, dark = LASHES
    line = 1 - dark * lids.drawn * np.exp(-((lids.distance / width) ** 2))
    fill_in[lids.which] *= line[:, None].astype(np.float32)


def lash_shade(
    head: HeadModel, texels: Texels, seen: Evidence, fill: Float[np.ndarray, "n 3"], lids: UpperLids
) -> Float[np.ndarray, "v"]:
    """At every vertex, the share of light that lashes or glasses leave on the lids ``fill`` in the photo."""
    mine = lids.which
    weight = np.zeros(len(fill), np.float32)
    off = np.zeros((len(fill), 1), np.float32)
    off[mine, 0] = np.log((seen.albedo[mine].mean(1) + EPS) / (fill[mine].mean(1) + EPS)).clip(max=0)
    weight[mine] = seen.trust[mine] * lids.drawn * (1 - off[mine, 0])
    mean, known = splat(texels, head.faces.numpy(), len(head.neutral), off, weight)
    dark = np.exp(mean[:, 0]).clip(LEAST)
    return (1 - (1 - dark) * np.minimum(1, KNOWN * known)).astype(np.float32)


def lit_lids(
    seen: Evidence, fill_in: Float[np.ndarray, "n 3"], lids: UpperLids, shade: Float[np.ndarray, "n"]
) -> Evidence:
    """Evidence freed of the lashes' shade.

    What lay in deep shade, or is still unlike the bare lids ``fill_in``, is not trusted, but for the dark of
    their edge; and they get some of its hue, for lashes are not grey.
    """
    albedo = (seen.albedo / shade[:, None]).astype(np.float32)
    mine = lids.which
    off = np.log((albedo[mine] + EPS) / (fill_in[mine] + EPS))
    light = off.mean(1)
    inner = smoothstep(lids.distance, *RIM)
    deep = smoothstep(1 - shade[mine], *DEEP) * lids.drawn * inner
    weight = deep * seen.trust[mine]
    if weight.sum() > 0:
        hue = np.average(off - light[:, None], axis=0, weights=weight)
        fill_in[mine] *= np.exp(HUE * deep[:, None] * hue).astype(np.float32)
    trust = seen.trust.copy()
    odd = lids.drawn * np.maximum(smoothstep(-light, *LASHED) * inner, smoothstep(light, *LASHED))
    trust[mine] *= (1 - np.maximum(odd, deep)).astype(np.float32)
    return replace(seen, albedo=albedo, trust=trust)


def without_smears(seen: Evidence, fill: Float[np.ndarray, "n 3"]) -> Evidence:
    """Evidence without lashes and eye that were seen on the folds of a lid; ``fill``: its bare skin."""
    mine = np.flatnonzero(seen.folded > SMEARED[0])
    off = np.abs(np.log((seen.albedo[mine].mean(1) + EPS) / (fill[mine].mean(1) + EPS)))
    trust = seen.trust.copy()
    trust[mine] *= (1 - smoothstep(seen.folded[mine], *SMEARED) * smoothstep(off, *UNLIKE)).astype(np.float32)
    return replace(seen, trust=trust)
