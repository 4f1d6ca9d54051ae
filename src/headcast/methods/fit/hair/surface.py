"""The hair as a closed surface around the head: as far out as the photos' outline, open where the face is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME, HairGrid, mirrored, normals
from headcast.observe.types import Observation
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = ["HairSurface", "best", "hair_surface"]

RADII = np.arange(
    0.0, 0.16, 0.003, dtype=np.float32
)  # metres beyond the skin at which the photo is looked at
USUAL = 0.012  # thickness of hair where nothing tells it
CLOSE = 0.003  # how far above the skin hair is looked for
TAPER = (0.1, 0.6)  # how fast hair that hangs down draws in: beside and behind the face, before it
EDGE = (0.010, 0.030)  # metres over which the hair rises from its rim: hanging, and on the skull
LEAST = 0.002  # metres that hair stands off the skin
SUNK = 0.004  # metres under the skin where there is no hair
ON_CLOTHES = 0.012  # metres off the shoulders
LONG = (0.0, 0.06)  # metres under the eyes' height to which hair reaches that starts to hang, that hangs
LIKE_TOP = (0.3, 0.1)  # how much the top's thickness counts in front and behind
BALD = 0.35  # of the top of the head with hair, below which there is no surface of hair
KEEN = 4.0  # exponent by which the photo that tells more of a place wins
LENIENT = 0.006  # metres beyond a photo's outline that another photo may show hair at
FEW = 2  # steps along a ray that hair may be interrupted
CELL = 0.0058  # size of a grid's cell, metres, about


@dataclass(frozen=True)
class HairSurface:
    """Where the hair is, on a grid around the head.

    Attributes:
        reach: (n, m) distance of the hair's surface along each ray, metres; under the skin off the hair.
        skin: (n, m) distance of the skin.
        cover: (n, m) 0..1 whether there is hair.
    """

    grid: HairGrid
    reach: Float[np.ndarray, "n m"]
    skin: Float[np.ndarray, "n m"]
    cover: Float[np.ndarray, "n m"]


@dataclass(frozen=True)
class Sight:
    """What one photo tells of every ray.

    Attributes:
        outline: how far out the hair ends where the photo shows its outline, beyond the base; NaN elsewhere.
        limit: how far out anything can be; infinite where the photo does not tell.
        weight: 0..1, how much ``outline`` counts. cover: hair (1) or not (0); told: how much that counts.
    """

    outline: Float[np.ndarray, "n m"]
    limit: Float[np.ndarray, "n m"]
    weight: Float[np.ndarray, "n m"]
    cover: Float[np.ndarray, "n m"]
    told: Float[np.ndarray, "n m"]


def hair_surface(observations: list[Observation], head: HeadModel) -> HairSurface | None:
    """The hair's surface from photos of one person; None where a displaced scalp does.

    Args:
        head: bound to the person.
    """
    seen = [o for o in observations if o.masks is not None]
    if not seen:
        return None
    rest = head.shape(seen[0].params.identity).numpy()
    skin_faces = head.faces[head.part == head.part_names.index("skin")].numpy()
    grid = HairGrid.around(rest, head)
    skin = grid.outermost(rest, skin_faces)
    hung = draped(skin, grid)
    graph = grid_graph(*grid.shape)
    extra = np.full(grid.shape, USUAL)
    sights = [sight_of(o, grid, head, skin, hung, hung + extra) for o in seen]
    bald = share_of_hair(sights, *top(grid)) < BALD
    if bald and share_of_hair(sights, *sides(grid)) < BALD:
        return None
    base = skin + hangs(sights, grid) * (hung - skin)
    extra = thickness(sights, graph)
    sights = [sight_of(o, grid, head, skin, base, base + extra) for o in seen]
    extra = thickness(sights, graph)
    if bald:
        extra = np.minimum(extra, USUAL)
    hanging = smoothstep(base - skin, 0.002, 0.015)
    limit = farthest([s.limit for s in sights])
    usual = np.minimum(usual_cover(sights, grid, head, rest), fringe(grid) if bald else 1.0)
    cover = coverage(sights, graph, grid, usual)
    edge = EDGE[1] + (EDGE[0] - EDGE[1]) * soft(hanging, 3.0)
    clear = LEAST + ON_CLOTHES * smoothstep(-grid.heights, 0.09, 0.13)[:, None]
    full = np.clip(np.minimum(base + extra, base + limit), skin + clear, None)
    full = soft(full, 1.0)
    rise = 1 - np.exp(-np.maximum(rim_distance(cover), 0) / edge)
    reach = skin + np.where(cover > 0.5, np.maximum((full - skin) * rise, LEAST), -SUNK)
    reach = soft(reach, 0.6)
    reach[:2] = reach[2].mean()
    return HairSurface(grid, reach, skin, cover)


def farthest(limits: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "n m"]:
    """How far out hair can be; of several photos none cuts closely, of three or more none alone: each lies a
    little off."""
    return np.sort(limits, 0)[int(len(limits) > 2)] + LENIENT * (len(limits) > 1)


def draped(skin: Float[np.ndarray, "n m"], grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """The skin, and below the head's middle what hangs straight down from it, drawing in a little."""
    base = skin.copy()
    y = grid.heights
    before = smoothstep(grid.direction[-1, :, 2], 0.2, 0.7)
    taper = TAPER[0] + (TAPER[1] - TAPER[0]) * before
    for i in range(1, len(y)):
        if y[i] < y[i - 1]:
            base[i] = np.maximum(skin[i], base[i - 1] - taper * (y[i - 1] - y[i]))
    return base


