"""FLAME: the published equations on made-up numbers, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.head.synthetic_flame import EYE, SKIN, synthetic
from tests.pickles.foreign_files import dump

from headcast.errors import HeadcastError
from headcast.head.flame import Flame, flame_version, read_flame

PARENTS = (-1, 0, 1, 1, 1)


def small(random: np.random.Generator) -> Flame:
    """A model of 30 vertices."""
    n = 30
    weights = random.uniform(0, 1, (n, 5))
    arrays = {
        "template": random.normal(size=(n, 3)),
        "shape_basis": random.normal(size=(7, n, 3)),
        "expression_basis": random.normal(size=(4, n, 3)),
        "pose_basis": random.normal(size=(36, n, 3)),
        "regressor": random.dirichlet(np.ones(n), 5),
        "weights": weights / weights.sum(1, keepdims=True),
        "faces": random.integers(0, n, (12, 3)),
    }
    return Flame(arrays, PARENTS, "FLAME", "0").double()


def rodrigues(w: np.ndarray) -> np.ndarray:
    """exp of the cross product's matrix, by its power series."""
    k = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    out, term = np.eye(3), np.eye(3)
    for i in range(1, 30):
        term = term @ k / i
        out = out + term
    return out


def published(m: Flame, shape: np.ndarray, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Equations 1 to 3 of the paper with 4x4 matrices, vertex by vertex."""
    b = {k: v.double().numpy() for k, v in m.named_buffers()}
    shaped = b["template"].copy()
    for beta, s in zip(shape, b["shape_basis"], strict=True):
        shaped += beta * s
    for psi, e in zip(expression, b["expression_basis"], strict=True):
        shaped += psi * e
    joints = b["regressor"] @ shaped
    turns = [rodrigues(w) for w in pose]
    corrected = shaped.copy()
    for k, value in enumerate(np.concatenate([(R - np.eye(3)).ravel() for R in turns[1:]])):
        corrected += value * b["pose_basis"][k]
    world: list[np.ndarray] = []
    for j, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[j]
        local[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    out = np.zeros_like(corrected)
    for v in range(len(out)):
        for j in range(5):
            rest = np.eye(4)
            rest[:3, 3] = -joints[j]
            out[v] += b["weights"][v, j] * (world[j] @ rest @ np.append(corrected[v], 1))[:3]
    return out


def test_the_published_equations_hold() -> None:
    random = np.random.default_rng(0)
    m = small(random)
    for _ in range(3):
        shape, expression = random.normal(size=7), random.normal(size=4)
        pose, shift = 0.7 * random.normal(size=(5, 3)), random.normal(size=3)
        got = m(
            *(
                torch.from_numpy(x)
                for x in (shape, expression, pose[0], pose[1], pose[2], pose[3:].reshape(6), shift)
            )
        )
        assert np.abs(got.numpy() - published(m, shape, expression, pose) - shift).max() < 1e-9


def test_batches_and_missing_coefficients() -> None:
    m = small(np.random.default_rng(1))
    many = m.posed(jaw=torch.randn(4, 3, dtype=torch.float64), shape=torch.ones(4, 2, dtype=torch.float64))
    padded = torch.tensor([1.0, 1, 0, 0, 0, 0, 0], dtype=torch.float64)
    one = m.posed(jaw=torch.zeros(3, dtype=torch.float64), shape=padded)
    assert many.shape == (4, 30, 3)
    assert torch.allclose(one, m.rest(padded[:2]))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic().write(tmp_path_factory.mktemp("flame") / "flame2023_Open.pkl")


def test_the_publishers_pickle_is_read(file: Path) -> None:
    m, wanted = read_flame(file), synthetic().arrays
    assert m.name == "FLAME 2023 Open" and m.parents == PARENTS
    assert np.allclose(m.template.numpy(), wanted["v_template"], atol=1e-7)
    assert np.allclose(m.expression_basis[3].numpy(), wanted["shapedirs"][:, :, 303], atol=1e-7)
    assert np.allclose(m.regressor.numpy(), wanted["J_regressor"], atol=1e-7)


def test_an_npz_of_the_same_arrays_is_read(file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "flame2020.npz", **synthetic().arrays)
    a, b = read_flame(file), read_flame(tmp_path / "flame2020.npz")
    assert b.name == "FLAME 2020" and all(
        torch.equal(x, y) for x, y in zip(a.buffers(), b.buffers(), strict=True)
    )


def test_skin_and_eyeballs_are_told_apart(file: Path) -> None:
    raw = read_flame(file).raw()
    assert raw.vertices_of("skin").tolist() == list(range(SKIN))
    assert raw.vertices_of("eyeLeft").tolist() == list(range(SKIN, SKIN + EYE))
    lower = raw.opened - raw.neutral
    assert 0.005 < np.linalg.norm(lower, axis=1).max() < 0.03 and lower[:, 1].min() < -0.005


@pytest.mark.parametrize(
    "name, version",
    [
        ("flame2023_Open.pkl", "FLAME 2023 Open"),
        ("flame2023.pkl", "FLAME 2023"),
        ("FLAME2020/generic_model.pkl", "FLAME 2020"),
        ("generic_model.pkl", "FLAME"),
    ],
)
def test_versions_by_name(name: str, version: str) -> None:
    assert flame_version(Path("/models") / name) == version


@pytest.mark.parametrize(
    "change, words",
    [
        ({"f": np.zeros((3, 3))}, "'f' has the shape"),
        ({"weights": None}, "'weights' is not a numeric array"),
        ({"v_template": np.full((5023, 3), np.nan)}, "invalid numbers"),
        ({"kintree_table": np.array([[0, 4, 3, 2, 1], [0, 1, 2, 3, 4]])}, "joints are invalid"),
    ],
)
def test_other_files_are_refused_by_name(change: dict, words: str, tmp_path: Path) -> None:
    path = tmp_path / "flame.pkl"
    path.write_bytes(dump({**synthetic().arrays, **change}))
    with pytest.raises(HeadcastError, match=rf"flame\.pkl.*{words}"):
        read_flame(path)
    path.write_bytes(dump({"part": np.zeros(3)}))
    with pytest.raises(HeadcastError, match="v_template"):
        read_flame(path)
