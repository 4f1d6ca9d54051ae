"""Batches: the same whatever the batch, and truths that agree with each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from headcast.head.model import HeadModel
from headcast.image import srgb_to_linear
from headcast.synth import SynthConfig, batches, make_batch
from headcast.synth.batch import SynthBatch
from headcast.synth.config import LABELS
from headcast.synth.hair_shells import FREE_HAIR, TEST_HAIR
from headcast.synth.paint import CHANNELS

CPU = torch.device("cpu")
SMALL = SynthConfig(size=64, texture=128, people=3, framing="front")


@pytest.fixture(scope="module")
def batch() -> SynthBatch:
    return next(batches(SMALL, CPU, seed=1))


def test_batches_go_on_and_start_anywhere(batch: SynthBatch) -> None:
    stream = batches(SMALL, CPU, seed=1)
    first, second = itertools.islice(stream, 2)
    later = next(batches(SMALL, CPU, seed=1, start=1))
    assert torch.equal(first.rgb, batch.rgb)
    assert torch.equal(second.rgb, later.rgb)
    assert not torch.equal(first.rgb, second.rgb)
    assert second.number.tolist() == [3, 4, 5]


def test_a_person_does_not_depend_on_the_batch(batch: SynthBatch) -> None:
    alone = make_batch(SynthConfig(size=64, texture=128, framing="front"), CPU, 1, np.array([2]))
    for name, x in alone.maps().items():
        assert torch.allclose(x[0].float(), getattr(batch, name)[2].float(), atol=2e-3), name


def test_ranges_and_shapes(batch: SynthBatch) -> None:
    for name, x in batch.maps().items():
        assert x.shape[:3] == (3, 64, 64), name
        assert torch.isfinite(x.float()).all(), name
    assert batch.rgb.min() >= 0
    assert batch.rgb.max() <= 1
    assert batch.label.max() < len(LABELS)
    assert batch.textures.shape == (3, 128, 128, len(CHANNELS))


def test_alpha_depth_label_and_normals_agree(batch: SynthBatch) -> None:
    assert ((batch.depth > 0) == (batch.label > 0)).float().mean() > 0.999
    assert (batch.alpha[batch.label > 0] > 0.2).float().mean() > 0.99
    inside = batch.alpha > 0.99
    assert torch.allclose(batch.normal[inside].norm(dim=-1), torch.ones(int(inside.sum())), atol=1e-3)
    nothing = batch.alpha == 0
    assert (batch.depth[nothing] == 0).float().mean() > 0.999  # a hair may pass between the samples
    difference = (srgb_to_linear(batch.rgb) - srgb_to_linear(batch.background)).abs().amax(-1)
    assert difference[nothing].max() < 2e-3


def test_landmarks_lie_where_the_labels_say(batch: SynthBatch) -> None:
    for i in range(len(batch)):
        eye = batch.landmarks68[i, 36:42].mean(0).long()
        mouth = batch.landmarks68[i, 48:60].mean(0).long()
        around = batch.label[i, eye[1] - 3 : eye[1] + 4, eye[0] - 3 : eye[0] + 4]
        names = {LABELS[k] for k in around.unique().tolist()}
        assert names & {"eyes", "skin", "hair", "glasses"}
        below = batch.label[i, mouth[1] - 3 : mouth[1] + 4, mouth[0] - 2 : mouth[0] + 3]
        assert {LABELS[k] for k in below.unique().tolist()} & {"lips", "teeth", "mouth"}


def test_depth_and_uv_are_the_head_models(batch: SynthBatch) -> None:
    head = HeadModel.load()
    for i in range(len(batch)):
        vertices = head(batch.params[i])
        camera = batch.views.camera(i)
        uv_of = torch.zeros(len(head.neutral), 2)
        uv_of[head.faces.reshape(-1)] = head.uv[head.faces_uv.reshape(-1)]
        pixels = camera.project(vertices).floor().long()
        ok = ((pixels >= 0) & (pixels < 64)).all(-1)
        p, v = pixels[ok], vertices[ok]
        seen = batch.uv[i, p[:, 1], p[:, 0]]
        depth = batch.depth[i, p[:, 1], p[:, 0]]
        z = camera.to_camera(v)[:, 2]
        front = (seen[:, 0] >= 0) & ((z - depth).abs() < 0.003)
        assert front.sum() > 500
        assert (seen[front] - uv_of[ok][front]).norm(dim=-1).median() < 0.01


def test_views_of_a_moment_share_its_light_and_person() -> None:
    config = SynthConfig(size=48, texture=128, people=2, views=2, framing="eg3d")
    b = make_batch(config, CPU, 0, np.arange(2))
    assert b.number.tolist() == [0, 0, 1, 1]
    assert b.view.tolist() == [0, 1, 0, 1]
    assert torch.equal(b.light.key[0], b.light.key[1])
    assert torch.equal(b.params.expression[0], b.params.expression[1])
    assert not torch.equal(b.views.cam_from_world[0], b.views.cam_from_world[1])


def test_clips_move_smoothly() -> None:
    config = SynthConfig(size=32, texture=128, people=1, frames=6, clip=True)
    b = make_batch(config, CPU, 0, np.arange(1))
    step = (b.landmarks478_world[1:] - b.landmarks478_world[:-1]).norm(dim=-1)
    assert step.max() < 0.012
    assert b.frame.tolist() == list(range(6))
    assert torch.equal(b.views.cam_from_world[0], b.views.cam_from_world[5])


def test_splits_wear_different_hair() -> None:
    from headcast.synth.assets import load_assets

    assets = load_assets(CPU, 128)
    for split in ("train", "test"):
        w = assets.hair_weights(split, torch.tensor([True, False])).sum(0)
        worn = {n for n, x in zip(assets.hair_names, w.tolist(), strict=True) if x > 0}
        assert (worn - set(FREE_HAIR) <= set(TEST_HAIR)) == (split == "test")
        assert bool(worn & set(TEST_HAIR)) == (split == "test")


def test_memory_bound_does_not_change_pictures(batch: SynthBatch) -> None:
    one = make_batch(
        SynthConfig(size=64, texture=128, people=3, framing="front", at_once=1), CPU, 1, np.arange(3)
    )
    assert torch.allclose(one.rgb, batch.rgb, atol=2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_pictures(batch: SynthBatch) -> None:
    other = make_batch(SMALL, torch.device("cuda"), 1, np.arange(3))
    close = ((other.rgb.cpu() - batch.rgb).abs() < 2 / 255).float().mean()
    assert close > 0.99
