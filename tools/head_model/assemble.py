"""Halves to whole: one vertex array, one atlas, bases carried over from ICT and mirrored exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from head_model.parts import attach, eyeball
from head_model.source import FLIP, Source
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name

__all__ = ["Builder", "Half"]


@dataclass
class Half:
    """A part's left half. ``carry``: (N, V_ict) weights. ``chart``: (N, 2) in atlas units, top-left origin.

    ``whole``: vertices on x = 0 belong to both halves. ``shared``: of these, the ones whose chart point is
    shared by both halves (the chart must have u = 0.5 there).
    """

    part: str
    vertices: np.ndarray
    faces: np.ndarray
    carry: np.ndarray
    chart: np.ndarray
    other: str | None = None
    shared: np.ndarray = field(default_factory=lambda: np.array([], int))


def mirror_field(values: np.ndarray) -> np.ndarray:
    """Vectors seen in the mirror."""
    return values * FLIP


class Builder:
    """Collects halves; gives the arrays of the asset."""

    def __init__(self, source: Source, part_names: list[str]) -> None:
        self.source, self.part_names = source, part_names
        self.pair = np.array([EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS])
        self.neutral: list[np.ndarray] = []
        self.identity: list[np.ndarray] = []
        self.expression: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.uv: list[np.ndarray] = []
        self.faces_uv: list[np.ndarray] = []
        self.part: list[np.ndarray] = []
        self.mirror: list[np.ndarray] = []
        self.start: dict[str, tuple[int, int]] = {}
        self.vertices = self.texels = 0

    def add(self, half: Half) -> None:
        """Adds a half and its mirror image."""
        n, base, tbase = len(half.vertices), self.vertices, self.texels
        middle = (half.vertices[:, 0] == 0) if half.other is None else np.zeros(n, bool)
        twin = np.where(middle, np.arange(n), -1)
        twin[~middle] = n + np.arange((~middle).sum())
        mirror = np.empty(n + (~middle).sum(), int)
        mirror[:n], mirror[twin] = twin, np.arange(n)
        identity, expression = self._bases(half, middle)
        self.neutral.append(np.concatenate([half.vertices, mirror_field(half.vertices[~middle])]))
        signs = self.source.parity[:, None, None]
        self.identity.append(np.concatenate([identity, mirror_field(identity[:, ~middle]) * signs], 1))
        self.expression.append(
            np.concatenate([expression, mirror_field(expression[self.pair][:, ~middle])], 1)
        )
        self.faces += [half.faces + base, twin[half.faces][:, ::-1] + base]
        shared = np.zeros(n, bool)
        shared[half.shared] = True
        uv_twin = np.where(shared, np.arange(n), -1)
        uv_twin[~shared] = n + np.arange((~shared).sum())
        chart = half.chart.copy()
        chart[shared, 0] = 0.5
        self.uv.append(np.concatenate([chart, (chart * [-1, 1] + [1, 0])[~shared]]))
        self.faces_uv += [half.faces + tbase, uv_twin[half.faces][:, ::-1] + tbase]
        parts = (half.part, half.other or half.part)
        self.part += [np.full(len(half.faces), self.part_names.index(p)) for p in parts]
        self.mirror.append(mirror + base)
        self.start.setdefault(half.part, (base, n))
        self.vertices += len(mirror)
        self.texels += len(self.uv[-1])

    def _bases(self, half: Half, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def carried(basis: np.ndarray) -> np.ndarray:
            return np.stack([half.carry @ b for b in basis])

        identity, expression = carried(self.source.identity), carried(self.source.expression)
        signs = self.source.parity[:, None, None]
        identity[:, middle] = (identity[:, middle] + mirror_field(identity[:, middle]) * signs) / 2
        expression[:, middle] = (expression[:, middle] + mirror_field(expression[self.pair][:, middle])) / 2
        return identity, expression

    def add_eyes(self, place: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Adds both eyeballs; ``place``: left, top, size of the left eye's chart.

        Returns the identity's shift (I, 3) and relative growth (I,) of the left eye.
        """
        vertices, faces, chart, _ = eyeball()
        shift, growth = eye_motion(self.source)
        chart = np.stack([place[0] + chart[:, 0] * place[2], place[1] + (1 - chart[:, 1]) * place[2]], 1)
        half = Half("eyeLeft", vertices + self.source.eye_center, faces, np.zeros(0), chart, other="eyeRight")
        zero = np.zeros((len(EXPRESSIONS), len(vertices), 3))
        basis = shift[:, None] + growth[:, None, None] * vertices
        self._bases = lambda h, m: (basis, zero)  # type: ignore[method-assign]
        self.add(half)
        del self._bases
        return shift, growth

    def arrays(self) -> dict[str, np.ndarray]:
        """Concatenated arrays under the asset's names."""
        return {
            "neutral": np.concatenate(self.neutral),
            "identity_basis": np.concatenate(self.identity, 1),
            "expression_basis": np.concatenate(self.expression, 1),
            "faces": np.concatenate(self.faces),
            "uv": np.concatenate(self.uv),
            "faces_uv": np.concatenate(self.faces_uv),
            "part": np.concatenate(self.part),
            "mirror": np.concatenate(self.mirror),
        }

    def carry(self, vertices: np.ndarray, faces: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Weights that carry ICT's fields to a half part's vertices."""
        t = vertices[faces]
        n = np.zeros_like(vertices)
        for k in range(3):
            np.add.at(n, faces[:, k], np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]))
        n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)
        return attach(vertices, self.source.neutral, reference, n).tocsr()  # type: ignore[return-value]


def eye_motion(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Per identity component: shift (I, 3) and relative growth (I,) of the left eyeball, least squares."""
    p = source.neutral[source.eye_vertices] - source.eye_center
    back = np.abs(np.linalg.norm(p, axis=1) - 0.01539) < 0.0004
    p, delta = p[back], source.identity[:, source.eye_vertices][:, back]
    a = np.zeros((3 * len(p), 4))
    a[:, :3] = np.tile(np.eye(3), (len(p), 1))
    a[:, 3] = p.ravel()
    solution = np.linalg.lstsq(a, delta.reshape(len(delta), -1).T, rcond=None)[0]
    return solution[:3].T, solution[3]
