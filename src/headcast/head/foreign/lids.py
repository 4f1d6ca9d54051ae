"""Lids of a foreign topology, projected onto its eyes by the same step as ours (``headcast.head.lids``).

The margin of each lid is a closed path over the foreign mesh that follows our margin; everything else that
the step needs is carried over from ours, along the margin and over the skin around it.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.head.foreign.surface import MeshPoints, edges_of
from headcast.head.model import HeadModel

__all__ = ["laid_to_rest", "lid_tensors"]

NEAR = 0.006
"""Metres from our margin within which the foreign one is looked for."""
OFF = 0.0007
"""Metres off our margin that double a path's length."""
FAR_OFF = (0.0006, 0.002)
"""Mean and largest distance from our margin beyond which a path is not the foreign one: coarse meshes have
none that could be projected onto an eye without creases."""


class Lid(NamedTuple):
    """One eye: vertices of its lids, which of them form the margin, and the carried numbers."""

    vertices: Int[np.ndarray, " l"]
    rim: Int[np.ndarray, " c"]
    partner: Float[np.ndarray, "c c"]
    share: Float[np.ndarray, " c"]
    spread: Float[np.ndarray, "l c"]
    clearance: Float[np.ndarray, " l"]


def lid_tensors(
    neutral: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    ours: HeadModel,
    registered: Float[np.ndarray, "w 3"],
    places: MeshPoints,
) -> dict[str, np.ndarray]:
    """Return buffers ``lid_*`` with numbers of their own for each eye; empty where no margin is found.

    Args:
        neutral, faces: the foreign skin.
        registered: our vertices on it.
        places: the foreign vertices on ours.
    """
    lids = [one_lid(side, neutral, faces, ours, registered, places) for side in range(2)]
    if lids[0] is None or lids[1] is None:
        return no_lids()
    both = (lids[0], lids[1])
    c = max(len(x.rim) for x in both)
    count = max(len(x.vertices) + c - len(x.rim) for x in both)
    spare = np.setdiff1d(np.unique(faces), np.concatenate([x.vertices for x in both]))
    spare = spare[np.argsort(neutral[spare, 2])]  # from the back of the head, where nothing is near the eyes
    filled, start = [], 0
    for lid in both:
        missing = count - len(lid.vertices)
        filled.append(pad_lid(lid, spare[start : start + missing], c))
        start += missing
    stacked = [np.stack([getattr(x, k) for x in filled]) for k in Lid._fields]
    return {
        "lid_index": stacked[0],
        "lid_rim": np.arange(c),
        "lid_partner": stacked[2],
        "lid_share": stacked[3],
        "lid_spread": stacked[4],
        "lid_clearance": stacked[5],
    }


def no_lids() -> dict[str, np.ndarray]:
    """Return buffers of a head whose lids follow its eyeBlink shape, without projection."""
    return {
        "lid_index": np.zeros((2, 0), np.int64),
        "lid_rim": np.zeros(0, np.int64),
        "lid_partner": np.zeros((0, 0)),
        "lid_share": np.zeros(0),
        "lid_spread": np.zeros((0, 0)),
        "lid_clearance": np.zeros(0),
    }


def one_lid(
    side: int,
    neutral: np.ndarray,
    faces: np.ndarray,
    ours: HeadModel,
    registered: np.ndarray,
    places: MeshPoints,
) -> Lid | None:
    """Find the lids of one eye; None where no closed margin is found."""
    index = ours.lid_index[side].numpy()
    margin = registered[index[ours.lid_rim.numpy()]]
    rim = margin_path(neutral, faces, margin)
    if rim is None:
        return None
    along = on_loop(neutral[rim], margin)  # (c, 42): foreign margin from ours
    against = on_loop(margin, neutral[rim])  # (42, c): ours from the foreign one
    row = np.full(len(ours.neutral), -1)
    row[index] = np.arange(len(index))
    skin = np.unique(faces)
    corner = row[ours.faces.numpy()[places.triangle[skin]]]
    touched = (corner >= 0).any(1)
    own, corner, bary = skin[touched], corner[touched], places.bary[skin[touched]] * (corner[touched] >= 0)
    spread = np.einsum("nk,nkc->nc", bary, ours.lid_spread.double().numpy()[corner]) @ against
    clearance = (bary * ours.lid_clearance.double().numpy()[corner]).sum(1)
    extra = np.setdiff1d(own, rim)
    keep = np.isin(own, extra) & (bary.sum(1) > 0.01)
    c = len(rim)
    clear_rim = along @ ours.lid_clearance.double().numpy()[ours.lid_rim.numpy()]
    partner = along @ ours.lid_partner.double().numpy() @ against
    share = along @ ours.lid_share.double().numpy()
    return Lid(
        np.concatenate([rim, own[keep]]),
        np.arange(c),
        partner,
        share,
        np.concatenate([np.eye(c), spread[keep]]),
        np.concatenate([clear_rim, clearance[keep]]),
    )


def pad_lid(lid: Lid, spare: Int[np.ndarray, " n"], c: int) -> Lid:
    """Pad a lid with inactive vertices: margin entries first, which nothing follows."""
    n, l = len(lid.rim), len(lid.vertices)  # noqa: E741
    more = c - n
    vertices = np.concatenate([lid.vertices[:n], spare[:more], lid.vertices[n:], spare[more:]])
    partner, share = np.eye(c), np.zeros(c)
    partner[:n, :n], share[:n] = lid.partner, lid.share
    spread, clearance = np.zeros((len(vertices), c)), np.zeros(len(vertices))
    spread[:n, :n], spread[c : c + l - n, :n] = lid.spread[:n], lid.spread[n:]
    clearance[:n], clearance[c : c + l - n] = lid.clearance[:n], lid.clearance[n:]
    return Lid(vertices, np.arange(c), partner, share, spread, clearance)


