"""Photos are registered by the skin that they have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.observe.heads import detection_of, head, truth

from headcast.camera import Camera, project_points
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb
from headcast.observe.types import Masks, Observation
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from headcast.texture.registration import (
    MAX_TURN,
    SkinTexture,
    pose_jacobian,
    register_photos,
    turn_between,
)
from headcast.texture.texels import texels_of


def photograph(params: HeadParams, seed: int = 0, brightness: float = 1.0) -> Observation:
    """Render a freckled head without shading; its detection is where the landmarks are."""
    import cv2

    detection, camera = detection_of(params)
    found = rasterize_mesh(head()(params), head().faces, camera)
    triangle, bary = found.triangle.numpy(), found.barycentric.numpy()
    rng = np.random.default_rng(seed)
    noise = sum(
        cv2.GaussianBlur(rng.normal(size=(512, 512)).astype(np.float32), (0, 0), s) * s for s in (2, 5, 12)
    )
    freckles = np.exp(0.25 * noise / noise.std()) * 0.3
    uv = (head().uv.numpy()[head().faces_uv.numpy()[triangle.clip(0)]] * bary[..., None]).sum(2) * 512 - 0.5
    grey = cv2.remap(freckles.astype(np.float32), *np.moveaxis(uv.astype(np.float32), 2, 0), cv2.INTER_LINEAR)
    on_head = triangle >= 0
    image = linear_to_srgb(np.where(on_head, grey * brightness, 0.5).clip(0, 1))
    person = on_head.astype(np.float32)
    none = np.zeros_like(person)
    return Observation(
        image=np.repeat((image * 255).round().astype(np.uint8)[..., None], 3, 2),
        detection=detection,
        masks=Masks(person=person, skin=person, hair=none, clothes=none, glasses=none),
        camera=camera,
        params=params,
        light=None,
        landmark_error=1.0,
        name=f"{seed}.png",
    )


def turned(observation: Observation, degrees: float) -> Observation:
    """Turn the pose, as if landmarks had misled it."""
    p = observation.params
    turn = axis_angle_to_matrix(
        torch.tensor([0.3, 1.0, 0.0]) / 1.044 * np.radians(degrees).astype(np.float32)
    )
    rotation = matrix_to_axis_angle(turn @ axis_angle_to_matrix(p.rotation))
    return replace(observation, params=p.replace(rotation=rotation))


@pytest.mark.parametrize("yaw", [-20.0, 25.0])
def test_a_pose_that_is_off_comes_back(yaw: float) -> None:
    first = photograph(truth(1, 0.0, {}))
    other = photograph(truth(1, yaw, {}), brightness=0.7)
    wrong = turned(other, 4.0)
    kept, mended = register_photos([first, wrong], head())
    assert kept is first
    assert np.degrees(turn_between(mended.params, other.params)) < 0.7
    assert np.degrees(turn_between(wrong.params, other.params)) > 3.9


def test_far_views_follow_near_ones() -> None:
    views = [photograph(truth(2, yaw, {})) for yaw in (0.0, 40.0, 20.0)]
    wrong = [views[0], turned(views[1], 3.0), turned(views[2], -3.0)]
    mended = register_photos(wrong, head())
    off = [np.degrees(turn_between(m.params, v.params)) for m, v in zip(mended, views, strict=True)]
    assert max(off) < 1.2


def test_a_right_pose_stays() -> None:
    views = [photograph(truth(3, yaw, {})) for yaw in (0.0, 15.0)]
    assert np.degrees(turn_between(register_photos(views, head())[1].params, views[1].params)) < 0.4


def test_another_skin_does_not_turn_a_pose_far() -> None:
    first, other = photograph(truth(1, 0.0, {})), photograph(truth(1, 15.0, {}), seed=9)
    mended = register_photos([first, other], head())[1]
    assert turn_between(mended.params, other.params) <= MAX_TURN


def test_photos_without_common_skin_stay() -> None:
    first, other = photograph(truth(1, 0.0, {})), photograph(truth(1, 15.0, {}))
    assert other.masks is not None
    hidden = replace(other, masks=replace(other.masks, skin=np.zeros_like(other.masks.skin)))
    assert register_photos([first, hidden], head())[1] is hidden


def test_one_photo_stays() -> None:
    first = photograph(truth(1, 0.0, {}))
    assert register_photos([first], head()) == [first]


def test_texture_takes_the_brightness_of_what_is_known() -> None:
    texels = texels_of(head(), 256)
    light, dark = photograph(truth(1, 0.0, {})), photograph(truth(1, 0.0, {}), brightness=0.5)
    once = SkinTexture.empty(texels).add(light, head(), texels)
    twice = once.add(dark, head(), texels)
    seen = once.weight > 0.5
    assert np.median(np.abs(twice.value - once.value)[seen]) < 0.02
    assert np.allclose(twice.weight, 2 * once.weight, atol=1e-5)


def test_jacobian_is_the_derivative() -> None:
    rng = np.random.default_rng(0)
    translation = np.array([0.02, -0.01, -1.4])
    points = translation + rng.normal(0, 0.08, (5, 3))
    camera = Camera.make(900.0, 512, 512)
    J = pose_jacobian(points, translation, camera)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-3
        moved = []
        for sign in (1, -1):
            R = axis_angle_to_matrix(torch.from_numpy(sign * step[:3])).numpy()
            p = (points - translation) @ R.T + translation + sign * step[3:]
            moved.append(project_points(p, camera)[0].astype(np.float64))
        assert np.allclose((moved[0] - moved[1]) / 2e-3, J[..., k], atol=0.02 * np.abs(J).max() / 10)