def sight_of(
    observation: Observation, grid: HairGrid, head: HeadModel, skin: Float[np.ndarray, "n m"],
    base: Float[np.ndarray, "n m"], reach: Float[np.ndarray, "n m"],
) -> Sight:  # fmt: skip
    """One photo, given the surface as far as it is known."""
    masks, camera = observation.masks, observation.camera
    assert masks is not None
    params = observation.params
    near, far = grid.posed(base, head, params), grid.posed(base + 0.1, head, params)
    along = (far - near) * np.float32(10)
    surface = near + along * (reach - base)[..., None]
    facing = facing_of(surface, camera)
    radii = RADII[:, None, None] - 0.02
    pixel = project_points(near[None] + along[None] * radii[..., None], camera)[0]
    h, w = observation.image.shape[:2]
    inside = ((pixel > 1) & (pixel < [w - 1, h - 1])).all(-1)
    hair = masks.hair.astype(np.float32)
    flat = pixel.reshape(-1, 2).astype(np.float32)
    is_hair = sample_bilinear(hair, flat).reshape(inside.shape) > 0.5
    person = (
        sample_bilinear((masks.person * (1 - masks.clothes)).astype(np.float32), flat).reshape(inside.shape)
        > 0.5
    )
    end, told_end = last_of(person & inside, inside)
    last_hair, _ = last_of(is_hair & inside, inside, start=end)
    below = chin_level(observation, pixel[0]) < 0
    limit = np.where(told_end, RADII[np.minimum(end, len(RADII) - 1)] - 0.02, np.inf)
    hairy = last_hair >= 0
    outline = np.where(below, np.where(hairy, RADII[last_hair] - 0.02, np.nan), limit)
    outline = np.where(np.isfinite(outline) & inside[0] & told_end, outline, np.nan)
    weight = np.exp(-((facing / 0.25) ** 2)) * np.isfinite(outline)
    # what is seen of the hair's own surface
    close = near + along * CLOSE
    beside = smoothstep(-grid.direction[-1, :, 2], -0.8, -0.4)[None] * np.ones_like(base)
    level = np.maximum(beside, smoothstep(base - skin, 0.002, 0.006))
    at = project_points(close + (surface - close) * level[..., None], camera)[0]
    ok = ((at > 1) & (at < [w - 1, h - 1])).all(-1)
    cover = sample_bilinear(hair, at.reshape(-1, 2).astype(np.float32)).reshape(facing.shape)
    skin_facing = facing_of(close, camera)
    told = smoothstep(np.minimum(facing, skin_facing), 0.05, 0.3) * ok
    inner = near + along * np.maximum(np.nan_to_num(outline) - 0.005, 0)[..., None]
    at_rim = sample_bilinear(
        hair, project_points(inner, camera)[0].reshape(-1, 2).astype(np.float32)
    ).reshape(facing.shape)
    positive = np.where(np.arange(len(told))[:, None] < DOME, smoothstep(at_rim, 0.3, 0.7), 1.0)
    rim = 0.5 * weight * (1 - told) * positive  # above the eyes a thin matte is no sign of baldness
    cover = (told * cover + rim * at_rim) / np.maximum(told + rim, 1e-9)
    told = told + rim
    cover, told = carried_down(cover, told, at[..., 1] >= h - 1)
    return Sight(np.nan_to_num(outline), limit, weight, cover, told)


