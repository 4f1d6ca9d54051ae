"""The identity network: backbone, discriminant, alignment, training, what is bundled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.priors.heads import few_pictures, folder_of_pictures

from headcast.errors import HeadcastError
from headcast.evaluate.prior_embedding import likeness_pairs, ranking_auc
from headcast.priors.embedding import (
    IdentityEmbedder,
    embed_face,
    identity_available,
    load_embedder,
    upright_face_square,
)
from headcast.priors.embedding.network import DIMS, SIDE, FaceBackbone
from headcast.priors.embedding.start import fit_discriminant, load_backbone
from headcast.priors.embedding.train import IdentityRecipe, load_people, pick, sample_photos
from headcast.priors.images import synthesized
from headcast.training import TrainConfig, train
from headcast.weights import card, load_tensors, save_tensors, weights_path

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone of random weights, stored as the converter stores it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("backbone") / "face_mesh.safetensors"
    save_tensors(path, {k: v.half() for k, v in FaceBackbone().state_dict().items()}, {})
    return path


def test_vectors_are_unit_and_early_stages_stay() -> None:
    torch.manual_seed(0)
    network = IdentityEmbedder()
    x = torch.rand(2, 3, SIDE, SIDE)
    assert [tuple(m.shape[1:]) for m in network.backbone(x)] == [(128, 4, 4), (128, 2, 2)]
    v = network(x)
    assert v.shape == (2, DIMS)
    torch.testing.assert_close(v.norm(dim=1), torch.ones(2))
    (v[0] @ v[1]).backward()
    assert network.backbone.stages[1][0].reduce.weight.grad is None  # type: ignore[index]
    assert network.backbone.stages[2][0].reduce.weight.grad is not None  # type: ignore[index]


def test_whitened_vectors_are_unit_and_start_as_they_were() -> None:
    torch.manual_seed(0)
    network = IdentityEmbedder()
    vectors = 3 * torch.randn(4, DIMS)
    torch.testing.assert_close(network.whitened(vectors), torch.nn.functional.normalize(vectors, dim=1))
    network.whiten.weight[:64] *= 0.01
    assert network.whitened(vectors)[:, :64].norm(dim=1).max() < 0.1
    torch.testing.assert_close(network.whitened(vectors).norm(dim=1), torch.ones(4))


def test_the_discriminant_finds_what_people_differ_in() -> None:
    generator = torch.Generator().manual_seed(0)
    person = torch.cat([torch.arange(100).repeat(2), torch.arange(100, 150)])
    who = torch.randn(150, 3, generator=generator)[person]
    other = 3 * torch.randn(250, 5, generator=generator)  # light, pose: larger, and no one's own
    features = torch.cat([who, other], 1) @ torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]

    def spread(x: torch.Tensor) -> float:
        own, two = (x[:100] - x[100:200]).norm(dim=1), (x[:100] - x[101:201]).norm(dim=1)
        return float(own.mean() / two.mean())

    found = fit_discriminant(features, person, dims=3, shrinkage=0.01)
    assert spread(features) > 0.9
    assert spread((features - found.mean) @ found.weight.T) < 0.6


def test_more_directions_than_photographs_are_zero() -> None:
    found = fit_discriminant(torch.randn(6, 20), torch.arange(3).repeat(2), dims=10)
    assert found.weight.shape == (10, 20) and found.weight[6:].abs().max() == 0
    assert torch.isfinite(found.weight).all()


@pytest.mark.parametrize("degrees", [0, 35, -90, 170])
def test_a_turned_face_is_upright_in_its_crop(degrees: float) -> None:
    points = np.zeros((478, 2), np.float32)
    points[:] = np.random.default_rng(0).uniform(40, 60, (478, 2))
    points[[33, 133]], points[[263, 362]] = (42, 45), (58, 45)  # level eyes
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    A, t = upright_face_square((points @ turn.T).astype(np.float32)).affine(SIDE)
    crop = points @ turn.T @ A.T + t
    np.testing.assert_allclose(crop[33, 1], crop[263, 1], atol=0.1)
    assert crop[33, 0] < crop[263, 0]
    np.testing.assert_allclose((crop.min(0) + crop.max(0)) / 2, SIDE / 2, atol=0.1)
    np.testing.assert_allclose((crop.max(0) - crop.min(0)).max(), SIDE / 1.5, atol=0.2)


def test_a_batch_holds_pairs_and_depends_on_seed_and_index(converted: Path) -> None:
    recipe = IdentityRecipe(backbone=str(converted), photos=folder_of_pictures(), several=3, single=2)
    a, b, other = (recipe.batch(i, 1, CPU) for i in (4, 4, 5))
    assert all(torch.equal(a[k], b[k]) for k in a) and not torch.equal(a["seen"], other["seen"])
    assert a["seen"].shape == (6, 3, SIDE, SIDE)
    assert (a["person"][::2] == a["person"][1::2]).all() and len(a["person"].unique()) == 3


def test_two_photographs_where_there_are_two_and_synthetic_people_are_others() -> None:
    folder = folder_of_pictures()
    everyone = load_people(folder, folder)
    assert everyone.synthetic is not None and everyone.total == 8
    assert set(everyone.synthetic.person.tolist()).isdisjoint(everyone.photos.person.tolist())
    got = sample_photos(everyone, 2, 2, torch.Generator().manual_seed(0))
    assert len(got) == 4  # all are in two photographs here
    assert all(not torch.equal(got.rgb[k], got.rgb[k + 1]) for k in (0, 2))
    assert pick(torch.arange(3), 9, torch.Generator().manual_seed(0)).sort().values.tolist() == [0, 1, 2]


def test_steps_on_a_batch_lower_its_losses(converted: Path) -> None:
    recipe = IdentityRecipe(backbone=str(converted), photos=folder_of_pictures(), several=3, single=0)
    networks = recipe.networks(0)
    (optimizer,) = recipe.optimizers(networks).values()
    batch, values = recipe.batch(0, 0, CPU), []
    for step in range(6):
        loss = torch.stack(list(recipe.losses("main", networks, batch, step).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.9 * values[0]


def test_training_ships_what_the_network_loads(converted: Path, tmp_path: Path) -> None:
    recipe = IdentityRecipe(backbone=str(converted), photos=folder_of_pictures(), several=2, single=0)
    config = TrainConfig(steps=1, ema=0.5, picture_every=0, device="cpu", engine="plain")
    done = train(recipe, config, tmp_path)
    network = IdentityEmbedder()
    network.load_state_dict({k: v.float() for k, v in load_tensors(done.weights)[0].items()})
    assert torch.equal(network.backbone.stem.weight, load_backbone(converted).stem.weight)
    assert done.weights.stat().st_size < 4 * 2**20


def test_a_missing_backbone_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="convert_face_mesh"):
        load_backbone(tmp_path / "none.safetensors")


def test_held_out_people_are_told_apart_by_what_was_learned() -> None:
    """Two images each of six synthetic people of the test split; the last layer zeroed tells nothing."""
    if not identity_available():
        pytest.skip("these weights are not in this checkout")
    made = synthesized("test", 5, np.arange(6), 2, 128, CPU)
    zeroed = IdentityEmbedder()
    zeroed.load_state_dict(load_embedder().state_dict())
    torch.nn.init.zeros_(zeroed.out.weight)
    torch.nn.init.zeros_(zeroed.out.bias)
    torch.manual_seed(0)
    auc, people = {}, [str(p) for p in made.person.tolist()]
    for name, network in (("ours", None), ("random", IdentityEmbedder().eval()), ("zeroed", zeroed.eval())):
        vectors = [
            embed_face(rgb, points_in(box), network)
            for rgb, box in zip(made.rgb.numpy(), made.box.numpy(), strict=True)
        ]
        auc[name] = ranking_auc(likeness_pairs(np.stack(vectors), people))
    assert auc["zeroed"] == 0.5, auc
    assert auc["ours"] > 0.75 and auc["ours"] > auc["random"] + 0.1, auc


def points_in(box: np.ndarray) -> np.ndarray:
    """Landmarks that fill a box, with level eyes where those of a face are."""
    points = np.random.default_rng(0).uniform(box[:2], box[2:], (478, 2)).astype(np.float32)
    points[0], points[1] = box[:2], box[2:]
    points[[33, 133]] = box[:2] + [0.25, 0.4] * (box[2:] - box[:2])
    points[[263, 362]] = box[:2] + [0.75, 0.4] * (box[2:] - box[:2])
    return points


def test_bundled() -> None:
    if not identity_available():
        pytest.skip("these weights are not in this checkout")
    assert weights_path("embedding").stat().st_size < 4 * 2**20
    assert "no recognition" in card("embedding")["use"]
    made = few_pictures()
    vectors = []
    for rgb, box in zip(made.rgb.numpy(), made.box.numpy(), strict=True):
        vectors.append(embed_face(rgb, points_in(box)))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
