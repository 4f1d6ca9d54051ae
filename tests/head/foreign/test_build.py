"""A foreign head as a head model: where the truth is known (a made-up FLAME), and on ICT-FaceKit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.head.synthetic_flame import SKIN, Synthetic, synthetic

from headcast import api
from headcast.errors import HeadcastError
from headcast.head.embed import usual_landmarks
from headcast.head.foreign.known import foreign_head, placement_of, stored_head
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import HeadParams, expression_vector


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCAST_CACHE", str(cache))


@pytest.fixture(scope="module")
def flame_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic().write(tmp_path_factory.mktemp("flame") / "flame2023_Open.pkl")


@pytest.fixture()
def flame(flame_file: Path) -> HeadModel:
    """Built at the first use, then from the cache."""
    return foreign_head("flame", flame_file)


@pytest.fixture(scope="module")
def ours() -> HeadModel:
    return HeadModel.load()


def truth(made: Synthetic, ours: HeadModel, head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Our expressions at the made-up head's skin; names of its regions."""
    rotation = placement_of(head)[0].double().numpy() @ made.turn
    shapes = ours.expression_basis.double().numpy()[:, made.source] @ rotation.T
    return shapes, np.array(ours.region_names)[ours.region.numpy()[made.source]]


def test_a_made_up_flame_gets_the_expressions_it_should(flame: HeadModel, ours: HeadModel) -> None:
    made = synthetic()
    wanted, region = truth(made, ours, flame)
    got = flame.expression_basis[:, :SKIN].double().numpy()
    missed = np.linalg.norm(got - wanted, axis=-1)
    assert (missed**2).sum() < 0.07**2 * (wanted**2).sum()
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp", "mouthPucker"):
        i = EXPRESSION_INDEX[name]
        assert (
            missed[i].mean() < 0.15 * np.linalg.norm(wanted[i], axis=-1)[region != "scalp"].mean() + 2e-4
        ), name
    mine = np.array(flame.region_names)[flame.region[:SKIN].numpy()]
    assert (mine == region).mean() > 0.85


def test_its_placement_and_landmarks_are_found(flame: HeadModel, ours: HeadModel) -> None:
    made = synthetic()
    rotation, translation = (x.double().numpy() for x in placement_of(flame))
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation @ made.turn) - 1) / 2, -1, 1)))
    assert angle < 1.5
    # a landmark of ours lies on three vertices of ours; where these survived, the truth is known
    place = np.full(len(ours.neutral), -1)
    place[made.source] = np.arange(SKIN)
    triangle, bary = usual_landmarks(ours)
    corner = place[ours.faces.numpy()[triangle]]
    known = (corner >= 0).all(1)
    rest = made.arrays["v_template"] @ rotation.T + translation
    wanted = (rest[corner[known]] * bary[known][..., None]).sum(1)
    got = flame.landmarks(flame.neutral).double().numpy()[known]
    off = np.linalg.norm(got - wanted, axis=1)
    assert known.sum() > 40 and np.median(off) < 0.0016 and off.max() < 0.006


def test_its_own_vertices_identity_and_eyes_stay(flame: HeadModel, flame_file: Path) -> None:
    made = synthetic()
    rotation, translation = (x.double().numpy() for x in placement_of(flame))
    rest = made.arrays["v_template"] @ rotation.T + translation
    assert np.abs(flame.neutral[SKIN:5023].double().numpy() - rest[SKIN:]).max() < 1e-6
    assert flame.name == "FLAME 2023 Open" and "CC-BY-4.0" in flame.licence
    basis = flame.identity_basis[:, :SKIN].flatten(1).double()
    weight = 1 + 2.0 * (flame.region[:SKIN] < 5).double()  # the face counts three times
    gram = (basis * weight.repeat_interleave(3)) @ basis.T
    assert (gram - gram.diag().diag()).abs().max() < 1e-4 * gram.diag().max()
    # every direction of ours is one of FLAME's: coefficients reproduce it exactly
    theirs = torch.from_numpy(made.arrays["shapedirs"][:SKIN, :, :300] @ np.eye(300))
    theirs = torch.einsum("vcs,dc->svd", theirs, torch.from_numpy(rotation)).flatten(1)
    for row in basis[:5]:
        fit = torch.linalg.lstsq(theirs.T, row[:, None]).solution[:, 0]
        assert (theirs.T @ fit - row).norm() < 1e-3 * row.norm()
        assert abs(float(fit.norm()) - 1) < 0.05
    moved = HeadParams.neutral(flame.identities).replace(gaze=torch.tensor([[0.3, 0.0], [0.0, 0.0]]))
    change = (flame(moved) - flame(HeadParams.neutral(flame.identities))).norm(dim=-1)
    left, right = (
        flame.faces[flame.part_faces("eyeLeft")].unique(),
        flame.faces[flame.part_faces("eyeRight")].unique(),
    )
    assert change[left].max() > 0.003 and change[right].max() == 0