def carried_down(
    cover: Float[np.ndarray, "n m"], told: Float[np.ndarray, "n m"], below: Bool[np.ndarray, "n m"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """What lies under the picture is as above it: hair that the frame cuts goes on."""
    cover, told = soft(cover * told, 1.5) / np.maximum(soft(told, 1.5), 1e-9), told.copy()
    for i in range(1, len(cover)):
        cut = below[i]
        cover[i, cut], told[i, cut] = cover[i - 1, cut], told[i - 1, cut] * 0.98
    return cover, told


def last_of(
    there: Bool[np.ndarray, "k n m"], inside: Bool[np.ndarray, "k n m"], start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Index of the last True of the first run (short gaps forgiven), and whether it ends in the picture."""
    k = len(there)
    gone = np.zeros(there.shape[1:], int)
    last = np.full(there.shape[1:], -1)
    done = np.zeros(there.shape[1:], bool)
    for i in range(k):
        if start is not None:
            done |= i > start
        hit = there[i] & ~done
        last[hit] = i
        gone = np.where(there[i], 0, gone + 1)
        if start is None:
            done |= (gone > FEW) & (RADII[i] > 0.024)
    ended = done & (np.take_along_axis(inside, np.clip(last + 1, 0, k - 1)[None], 0)[0])
    return last, ended


def chin_level(observation: Observation, pixel: Float[np.ndarray, "n m 2"]) -> Float[np.ndarray, "n m"]:
    """How far above the chin's level pixels lie, in heights of the face."""
    points = observation.detection.points
    up = points[10] - points[152]
    return (pixel - points[152]) @ (up / (up @ up)) - 0.05


def facing_of(surface: Float[np.ndarray, "n m 3"], camera: Camera) -> Float[np.ndarray, "n m"]:
    """Cosine between outward normals and the direction to the camera."""
    to = camera.center.numpy() - surface
    return (normals(surface) * to).sum(-1) / np.maximum(np.linalg.norm(to, axis=-1), 1e-9)


def thickness(sights: list[Sight], graph: Graph) -> Float[np.ndarray, "n m"]:
    """How far the hair reaches beyond the base, from the outlines of all photos, carried over the rest."""
    weight = np.sum([s.weight for s in sights], 0)
    value = np.sum([s.weight * s.outline for s in sights], 0) / np.maximum(weight, 1e-9)
    known = weight > 0.3
    top = known & (np.arange(len(weight)) < DOME / 3)[:, None]
    if top.any():  # before and behind the top hair is about as thick as there, whatever hangs at the sides
        share = like_top(*weight.shape) * (1 - np.minimum(weight, 1))
        value = np.where(weight + share > 0, weight * value + share * np.median(value[top]), 0)
        weight = weight + share
        value = value / np.maximum(weight, 1e-9)
    usual = float(np.median(value[known])) if known.any() else USUAL
    trust = 3 * weight + 0.002
    value = (3 * weight * value + 0.002 * usual) / trust
    return solve_laplacian(graph, value.reshape(-1, 1), trust.reshape(-1), sweeps=120).reshape(weight.shape)


def like_top(n: int, m: int) -> Float[np.ndarray, "n m"]:
    """Where the top's thickness is the best guess, and how good: most in the middle of forehead and back."""
    rows = np.arange(n, dtype=float)[:, None]
    ahead = np.cos(np.arange(m) / m * 2 * np.pi - np.pi)
    middle = np.where(ahead > 0, LIKE_TOP[0], LIKE_TOP[1]) * smoothstep(np.abs(ahead), 0.4, 0.9)
    return middle * smoothstep(DOME - rows, -2.0, 0.5 * DOME)


def coverage(
    sights: list[Sight], graph: Graph, grid: HairGrid, usual: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n m"]:
    """0..1 where there is hair: as seen, as on the other side, as is usual."""
    told = np.sum([s.told for s in sights], 0)
    share = best([s.told for s in sights])
    cover = np.sum([w * s.cover for w, s in zip(share, sights, strict=True)], 0)
    told = np.minimum(told, 1.0)
    other = mirrored(told) * 0.3 * (1 - told)
    behind = smoothstep(-grid.direction[-1, :, 2], 0.0, 0.3)[None]
    prior = 0.03 + 0.15 * behind
    trust = told + other + prior
    value = (told * cover + other * mirrored(cover) + prior * usual) / trust
    out = solve_laplacian(graph, value.reshape(-1, 1), 4 * trust.reshape(-1), sweeps=60).reshape(cover.shape)
    out[:3] = out[3].mean()
    return tidy(np.clip(out, 0, 1))


def best(told: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "k n m"]:
    """Shares of the photos, nearly all to the one that tells most: others see past hair that hangs free."""
    keen = np.stack(told)
    keen = (keen / np.maximum(keen.max(0), 1e-9)) ** KEEN
    return keen / np.maximum(keen.sum(0), 1e-9)


def tidy(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Without small holes, and without what does not hang together with the rest."""
    import cv2

    n, m = cover.shape
    k = 8
    wide = np.pad(np.pad(cover, ((k, k), (0, 0)), "edge"), ((0, 0), (m, m)), "wrap").astype(np.float32)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    wide = cv2.morphologyEx(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disk), cv2.MORPH_OPEN, disk)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((wide > 0.5).astype(np.uint8), connectivity=4)
    if len(stats) > 1:
        area = stats[1:, cv2.CC_STAT_AREA]
        large = 1 + np.flatnonzero(area > 0.9 * area.max())  # a wreath is cut in two equal pieces here
        wide = np.where((wide > 0.5) & ~np.isin(labels, large), 0.2, wide)
    return wide[k : n + k, m : 2 * m].astype(np.float64)


def usual_cover(
    sights: list[Sight], grid: HairGrid, head: HeadModel, rest: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "n m"]:
    """Hair on the scalp, and at the back as far down as at the sides."""
    n, m = grid.shape
    scalp = head.region_mask("scalp").numpy()
    row, column, _ = grid.place(rest[scalp])
    hits = np.zeros((n, m))
    hits[np.clip(np.round(row).astype(int), 0, n - 1), np.round(column).astype(int) % m] = 1
    import cv2

    wide = np.pad(hits, ((6, 6), (0, 0)), "edge")
    wide = np.pad(wide, ((0, 0), (6, 6)), "wrap")
    usual = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((9, 9)))[6:-6, 6:-6]
    low = lowest(sights, grid)
    back = np.abs(np.arange(m) / m - 0.5) > 0.14
    hang = (np.arange(n)[:, None] < low[None]) & back[None]
    return np.maximum(usual, hang)


def lowest(sights: list[Sight], grid: HairGrid) -> Float[np.ndarray, "m"]:
    """The row where hair ends beside the face, carried around the back."""
    m = grid.shape[1]
    ends = []
    for side in (slice(m // 8, 3 * m // 8), slice(5 * m // 8, 7 * m // 8)):
        told = np.sum([s.told[:, side] + s.weight[:, side] for s in sights], 0)
        hairy = np.sum([(s.told[:, side] + s.weight[:, side]) * s.cover[:, side] for s in sights], 0).max(1)
        bare = (hairy < 0.5) & (told.max(1) > 0.5)
        bare[:DOME] = False
        gone = np.flatnonzero(np.convolve(bare, np.ones(3), "valid") == 3)
        ends.append(int(gone[0]) if len(gone) else int(np.flatnonzero(told.max(1) > 0.5).max(initial=0)))
    left = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(m) / m - 0.25))
    return ends[0] + (ends[1] - ends[0]) * left


def hangs(sights: list[Sight], grid: HairGrid) -> Float[np.ndarray, "1 m"]:
    """0..1 by column: whether hair is long enough to hang free of neck and nape."""
    low = lowest(sights, grid)
    y = np.interp(low, np.arange(grid.shape[0]), grid.heights)
    return smoothstep(-y, *LONG)[None]


def share_of_hair(sights: list[Sight], rows: slice, columns: Bool[np.ndarray, "m"]) -> float:
    """Share of hair on what is seen of some rows and columns."""
    told = np.sum([(s.told + s.weight)[rows][:, columns] for s in sights], 0)
    hair = np.sum([((s.told + s.weight) * s.cover)[rows][:, columns] for s in sights], 0)
    return float(hair.sum() / max(float(told.sum()), 1e-6))


def top(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Rows and columns of the top of the head."""
    return slice(0, int(0.6 * DOME)), np.ones(grid.shape[1], bool)


def sides(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Rows and columns above and behind the ears."""
    return slice(int(0.6 * DOME), DOME), np.abs(grid.direction[DOME, :, 0]) > 0.85


def fringe(grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Where a bald head still has hair: a wreath from temple to temple, higher behind."""
    behind = smoothstep(-grid.direction[DOME, :, 2], -0.1, 0.8)
    rows = np.arange(grid.shape[0], dtype=float)[:, None]
    return smoothstep(rows - (0.72 - 0.2 * behind) * DOME, -2.0, 2.0)


def rim_distance(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Metres inside the hair's rim."""
    import cv2

    m = cover.shape[1]
    wide = np.concatenate([cover, cover, cover], 1) > 0.5
    wide = np.pad(wide, ((20, 0), (0, 0)), "edge")
    distance = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 5)[20:, m : 2 * m]
    return (distance - 0.5) * CELL


def soft(x: Float[np.ndarray, "n m"], sigma: float) -> Float[np.ndarray, "n m"]:
    """A blur that goes around."""
    import cv2

    k = 8
    wide = np.pad(np.pad(x, ((k, k), (0, 0)), "edge"), ((0, 0), (k, k)), "wrap")
    return cv2.GaussianBlur(wide, (0, 0), sigma)[k:-k, k:-k]


def grid_graph(n: int, m: int) -> Graph:
    """Neighbours in a grid whose columns go around."""
    index = np.arange(n * m).reshape(n, m)
    pairs = np.concatenate([
        np.stack([index, np.roll(index, -1, 1)], -1).reshape(-1, 2),
        np.stack([index[:-1], index[1:]], -1).reshape(-1, 2),
    ])  # fmt: skip
    source = np.concatenate([pairs[:, 0], pairs[:, 1]])
    target = np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.argsort(source, kind="stable")
    start = np.searchsorted(source[order], np.arange(n * m + 1))
    return start.astype(np.int64), target[order].astype(np.int64), np.ones(len(order))