def on_loop(points: Float[np.ndarray, "n 3"], loop: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "n m"]:
    """Find each point's nearest position on a closed polyline, as weights of its corners."""
    a, b = loop, np.roll(loop, -1, 0)
    t = ((points[:, None] - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-18)
    t = t.clip(0, 1)
    gap = np.linalg.norm(points[:, None] - a - t[..., None] * (b - a), axis=-1)
    best, rows = gap.argmin(1), np.arange(len(points))
    out = np.zeros((len(points), len(loop)))
    out[rows, best] += 1 - t[rows, best]
    out[rows, (best + 1) % len(loop)] += t[rows, best]
    return out


class _MarginRuns(NamedTuple):
    """Vertices at the corners of an eye, and the margin's points between them: above, and below."""

    first: int
    last: int
    runs: tuple[np.ndarray, np.ndarray]


def margin_path(
    neutral: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], margin: Float[np.ndarray, "m 3"]
) -> Int[np.ndarray, " c"] | None:
    """Find a closed path over mesh edges along the margin, from corner to corner above and back below."""
    skin = np.unique(faces)
    near = skin[(np.abs(neutral[skin] - margin.mean(0)) < 0.03).all(1)]
    near = _near_margin(neutral, margin, near)
    if len(near) < 12:
        return None
    first, last, runs = _margin_runs(neutral, margin, near)
    edges = edges_of(faces)
    edges = edges[np.isin(edges, near).all(1)]
    paths: list[list[int]] = []
    for run in runs:
        path = _path_along(neutral, margin, edges, run, paths, first, last)
        if path is None:
            return None
        paths.append(path)
    loop = np.array(paths[0] + paths[1][-2:0:-1])
    away = np.linalg.norm(on_loop(neutral[loop], margin) @ margin - neutral[loop], axis=1)
    return loop if len(loop) >= 10 and away.mean() < FAR_OFF[0] and away.max() < FAR_OFF[1] else None


def _path_along(
    neutral: Float[np.ndarray, "v 3"],
    margin: Float[np.ndarray, "m 3"],
    edges: np.ndarray,
    run: np.ndarray,
    paths: list[list[int]],
    first: int,
    last: int,
) -> list[int] | None:
    """Find the shortest path over edges from corner to corner that keeps to a run of the margin."""
    length = np.linalg.norm(neutral[edges[:, 0]] - neutral[edges[:, 1]], axis=1)
    middle = neutral[edges].mean(1)
    off = np.linalg.norm(middle[:, None] - margin[run], axis=-1).min(1)
    taken = set(paths[0][1:-1]) if paths else set()
    return shortest(edges, length * (1 + (off / OFF) ** 2), first, last, taken)


def _margin_runs(
    neutral: Float[np.ndarray, "v 3"], margin: Float[np.ndarray, "m 3"], near: np.ndarray
) -> _MarginRuns:
    """Split the margin at its corners."""
    inner, outer = int(margin[:, 0].argmin()), int(margin[:, 0].argmax())
    away = np.linalg.norm(neutral[near][:, None] - margin[[inner, outer]], axis=-1)
    first, last = (int(k) for k in near[away.argmin(0)])
    m = len(margin)
    one = np.arange(inner, inner + (outer - inner) % m + 1) % m
    two = np.arange(outer, outer + (inner - outer) % m + 1) % m
    runs = (one, two[::-1]) if margin[one, 1].mean() > margin[two, 1].mean() else (two[::-1], one)
    return _MarginRuns(first, last, runs)


def _near_margin(
    neutral: Float[np.ndarray, "v 3"], margin: Float[np.ndarray, "m 3"], near: np.ndarray
) -> np.ndarray:
    """Keep the vertices that lie near the margin."""
    weights = on_loop(neutral[near], margin)
    gap = np.linalg.norm(weights @ margin - neutral[near], axis=1)
    near, weights, gap = near[gap < NEAR], weights[gap < NEAR], gap[gap < NEAR]
    return near


def shortest(
    edges: Int[np.ndarray, "e 2"], cost: Float[np.ndarray, " e"], first: int, last: int, taken: set[int]
) -> list[int] | None:
    """Find the shortest path (Dijkstra) that avoids ``taken``."""
    links: dict[int, list[tuple[int, float]]] = {}
    for (a, b), c in zip(edges.tolist(), cost.tolist(), strict=True):
        links.setdefault(a, []).append((b, c))
        links.setdefault(b, []).append((a, c))
    best, before, heap = {first: 0.0}, {first: first}, [(0.0, first)]
    while heap:
        d, a = heapq.heappop(heap)
        if a == last:
            path = [a]
            while path[-1] != first:
                path.append(before[path[-1]])
            return path[::-1]
        if d > best[a]:
            continue
        for b, c in links.get(a, []):
            if b not in taken and d + c < best.get(b, np.inf):
                best[b], before[b] = d + c, a
                heapq.heappush(heap, (d + c, b))
    return None


def laid_to_rest(head: HeadModel) -> HeadModel:
    """Return the head with lids of the neutral shape at rest on eyes that look straight ahead."""
    if head.lid_index.shape[1] == 0:
        return head
    zero = torch.zeros(head.identities)
    expression, gaze = torch.zeros(52), torch.zeros(2, 2)
    for _ in range(3):
        head.neutral = head.lay_lids(head.neutral, head.joints(zero), zero, expression, gaze)
    return head
