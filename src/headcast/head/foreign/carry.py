"""Transfer vertex data of our head to corresponding points of a foreign head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from headcast.head.foreign.eyes import LIMBUS, OUR_LIMBUS
from headcast.head.foreign.raw import GROUPS, RawHead
from headcast.head.foreign.surface import MeshPoints, face_normals, nearest, normals_of
from headcast.head.model import HeadModel

__all__ = ["MOUTH", "beside", "carried_uv", "eye_direction", "same_places"]

MOUTH = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
BACK = np.radians(125.0)
"""Our eyeballs end at this angle from their axis."""


def beside(
    points: Float[np.ndarray, "n 3"],
    sources: Float[np.ndarray, "m 3"],
    values: Float[np.ndarray, "m *c"],
    sigma: float,
) -> Float[np.ndarray, "n *c"]:
    """Compute Gaussian means of values around each point; far from all sources, the nearest ones count."""
    out = np.empty((len(points), *values.shape[1:]))
    for start in range(0, len(points), 512):
        d2 = ((points[start : start + 512, None] - sources) ** 2).sum(-1)
        w = np.exp(-(d2 - d2.min(1, keepdims=True)) / (2 * sigma**2))
        out[start : start + 512] = np.tensordot(w / w.sum(1, keepdims=True), values, 1)
    return out


def same_places(
    raw: RawHead, opened: Float[np.ndarray, "v 3"], ours: HeadModel, registered: Float[np.ndarray, "w 3"]
) -> MeshPoints:
    """Find the corresponding point of each foreign vertex on our head: triangle and weights of ours.

    Args:
        opened: foreign vertices with an open mouth, in our frame. registered: ours registered to that pose.
    """
    faces, part = ours.faces.numpy(), ours.part.numpy()
    normals = normals_of(opened, raw.faces)
    triangle, bary = np.zeros(len(opened), np.int64), np.full((len(opened), 3), 1 / 3)
    distance = np.full(len(opened), np.inf)
    for group in GROUPS:
        own = raw.vertices_of(group)
        if len(own) == 0:
            continue
        names = MOUTH if group == "mouth" else (group,)
        allowed = np.isin(part, [ours.part_names.index(n) for n in names])
        points, look = opened[own], normals[own]
        if group.startswith("eye"):
            side = group == "eyeRight"
            axis = eye_direction(points, raw_eye(raw, opened, side))
            points = axis * 0.02 + ours.joint_neutral[4 + side].double().numpy()
            look = axis
            found = nearest(points, look, ours.neutral.double().numpy(), faces, allowed)
        else:
            found = nearest(points, look, registered, faces, allowed)
        triangle[own], bary[own], distance[own] = found
    return MeshPoints(triangle, bary, distance)


def raw_eye(raw: RawHead, vertices: Float[np.ndarray, "v 3"], right: bool) -> Float[np.ndarray, "3"]:
    """Return the centre of an eyeball on vertices that were only moved rigidly, eyes included."""
    own = raw.vertices_of("eyeRight" if right else "eyeLeft")
    return raw.eyes[int(right)] + vertices[own].mean(0) - raw.neutral[own].mean(0)


def eye_direction(
    points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "n 3"]:
    """Map directions on the foreign eyeball to ours: iris to iris, back to back.

    An iris has the same size on every eyeball, and so a wider angle on a smaller one.
    """
    d = points - centre
    radius = np.linalg.norm(d, axis=1, keepdims=True)
    d = d / np.maximum(radius, 1e-12)
    theirs = float(np.arcsin(min(LIMBUS / float(np.median(radius)), 0.9)))
    angle = np.arccos(np.clip(d[:, 2], -1, 1))
    ours = np.interp(angle, [0, theirs, BACK, np.pi], [0, OUR_LIMBUS, BACK, BACK])
    flat = d[:, :2] / np.maximum(np.linalg.norm(d[:, :2], axis=1, keepdims=True), 1e-12)
    return np.concatenate([flat * np.sin(ours)[:, None], np.cos(ours)[:, None]], 1)


def behind_eyes(raw: RawHead) -> Bool[np.ndarray, " v"]:
    """Return vertices of eyeballs further back than ours reach: never visible, so they get no texels."""
    out = np.zeros(len(raw.neutral), bool)
    for side, group in enumerate(("eyeLeft", "eyeRight")):
        own = raw.vertices_of(group)
        d = raw.neutral[own] - raw.eyes[side]
        out[own] = d[:, 2] < np.cos(BACK) * np.linalg.norm(d, axis=1) * 0.999
    return out


def carried_uv(
    raw: RawHead,
    vertices: Float[np.ndarray, "v 3"],
    ours: HeadModel,
    registered: Float[np.ndarray, "w 3"],
    places: MeshPoints,
) -> tuple[Float[np.ndarray, "u 2"], Int[np.ndarray, "f 3"]]:
    """Return texture coordinates of every foreign triangle in our atlas.

    Each triangle that a seam of ours crosses has one triple of its own.

    A triangle lies on the chart, and at the seam behind the head on the side, of its centre; corners beyond
    are pinned to the seam.
    """
    faces, part = ours.faces.numpy(), ours.part.numpy()
    uv, faces_uv = ours.uv.double().numpy(), ours.faces_uv.numpy()
    corner = np.einsum("vk,vkc->vc", places.bary, uv[faces_uv[places.triangle]])
    sheet = part * 2 + (registered[faces].mean(1)[:, 0] < 0)  # a chart, the skin's two halves apart
    mine = sheet[places.triangle][raw.faces]
    skin = raw.group == GROUPS.index("skin")
    centre = vertices[raw.faces].mean(1)
    torn = _is_torn(raw, vertices, corner, mine)
    hidden = behind_eyes(raw)[raw.faces].all(1)
    torn &= ~hidden
    out_uv, out_faces = [corner], raw.faces.copy()
    out_faces[hidden] = out_faces[hidden, :1]
    wanted = np.where(skin, 2 * ours.part_names.index("skin") + (centre[:, 0] < 0), -1)
    own_sheet = np.where(skin, wanted, mine[:, 0])
    for key in np.unique(own_sheet[torn]):
        rows = np.flatnonzero(torn & (own_sheet == key))
        flat = _uv_on_sheet(raw, vertices, ours, registered, rows, sheet == key)
        start = sum(map(len, out_uv))
        out_uv.append(flat)
        out_faces[rows] = start + np.arange(len(flat)).reshape(-1, 3)
    return np.concatenate(out_uv), out_faces


def _uv_on_sheet(
    raw: RawHead,
    vertices: Float[np.ndarray, "v 3"],
    ours: HeadModel,
    registered: Float[np.ndarray, "w 3"],
    rows: Int[np.ndarray, "n"],
    on_sheet: Bool[np.ndarray, "g"],
) -> Float[np.ndarray, "m 2"]:
    """Return texture coordinates of some triangles' corners at the nearest points on the sheet's faces."""
    normals = face_normals(vertices, raw.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    points = vertices[raw.faces[rows]].reshape(-1, 3)
    found = nearest(points, np.repeat(normals[rows], 3, 0), registered, ours.faces.numpy(), on_sheet)
    uv, faces_uv = ours.uv.double().numpy(), ours.faces_uv.numpy()
    return np.einsum("vk,vkc->vc", found.bary, uv[faces_uv[found.triangle]])


def _is_torn(
    raw: RawHead, vertices: Float[np.ndarray, "v 3"], corner: np.ndarray, mine: np.ndarray
) -> np.ndarray:
    """Return triangles whose corners lie on several sheets, and far apart in the atlas for their size."""
    jump = np.linalg.norm(np.diff(corner[raw.faces][:, [0, 1, 2, 0]], axis=1), axis=-1).max(1)
    size = np.linalg.norm(np.diff(vertices[raw.faces][:, [0, 1, 2, 0]], axis=1), axis=-1).max(1)
    return (mine != mine[:, :1]).any(1) & (jump > 0.02 + 4 * size)
