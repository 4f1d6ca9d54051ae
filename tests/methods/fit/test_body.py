"""The body's surface on a synthetic portrait: a head with painted shoulders, whose outline is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.methods.fit.body.outline import edges_at, first_crossing
from headcast.methods.fit.body.shell import body_shell, headroom, tuck_shoulders
from headcast.methods.fit.body.torso import estimate_torso
from headcast.methods.fit.reconstruct import fit_avatar
from headcast.observe.types import Detection, Masks, Observation
from headcast.render.shaded import render_textured
from headcast.render.shading import ambient

SIZE = 256
GREEN = (40, 120, 60)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def seen(head: HeadModel) -> Observation:
    """A head in even light over a green coat whose outline runs from the neck to the picture's corners."""
    params = HeadParams.neutral(head.identities).replace(
        rotation=torch.tensor([0.0, 0.1, 0.0]), translation=torch.tensor([0.0, 0.02, -1.0])
    )
    camera = Camera.make(SIZE * 2.4, SIZE, SIZE)
    with torch.no_grad():
        v = head(params)
        drawn = render_textured(
            v,
            head.faces,
            head.vertex_normals(v),
            head.uv,
            head.faces_uv,
            torch.full((64, 64, 3), 0.7),
            camera,
            light=ambient(0.8),
        )
        points = camera.project(head.landmarks(v)).numpy().astype(np.float64)
        trunk = head.region_mask("neck", "shoulders")
        neck = camera.project(v[trunk]).numpy()
    top = float(points[152, 1]) + 18
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    middle = float(neck[:, 0].mean())
    coat = ((y > top) & (np.abs(x - middle) < 48 + 1.1 * (y - top))).astype(np.float32)
    bare = drawn.alpha.numpy() * (y < top)
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    face = (drawn.rgb.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    image[bare > 0.5] = face[bare > 0.5]
    image[coat > 0.5] = GREEN
    none = np.zeros((SIZE, SIZE), np.float32)
    masks = Masks(person=np.maximum(bare, coat), skin=bare, hair=none, clothes=coat, glasses=none)
    box = tuple(float(c) for c in (*points.min(0), *points.max(0)))
    return Observation(
        image=image,
        detection=Detection(points, box, 1.0),
        masks=masks,
        camera=camera,
        params=params,
        light=ambient(0.8).numpy(),
        landmark_error=0.0,
        name="coat",
    )


@pytest.fixture(scope="module")
def made(seen: Observation, head: HeadModel) -> MeshAvatar:
    return fit_avatar([seen], head, texture_size=1024)


def test_the_outline_and_colours_come_back(seen: Observation, made: MeshAvatar) -> None:
    assert [s.name for s in made.shells] == ["body"] and seen.masks is not None
    with torch.no_grad():
        out = made.render(seen.params, seen.camera)
    person, alpha = seen.masks.person > 0.5, out.alpha.numpy() > 0.5
    assert (person & alpha).sum() / (person | alpha).sum() > 0.97
    coat = (seen.masks.clothes > 0.9) & alpha
    wrong = out.rgb.numpy()[coat] - seen.image[coat] / 255
    assert -10 * np.log10((wrong**2).mean()) > 28


def test_no_background_and_no_skin_on_the_coat(made: MeshAvatar) -> None:
    colour = made.shells[0].texture[60:, :, :3].reshape(-1, 3).astype(float)
    assert (made.shells[0].texture[..., 3] == 255).all()
    hue = colour / colour.sum(1, keepdims=True)
    green = np.array(GREEN) / sum(GREEN)
    assert np.quantile(np.abs(hue - green).max(1), 0.95) < 0.08


def test_a_bust_is_left_from_every_side(seen: Observation, made: MeshAvatar, head: HeadModel) -> None:
    rest = made.shells[0].rest.numpy()
    width, depth = np.ptp(rest[:, 0]), np.ptp(rest[:, 2])
    assert 0.35 < depth / width < 0.8 and rest[:, 1].min() < -0.35
    for yaw in (-45.0, 45.0, 180.0):
        camera = seen.camera.orbited(torch.tensor([0.0, 0.0, -1.0]), yaw, 0.0)
        with torch.no_grad():
            alpha = made.render(seen.params, camera).alpha.numpy()
        assert (alpha[-1] > 0.5).sum() > 0.5 * SIZE, yaw


def test_shoulders_stay_when_the_neck_bends(seen: Observation, made: MeshAvatar) -> None:
    shell = made.shells[0]
    bent = seen.params.replace(neck=torch.tensor([0.0, 0.5, 0.0]))
    a, b = shell.posed(made.head, seen.params), shell.posed(made.head, bent)
    moved = (a - b).norm(dim=1)
    low = shell.rest[:, 1] < -0.25
    assert float(moved[low].max()) < 1e-4 and float(moved[:68].max()) > 0.005
    torch.testing.assert_close(shell.skin_weights.sum(1), torch.ones(len(shell.rest)))


def test_collars_hardly_follow_the_head(seen: Observation, made: MeshAvatar) -> None:
    shell = made.shells[0]
    root, head_joint = (
        shell.skin_weights[:, JOINTS.index("root")],
        shell.skin_weights[:, JOINTS.index("head")],
    )
    assert float(head_joint.max()) == 0
    assert float(root[shell.rest[:, 1] < -0.14].min()) > 0.65


def test_the_heads_shoulders_are_within(seen: Observation, head: HeadModel) -> None:
    torso = estimate_torso(seen, head)
    assert torso is not None
    moved = np.linalg.norm(tuck_shoulders(torso, seen, head), axis=1)
    names = np.array(head.region_names)[head.region.numpy()]
    assert moved[~np.isin(names, ["neck", "shoulders"])].max() == 0
    assert moved[names == "shoulders"].max() > 0.002 and moved.max() < 0.15
    assert headroom(torso, seen, ambient(0.8).numpy()) == 1.0
    assert headroom(torso, seen, ambient(0.02).numpy()) > 1.5


def test_without_clothes_there_is_none(seen: Observation, head: HeadModel) -> None:
    assert seen.masks is not None
    none = np.zeros_like(seen.masks.clothes)
    bare = dataclasses.replace(seen, masks=dataclasses.replace(seen.masks, clothes=none))
    assert estimate_torso(bare, head) is None
    assert estimate_torso(dataclasses.replace(seen, masks=None), head) is None
    assert body_shell([bare], head, None) is None
    assert not tuck_shoulders(None, bare, head).any()


def test_edges_are_found_between_pixels(seen: Observation) -> None:
    assert seen.masks is not None
    line = np.clip((np.arange(20) - 6) / 2, 0, 1)[None]
    assert first_crossing(line)[0] == pytest.approx(7.5)
    assert np.isnan(first_crossing(line * 0)[0])
    at, known = edges_at(np.array([SIZE - 1.0]), np.ones_like(seen.masks.clothes), seen)
    assert not known.any() and at[0, 0] == 0 and at[1, 0] == SIZE
