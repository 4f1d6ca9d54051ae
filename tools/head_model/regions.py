"""Region names per vertex, from where it lies on the neutral head."""

from __future__ import annotations

import numpy as np

from head_model.parts import EYE_RADIUS, IRIS_RADIUS, PUPIL_RADIUS
from head_model.source import Source
from head_model.surface import EYE_RINGS, LIP_RINGS, HalfSkin

__all__ = ["REGIONS", "label"]

REGIONS = [
    "face",
    "lips",
    "lids",
    "nose",
    "brows",
    "ears",
    "scalp",
    "neck",
    "shoulders",
    "sclera",
    "iris",
    "pupil",
    "cornea",
    "teeth",
    "gums",
    "tongue",
    "mouth",
]
HAIRLINE = ([0, 25, 45, 60, 75, 88, 100, 112, 125, 180], [98, 97, 88, 72, 52, 42, 40, 20, -20, -48])
"""Degrees around the head from the front, height in millimetres."""
JAWLINE = ([-120, -5, 20, 45, 88, 112], [-45, -32, -30, -42, -86, -90])
"""Depth and height in millimetres, seen from the side: below it is neck."""


def _near_line(p: np.ndarray, line: np.ndarray) -> np.ndarray:
    a, b = line[:-1], line[1:]
    t = np.clip(((p[:, None] - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
    return np.linalg.norm(p[:, None] - a - t[..., None] * (b - a), axis=-1).min(1)


def label_skin(half: HalfSkin, source: Source) -> np.ndarray:
    """Region index of each vertex of the half skin."""
    p, lm = half.vertices, source.neutral[source.landmarks68]
    x, y, z = p.T * 1000
    out = np.zeros(len(p), int)
    around = np.degrees(np.arctan2(x, z - 5))
    out[y < np.interp(z, *JAWLINE)] = REGIONS.index("neck")
    out[y > np.interp(around, *HAIRLINE)] = REGIONS.index("scalp")
    out[(y < -142) | ((x > 68) & (y < -105))] = REGIONS.index("shoulders")
    out[ear_mask(p)] = REGIONS.index("ears")
    width = np.interp(y, [-13, -2, 12, 30, 40], [17, 20.5, 16, 8.5, 9])
    out[(x < width) & (y > -14.5) & (y < 38) & (z > 92)] = REGIONS.index("nose")
    out[_near_line(p, lm[22:27]) < 0.0055] = REGIONS.index("brows")
    rim = half.eye_rings[EYE_RINGS.index(1)]
    loop = np.append(rim, rim[0])
    out[_near_line(p, p[loop]) < 0.0062] = REGIONS.index("lids")
    out[half.eye_rings.ravel()] = REGIONS.index("lids")
    outline = np.concatenate([lm[51:60], lm[48:51]])
    outline = outline[:, :2] * [1.02, 1.06] - outline[:, :2].mean(0) * [0.02, 0.06]
    inside = points_in_polygon(p[:, :2], outline) & (z > 99)
    inner = np.isin(np.arange(len(p)), half.lip_rings[: LIP_RINGS.index(8) + 1])
    out[inside | inner] = REGIONS.index("lips")
    return out


def points_in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points lie inside a closed polygon, by crossing numbers."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1], points[:, 1:]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return (spans & (x < cross)).sum(1) % 2 == 1


def ear_mask(p: np.ndarray) -> np.ndarray:
    """Vertices of an ear: what stands off the side of the head near the ear canal."""
    x, y, z = np.abs(p[:, 0]) * 1000, p[:, 1] * 1000, p[:, 2] * 1000
    wall = np.interp(z, [-22, -10, 5, 18, 30], [72.5, 73.5, 74, 74.5, 74.5]) - 0.04 * np.abs(y - 8)
    return (x > wall) & (np.abs(y - 7) < 34) & (z > -24) & (z < 27)


def label_eye(vertices: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Pupil, iris or sclera by the angle from the optical axis."""
    d = vertices - center
    angle = np.arctan2(np.linalg.norm(d[:, :2], axis=1), d[:, 2])
    out = np.full(len(d), REGIONS.index("sclera"))
    out[angle < np.arcsin(IRIS_RADIUS / EYE_RADIUS) + 1e-6] = REGIONS.index("iris")
    out[angle < np.arcsin(PUPIL_RADIUS / EYE_RADIUS) + 1e-6] = REGIONS.index("pupil")
    return out


def label(arrays: dict[str, np.ndarray], part_names: list[str], half: HalfSkin, source: Source) -> np.ndarray:
    """Region index of every vertex of the whole head."""
    v, faces, part = arrays["neutral"], arrays["faces"], arrays["part"]
    out = np.zeros(len(v), int)
    for k, name in enumerate(part_names):
        own = np.unique(faces[part == k])
        if name == "skin":
            n = len(half.vertices)
            out[:n] = label_skin(half, source)
            out[arrays["mirror"][:n]] = out[:n]
        elif name.startswith("eye"):
            center = source.eye_center * ([1, 1, 1] if name == "eyeLeft" else [-1, 1, 1])
            out[own] = label_eye(v[own], center)
        else:
            out[own] = REGIONS.index("teeth" if name.startswith("teeth") else name)
    return out