def checked(head: HeadModel, blink: float) -> None:
    """What every head model must be. ``blink``: share of the lids' opening that a blink may leave."""
    v, f = len(head.neutral), len(head.faces)
    assert head.faces.max() < v and head.faces_uv.shape == (f, 3) and head.faces_uv.max() < len(head.uv)
    assert set(head.part.unique().tolist()) == set(range(len(head.part_names)))
    assert torch.allclose(head.skin_weights.sum(1), torch.ones(v), atol=1e-5)
    assert head.uv.min() >= 0 and head.uv.max() <= 1
    assert torch.isfinite(head.expression_basis).all() and torch.isfinite(head.identity_basis).all()
    closed = head(HeadParams.neutral(head.identities))
    lips = head.landmarks(closed)[[13, 14]]
    opened = HeadParams.neutral(head.identities).replace(expression=expression_vector({"jawOpen": 1.0}))
    gap = head.landmarks(head(opened))[[13, 14]]
    assert (lips[0] - lips[1]).norm() < 0.004 and 0.02 < (gap[0] - gap[1])[1] < 0.06
    assert (closed - head.neutral).norm(dim=-1).max() < 2e-4
    blinked = HeadParams.neutral(head.identities).replace(
        expression=expression_vector({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    )
    margins = head.landmarks(head(blinked))
    for upper, lower in ((386, 374), (159, 145)):
        assert (margins[upper] - margins[lower]).norm() < blink * (
            head.landmarks(closed)[upper] - head.landmarks(closed)[lower]
        ).norm()
    for side, name in enumerate(("eyeLeft", "eyeRight")):
        edge = head(blinked)[head.lid_index[side][head.lid_rim]]
        away = (edge - head.joint_neutral[4 + side]).norm(dim=-1)
        assert len(away) == 0 or away.min() > head.eye_profile[0], name
    normal = head.vertex_normals(closed)
    nose = head.landmarks(closed)[4]
    assert nose[0].abs() < 0.005 and normal[(closed - nose).norm(dim=-1).argmin(), 2] > 0.5


def test_flame_is_a_whole_head(flame: HeadModel) -> None:
    checked(flame, 0.55)  # its mesh is too coarse at the lids for them to be laid on the eyes


def test_ict_is_a_whole_head(shared: Path, ours: HeadModel) -> None:
    ict = foreign_head("ict", shared / "data" / "ict")
    checked(ict, 0.35)
    assert ict.lid_index.shape[1] > 300 and len(ict.lid_rim) == 44
    # ours was learned from it: the same landmarks, the same expressions
    off = (ict.landmarks(ict.neutral) - ours.landmarks(ours.neutral, 478)).norm(dim=-1)
    assert off.median() < 5e-4
    for name in ("mouthSmileLeft", "jawOpen", "browDownRight"):
        weights = expression_vector({name: 1.0})
        a, b = (h.landmarks(h(HeadParams.neutral(h.identities).replace(expression=weights)))
                - h.landmarks(h(HeadParams.neutral(h.identities))) for h in (ict, ours))  # fmt: skip
        assert (a - b).norm(dim=-1).mean() < 0.1 * b.norm(dim=-1).mean() + 1e-4, name


def test_a_built_head_is_kept_and_found_by_hash(flame: HeadModel, flame_file: Path, cache: Path) -> None:
    files = list((cache / "heads").iterdir())
    assert [p for p in files if p.stem.endswith(flame.hash)]
    assert foreign_head("flame", flame_file).hash == flame.hash
    assert list((cache / "heads").iterdir()) == files
    assert stored_head({"name": flame.name, "hash": flame.hash}).hash == flame.hash
    assert stored_head({"name": flame.name, "hash": "../../etc"}).name.startswith("headcast")


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="no ICT-FaceKit here"):
        foreign_head("ict", tmp_path)
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(HeadcastError, match=r"x\.npz"):
        foreign_head("ict", tmp_path / "x.npz")
    with pytest.raises(HeadcastError, match="v_template"):
        foreign_head("flame", tmp_path / "x.npz")
    with pytest.raises(HeadcastError, match="no such file"):
        foreign_head("flame", tmp_path / "none.pkl")


def opens_shuts_and_talks(head: HeadModel, photo: Path) -> None:
    """A photo becomes an avatar on a head; eyes and mouth move in its pictures."""
    avatar = api.create(photo, head=head, options={"representation": "mesh", "texture_size": 256})
    rest = api.render(avatar, size=(128, 128))[..., :3].astype(int)
    for look in ({"jawOpen": 0.7}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}):
        moved = np.abs(api.render(avatar, size=(128, 128), expression=look)[..., :3].astype(int) - rest)
        assert 0.002 < (moved.max(-1) > 16).mean() < 0.3, look


def test_a_photo_becomes_an_avatar_on_flame(flame: HeadModel, demo_photo: Path) -> None:
    opens_shuts_and_talks(flame, demo_photo)


def test_a_photo_becomes_an_avatar_on_ict(shared: Path, demo_photo: Path) -> None:
    opens_shuts_and_talks(foreign_head("ict", shared / "data" / "ict"), demo_photo)
