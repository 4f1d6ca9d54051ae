"""The bundled head against the data it was learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.head.embed import closest_on_mesh
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSIONS

SHARED_WHOLE = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")


def ict_name(name: str) -> str:
    side = name.endswith(("Left", "Right")) and name not in SHARED_WHOLE
    return name.replace("Left", "_L").replace("Right", "_R") if side else name


@pytest.fixture(scope="module")
def attached(shared: Path) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """ICT's face vertices (every fifth, not inside lids and lips) as points of the own surface."""
    head = HeadModel.load()
    d = dict(np.load(shared / "data" / "ict" / "ict_facekit.npz"))
    pick = np.arange(0, 6706, 5)
    points = d["neutral"][pick] * 0.01
    skin = np.zeros(len(head.part), bool)
    skin[head.part_faces("skin").numpy()] = True
    face, bary = closest_on_mesh(points, head.neutral.numpy(), head.faces.numpy(), skin)
    foot = (head.neutral.numpy()[head.faces.numpy()[face]] * bary[..., None]).sum(1)
    near = np.linalg.norm(foot - points, axis=1) < 0.0006
    return d, pick[near], head.faces.numpy()[face[near]], bary[near]


def test_expressions_are_carried_over(attached: tuple) -> None:
    d, pick, corners, bary = attached
    head = HeadModel.load()
    known = {str(n): i for i, n in enumerate(d["expression_names"])}
    errors = []
    for i, name in enumerate(EXPRESSIONS):
        if name in ("tongueOut", "browInnerUp", "cheekPuff") or name.startswith("mouthUpperUp"):
            continue
        own = (head.expression_basis[i].numpy()[corners] * bary[..., None]).sum(1)
        errors.append(np.linalg.norm(own - d["expression_basis"][known[ict_name(name)]][pick] * 0.01, axis=1))
    e = np.stack(errors) * 1000
    assert len(pick) > 1100
    assert np.median(e) < 0.02 and np.percentile(e, 99) < 0.4 and np.percentile(e, 99.9) < 1.5


def test_identities_are_spanned(attached: tuple) -> None:
    d, pick, corners, bary = attached
    head = HeadModel.load()
    rng = np.random.default_rng(0)
    wanted = (
        np.tensordot(rng.normal(size=(8, 100)), d["identity_basis"][:, pick].astype(np.float64), 1) * 0.01
    )
    own = (
        np.stack([(b.numpy()[corners] * bary[..., None]).sum(1) for b in head.identity_basis])
        .reshape(41, -1)
        .T
    )
    weights = np.linalg.lstsq(own, wanted.reshape(8, -1).T, rcond=None)[0]
    error = np.linalg.norm((own @ weights - wanted.reshape(8, -1).T).T.reshape(8, -1, 3), axis=-1) * 1000
    assert np.median(error) < 0.6 and 0.5 < weights.std() < 1.6
