"""Further frames change what they show better, in the avatar's tone, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.plain_head import head_and_photo

from headcast.avatar.mesh import MeshAvatar
from headcast.methods.invertavatar.fusion import first_state, fuse_frame
from headcast.methods.invertavatar.layers import layers_of
from headcast.methods.invertavatar.state import FusionState
from headcast.observe.fit import Fitter
from headcast.observe.recursive import ShapeEvidence
from headcast.observe.types import Observation
from headcast.rotation import matrix_to_axis_angle

SIDE = 256


@pytest.fixture(scope="module")
def scene() -> tuple[MeshAvatar, Observation, ShapeEvidence]:
    """A plain mesh, a photo of it with a pattern, and no evidence of its shape."""
    avatar, photo = head_and_photo(SIDE, 800.0)
    shape = ShapeEvidence.empty(avatar.head.identities, (SIDE, SIDE), Fitter(avatar.head).prior)
    return avatar.mesh, photo, shape


def nothing_seen(state: FusionState) -> FusionState:
    return replace(state, weights={k: np.zeros_like(x) for k, x in state.weights.items()})


def error(mesh: MeshAvatar, photo: Observation) -> float:
    with torch.no_grad():
        out = mesh.render(photo.params, photo.camera)
    assert photo.masks is not None
    inside = photo.masks.person > 0.9
    return float(np.abs(out.rgb.numpy() * 255 - photo.image)[inside].mean())


def test_what_was_guessed_takes_the_frames_own_texels(
    scene: tuple[MeshAvatar, Observation, ShapeEvidence],
) -> None:
    mesh, photo, shape = scene
    state = nothing_seen(first_state(mesh, [photo], shape))
    before = error(mesh, photo)
    done = fuse_frame(mesh, state, photo)
    assert done.changed > 0.05
    assert error(done.mesh, photo) < 0.75 * before
    assert mesh.texture.std() == 0  # the input is not changed


def test_a_worse_view_changes_little_and_the_state_keeps_its_size(
    scene: tuple[MeshAvatar, Observation, ShapeEvidence],
) -> None:
    mesh, photo, shape = scene
    state = first_state(mesh, [photo], shape)
    far = replace(photo, camera=photo.camera.scaled(0.5), image=photo.image[::2, ::2])
    masks = photo.masks
    assert masks is not None
    half = {k: getattr(masks, k)[::2, ::2] for k in ("person", "skin", "hair", "clothes", "glasses")}
    far = replace(far, masks=type(masks)(**half))
    done = fuse_frame(mesh, state, far, flow=False)
    again = fuse_frame(done.mesh, done.state, far, flow=False)
    seen = state.weights["skin"] > 0.8
    layer = layers_of(done.mesh)[0]
    moved = np.abs(layer.albedo - layers_of(mesh)[0].albedo).max(1)[seen]
    assert np.median(moved) < 0.02
    sizes = [{k: v.shape for k, v in s.tensors().items()} for s in (state, done.state, again.state)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_a_darker_frame_is_brought_to_the_avatars_tone(
    scene: tuple[MeshAvatar, Observation, ShapeEvidence],
) -> None:
    mesh, photo, shape = scene
    state = first_state(mesh, [photo], shape)
    half = replace(state, weights={k: 0.5 * x for k, x in state.weights.items()})
    darker = replace(photo, image=(photo.image * 0.6).astype(np.uint8))
    tones = [fuse_frame(mesh, half, x).mesh.texture.astype(float) for x in (photo, darker)]
    assert abs(tones[0].mean() - tones[1].mean()) < 3


def test_a_displaced_pose_is_corrected_by_the_flow(
    scene: tuple[MeshAvatar, Observation, ShapeEvidence],
) -> None:
    mesh, photo, shape = scene
    sharp = fuse_frame(mesh, nothing_seen(first_state(mesh, [photo], shape)), photo, flow=False)
    off = photo.params.replace(translation=photo.params.translation + torch.tensor([0.004, 0.002, 0.0]))
    moved = replace(photo, params=off)
    state = replace(sharp.state, weights={k: 0.7 * x for k, x in sharp.state.weights.items()})
    errors = [error(fuse_frame(sharp.mesh, state, moved, flow=f).mesh, photo) for f in (True, False)]
    assert errors[0] < errors[1]


def test_the_state_comes_back_from_its_tensors(
    scene: tuple[MeshAvatar, Observation, ShapeEvidence], tmp_path: object
) -> None:
    from pathlib import Path

    from headcast.errors import HeadcastError

    mesh, photo, shape = scene
    state = replace(first_state(mesh, [photo], shape), used=3, skipped=2, detail=-1.5, detail_count=3)
    n = {layer.name: len(layer.coarse.index) for layer in layers_of(mesh)}
    tensors = state.tensors()
    back = FusionState.from_tensors(tensors, n, mesh.head.identities, Path("x.avatar"))
    assert (back.used, back.skipped, back.detail, back.detail_count) == (3, 2, -1.5, 3)
    assert np.allclose(back.weights["skin"], state.weights["skin"], atol=1e-3)
    assert np.allclose(back.shape.precision, state.shape.precision)
    for name in tensors:
        if name.endswith("person"):
            continue
        less = {k: v for k, v in tensors.items() if k != name}
        with pytest.raises(HeadcastError, match="missing"):
            FusionState.from_tensors(less, n, mesh.head.identities, Path("x.avatar"))
    broken = {**tensors, "evidence.precision": -tensors["evidence.precision"]}
    with pytest.raises(HeadcastError, match="no sum of squares"):
        FusionState.from_tensors(broken, n, mesh.head.identities, Path("x.avatar"))


def test_turned_views_show_other_texels(scene: tuple[MeshAvatar, Observation, ShapeEvidence]) -> None:
    from headcast.methods.invertavatar.fusion import measure_frame

    mesh, photo, _ = scene
    layer = layers_of(mesh)[0]
    turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    half = matrix_to_axis_angle(turn) * (40 / 90)
    turned = replace(photo, params=photo.params.replace(rotation=half), masks=None)
    front = replace(photo, masks=None)
    seen = [
        measure_frame(layer, mesh.surface.posed(x.params), mesh, x).confidence > 0.5 for x in (front, turned)
    ]
    assert (seen[1] & ~seen[0]).sum() > 0.02 * len(seen[0])
