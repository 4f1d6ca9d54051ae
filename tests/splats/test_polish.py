"""Gaussians polished on a photo: nearer to it, and still the mesh elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.plain_head import head_and_photo

from headcast.avatar.gaussian import GaussianAvatar
from headcast.observe.types import Observation
from headcast.splats import photo_targets
from headcast.splats import polish as module
from headcast.splats.optimize import RATES
from headcast.splats.polish import polish
from headcast.splats.targets import pose_target


@pytest.fixture(scope="module")
def scene() -> tuple[GaussianAvatar, Observation]:
    """A plain head, and a photo of it with a pattern that the mesh lacks."""
    return head_and_photo(128, 400.0)


def away(avatar: GaussianAvatar, target: np.ndarray, alpha: np.ndarray) -> float:
    """Squared error against a picture inside of its alpha."""
    with torch.no_grad():
        out = avatar.render(avatar.source.params, avatar.source.camera)
    return float((((out.rgb.numpy() - target / 255) ** 2).mean(-1) * alpha).sum() / alpha.sum())


def test_the_photo_is_met_and_other_views_stay(
    scene: tuple[GaussianAvatar, Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, seen = scene
    monkeypatch.setattr(photo_targets, "PSEUDO_SIDE", 96)
    told: list[float] = []
    done = polish(avatar, [seen], steps=30, progress=lambda share, what: told.append(share))
    assert seen.masks is not None and told[-1] == 1.0
    before, after = (away(a, seen.image, seen.masks.person) for a in (avatar, done))
    assert after < before / 4
    behind = photo_targets.pseudo_target(avatar, 150, 0, {}).camera
    with torch.no_grad():
        a, b = (x.render(avatar.source.params, behind) for x in (avatar, done))
    assert ((a.rgb - b.rgb).abs() * a.alpha[..., None]).mean() < 0.01
    again = polish(avatar, [seen], steps=3)
    assert torch.equal(again.gaussians.albedo, polish(avatar, [seen], steps=3).gaussians.albedo)


def test_pseudo_targets_see_the_sides_that_their_angles_say(
    scene: tuple[GaussianAvatar, Observation],
) -> None:
    avatar, _ = scene
    camera = photo_targets.pseudo_target(avatar, 30, 0, {}).camera
    assert float(camera.center[0]) > 0.2  # +X: the subject's left
    assert float(photo_targets.pseudo_target(avatar, 0, 15, {}).camera.center[1]) > 0.1  # from above
    centre = avatar.head.joints(avatar.source.params.identity)[2] + avatar.source.params.translation
    distance = (avatar.source.camera.center - centre).norm()
    assert torch.allclose((camera.center - centre).norm(), distance, atol=1e-4)


def test_what_no_view_shows_stays_and_what_is_seen_edge_on_moves_little(
    scene: tuple[GaussianAvatar, Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, seen = scene
    monkeypatch.setattr(module, "PSEUDO_VIEWS", ((40, 0, {}),))
    monkeypatch.setattr(photo_targets, "PSEUDO_SIDE", 96)
    targets = module.target_of_photo(avatar, seen), photo_targets.pseudo_target(avatar, 40, 0, {})
    with torch.no_grad():
        view, pseudo = (pose_target(avatar, t) for t in targets)
    done = polish(avatar, [seen], steps=4)
    shown = torch.zeros(len(avatar.gaussians), dtype=torch.bool)
    shown[view.index] = shown[pseudo.index] = True
    assert 0.1 < float(shown.float().mean()) < 0.95
    for k in RATES:
        a, b = getattr(avatar.gaussians, k), getattr(done.gaussians, k)
        assert torch.equal(a[~shown], b[~shown]) and not torch.equal(a[shown], b[shown])
    only = torch.zeros_like(shown)
    only[view.index] = True
    only[pseudo.index] = False
    moved = (done.gaussians.albedo - avatar.gaussians.albedo).abs().sum(-1)
    edge_on = torch.zeros_like(shown)
    edge_on[view.index[view.step_scale[:, 0] < 0.2]] = True
    frontal = torch.zeros_like(shown)
    frontal[view.index[view.step_scale[:, 0] > 0.9]] = True
    assert moved[only & edge_on].mean() < 0.5 * moved[frontal].mean()


def test_other_photos_tell_nothing_of_the_body(scene: tuple[GaussianAvatar, Observation]) -> None:
    avatar, seen = scene
    first, other = module.target_of_photo(avatar, seen), module.target_of_photo(avatar, seen, with_body=False)
    chin = round(float(seen.detection.points[152, 1]))
    assert torch.equal(other.weight[: chin - 2], first.weight[: chin - 2])
    assert float(first.weight[chin + 2 :].max()) > 0.5 and float(other.weight[chin + 2 :].max()) == 0


def test_a_face_is_held_to_the_mesh_a_little(scene: tuple[GaussianAvatar, Observation]) -> None:
    avatar, seen = scene
    assert seen.masks is not None
    view = module.target_of_photo(avatar, seen)
    with torch.no_grad():
        drawn = avatar.mesh.render(seen.params, seen.camera)
    photo = torch.from_numpy(seen.image) / 255
    nose, brow = (tuple(int(c) for c in seen.detection.points[k][::-1]) for k in (4, 10))
    top = (brow[0] - 20, brow[1])  # above the oval
    mixed = photo[nose] + photo_targets.MESH_FRACTION * (drawn.rgb[nose] - photo[nose])
    assert torch.allclose(view.image[nose], mixed, atol=1e-3)
    assert float((view.image[nose] - photo[nose]).abs().max()) > 0.005
    assert torch.allclose(view.image[top], photo[top] * view.alpha[top], atol=1e-3)


def test_ears_beyond_the_person_take_no_colour_of_the_background(
    scene: tuple[GaussianAvatar, Observation],
) -> None:
    avatar, seen = scene
    assert seen.masks is not None
    person = seen.masks.person.copy()
    x = seen.detection.points[454, 0]  # the face's edge before the subject's left ear
    person[:, round(float(x)) :] = 0  # as if the ear lay flat against the head
    view = module.target_of_photo(avatar, replace(seen, masks=replace(seen.masks, person=person)))
    with torch.no_grad():
        covered = avatar.mesh.render(seen.params, seen.camera).alpha > 0.99
    beyond = covered & (torch.from_numpy(person) == 0)
    assert int(beyond.sum()) > 20 and float(view.weight[beyond].max()) == 0
    assert float(view.weight[~covered & (torch.from_numpy(seen.masks.person) == 0)].min()) == 1
