"""A made-up head with FLAME's shapes: our own head, simplified, moved and bent, in FLAME's file format."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from tests.pickles.foreign_files import Ch, Csc, dump

from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX

SKIN, EYE, FACES = 3931, 546, 9976
SIMPLE = Path(__file__).with_name("simplified.npz")


@dataclass(frozen=True)
class Synthetic:
    """The arrays of the file, and for every skin vertex which vertex of ours it is.

    ``turn`` and ``shift``: made-up = turn @ (ours bent) + shift.
    """

    arrays: dict[str, np.ndarray]
    source: np.ndarray
    turn: np.ndarray
    shift: np.ndarray

    def write(self, path: Path, protocol: int = 2) -> Path:
        """As the publisher's pickle: chumpy arrays, scipy matrix."""
        wrapped = {
            k: Ch(v) if k in ("shapedirs", "posedirs", "v_template") else v for k, v in self.arrays.items()
        }
        wrapped["J_regressor"] = Csc(self.arrays["J_regressor"])
        path.write_bytes(dump({**wrapped, "bs_style": "lbs", "bs_type": "lrotmin"}, protocol))
        return path


def simplified(
    v: np.ndarray, faces: np.ndarray, count: int, triangles: int, keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kept vertices and triangles after collapsing short edges; rims first until the numbers can come out."""
    tris = {i: list(map(int, f)) for i, f in enumerate(faces)}
    of: list[set[int]] = [set() for _ in v]
    for i, f in tris.items():
        for a in f:
            of[a].add(i)
    alive = len(v)

    def around(a: int) -> set[int]:
        return {b for i in of[a] for b in tris[i]} - {a}

    def shared(a: int, b: int) -> set[int]:
        return of[a] & of[b]

    def rim(a: int) -> bool:
        return any(len(shared(a, b)) == 1 for b in around(a))

    def normal(f: list[int]) -> np.ndarray:
        p = v[f]
        return np.cross(p[1] - p[0], p[2] - p[0])

    def fits(a: int, b: int) -> bool:
        """Whether a may be merged into b."""
        n = len(shared(a, b))
        if n == 0 or len(around(a) & around(b)) != n or (n == 2 and rim(a)):
            return False
        for i in of[a] - of[b]:
            before = normal(tris[i])
            after = normal([b if x == a else x for x in tris[i]])
            if before @ after <= 0.2 * np.linalg.norm(before) * np.linalg.norm(after):
                return False
        return True

    def merge(a: int, b: int) -> None:
        for i in list(shared(a, b)):
            for x in tris.pop(i):
                of[x].discard(i)
        for i in list(of[a]):
            tris[i] = [b if x == a else x for x in tris[i]]
            of[b].add(i)
        of[a].clear()

    def run(only_rim: bool, until) -> None:  # type: ignore[no-untyped-def]
        nonlocal alive
        heap: list[tuple[float, int, int]] = []

        def offer(a: int, b: int) -> None:
            if not only_rim or len(shared(a, b)) == 1:
                heapq.heappush(heap, (float(np.linalg.norm(v[a] - v[b]) * max(keep[a], keep[b])), a, b))

        for a in range(len(v)):
            for b in around(a):
                offer(a, b)
        while heap and not until():
            _, a, b = heapq.heappop(heap)
            if not of[a] or not of[b] or (only_rim and len(shared(a, b)) != 1):
                continue
            if not only_rim and len(shared(a, b)) == 1:
                continue
            if fits(a, b):
                merge(a, b)
                alive -= 1
                for c in around(b):
                    offer(b, c)
                    offer(c, b)

    # an inner collapse takes one vertex and two triangles, one on a rim one of each
    run(True, lambda: len(tris) - 2 * (alive - count) >= triangles)
    run(False, lambda: alive <= count)
    left = np.array([tris[i] for i in sorted(tris)])
    used, local = np.unique(left, return_inverse=True)
    return used, local.reshape(-1, 3)


def simplified_once(v: np.ndarray, faces: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``simplified`` to FLAME's numbers; it takes seconds, so ``SIMPLE`` holds it for the present head."""
    key = hashlib.sha256(v.tobytes() + faces.tobytes() + keep.tobytes()).hexdigest()
    if SIMPLE.exists():
        with np.load(SIMPLE) as stored:
            if str(stored["key"]) == key:
                return stored["kept"].astype(np.int64), stored["faces"].astype(np.int64)
    return simplified(v, faces, SKIN, FACES - 2 * 1088, keep)


def skin_of(ours: HeadModel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Our skin: its vertices' numbers in the head, places, triangles, and how much each is worth keeping."""
    own, local = np.unique(ours.faces[ours.part == 0].numpy(), return_inverse=True)
    region = np.array(ours.region_names)[ours.region.numpy()[own]]
    near = np.where(np.isin(region, ["face", "nose"]), 1.6, 1.0)
    keep = np.where(np.isin(region, ["lips", "lids"]), 3.0, near)
    return own, ours.neutral.double().numpy()[own], local.reshape(-1, 3), keep


def main() -> None:
    """Writes ``SIMPLE`` anew: python -m tests.head.synthetic_flame, when our head has changed."""
    _, v, faces, keep = skin_of(HeadModel.load())
    key = hashlib.sha256(v.tobytes() + faces.tobytes() + keep.tobytes()).hexdigest()
    kept, triangles = simplified(v, faces, SKIN, FACES - 2 * 1088, keep)
    np.savez_compressed(SIMPLE, key=key, kept=kept.astype(np.uint16), faces=triangles.astype(np.uint16))


def ball(rings: int = 17, around: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A closed unit ball of 546 vertices, its pole looking along +Z."""
    angle = np.linspace(0, np.pi, rings + 2)[1:-1]
    phi = np.arange(around) / around * 2 * np.pi
    grid = np.stack(
        [
            np.sin(angle)[:, None] * np.cos(phi),
            np.sin(angle)[:, None] * np.sin(phi),
            np.repeat(np.cos(angle)[:, None], around, 1),
        ],
        -1,
    )
    v = np.concatenate([[[0, 0, 1]], grid.reshape(-1, 3), [[0, 0, -1]]])
    at = 1 + np.arange(rings * around).reshape(rings, around)
    f = []
    for k in range(around):
        m = (k + 1) % around
        f += [(0, at[0, k], at[0, m]), (at[-1, m], at[-1, k], len(v) - 1)]
        for i in range(rings - 1):
            f += [(at[i, k], at[i + 1, k], at[i + 1, m]), (at[i, k], at[i + 1, m], at[i, m])]
    return v, np.array(f)


def waves(points: np.ndarray, count: int, size: float, random: np.random.Generator) -> np.ndarray:
    """Smooth random fields (count, V, 3) of about ``size`` metres."""
    k = random.normal(size=(count, 3, 3)) * 18
    phase = random.uniform(0, 6.28, (count, 1, 3))
    return size * np.sin(np.einsum("vc,ncd->nvd", points, k) + phase)


@cache
def synthetic() -> Synthetic:
    """Always the same one."""
    random = np.random.default_rng(5)
    ours = HeadModel.load()
    own, v, skin_faces, keep = skin_of(ours)
    neutral = ours.neutral.double().numpy()
    kept, faces = simplified_once(v, skin_faces, keep)
    source = own[kept]
    identity = ours.identity_basis.double().numpy()
    coefficients = 0.6 * random.normal(size=len(identity))
    person = np.tensordot(coefficients, identity, 1)
    v = (neutral + person)[source]
    v = v + waves(v, 1, 0.0012, random)[0]
    eyes = ours.joint_neutral.double().numpy()[4:6]
    eyes = eyes + np.tensordot(coefficients, ours.joint_identity.double().numpy()[:, 4:6], 1)
    eyes = eyes + np.array([[0.0003, 0.0, -0.001], [-0.0003, 0.0, -0.001]])
    unit, unit_faces = ball()
    rest = np.concatenate([v, eyes[0] + 0.0135 * unit, eyes[1] + 0.0135 * unit])
    all_faces = np.concatenate([faces, unit_faces + SKIN, unit_faces + SKIN + EYE])
    return _file(ours, source, rest, all_faces, random)


def _file(
    ours: HeadModel, source: np.ndarray, rest: np.ndarray, faces: np.ndarray, random: np.random.Generator
) -> Synthetic:
    n, eye = len(rest), np.arange(len(rest)) >= SKIN

    def spread(field: np.ndarray, balls: np.ndarray) -> np.ndarray:
        """Skin's field on all vertices; (N, 2, 3) moves the eyeballs."""
        return np.concatenate([field[:, source], np.repeat(balls, EYE, 1)], 1)

    moved = ours.joint_identity.double().numpy()[:, 4:6]
    known = spread(ours.identity_basis.double().numpy(), moved)
    shape = np.concatenate([known, waves(rest, 300 - len(known), 1e-4, random)])
    expression = ours.expression_basis.double().numpy().copy()
    expression[[EXPRESSION_INDEX[x] for x in ("jawOpen", "jawLeft", "jawRight", "mouthClose")]] = 0
    mixed = np.tensordot(random.normal(size=(100, 52)) * 0.25, spread(expression, np.zeros((52, 2, 3))), 1)
    weights = np.zeros((n, 5))
    own = ours.skin_weights.double().numpy()[source]
    weights[:SKIN] = np.stack([own[:, 0] + own[:, 1], own[:, 2], own[:, 3], own[:, 4], own[:, 5]], 1)
    weights[SKIN : SKIN + EYE, 3] = weights[SKIN + EYE :, 4] = 1
    joints = ours.joint_neutral.double().numpy()
    regressor = np.zeros((5, n))
    for j, at in enumerate((joints[1], joints[2], joints[3])):
        near = np.argsort(np.where(eye, 9, np.abs(rest[:, 1] - at[1]) + np.abs(rest[:, 2] - at[2])))[:24]
        regressor[j, near] = 1 / 24
    regressor[3, SKIN : SKIN + EYE] = regressor[4, SKIN + EYE :] = 1 / EYE
    c, s = np.cos(np.radians(4.0)), np.sin(np.radians(4.0))
    turn, shift = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.array([0.0, -0.021, -0.03])
    arrays = {
        "v_template": rest @ turn.T + shift,
        "f": faces.astype(np.uint32),
        "shapedirs": np.moveaxis(np.concatenate([shape, mixed]) @ turn.T, 0, -1).copy(),
        "posedirs": np.moveaxis(waves(rest, 36, 2e-4, random) * ~eye[:, None], 0, -1).copy(),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
    }
    return Synthetic(arrays, source, turn, shift)


if __name__ == "__main__":
    main()
