"""The face encoder: maps, vectors, distances, crops, training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.priors.heads import few_pictures, folder_of_pictures
from tests.priors.resume import ends_where_it_would

from headcast.errors import HeadcastError
from headcast.priors.encoder import Encoder, available, face_crops, infer, load_encoder
from headcast.priors.encoder.losses import Helpers, identity_loss, likeness_auc
from headcast.priors.encoder.network import SIDE, WIDTHS
from headcast.priors.encoder.train import IdentityEncoderRecipe
from headcast.synth.config import LABELS
from headcast.training import TrainConfig, train
from headcast.weights import card, weights_path

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder().eval()


def test_levels_halve_and_vectors_are_unit(encoder: Encoder) -> None:
    x = torch.rand(2, 3, 90, 122) * 2 - 1
    maps = encoder.features(x)
    assert [m.shape[1] for m in maps] == list(WIDTHS)
    assert [tuple(m.shape[2:]) for m in maps] == [(90, 122), (45, 61), (23, 31), (12, 16), (6, 8)]
    v = encoder.embed(x)
    assert v.shape == (2, 128)
    torch.testing.assert_close(v.norm(dim=1), torch.ones(2))


def test_distance_is_zero_for_equal_symmetric_and_grows(encoder: Encoder) -> None:
    torch.manual_seed(1)
    a = torch.rand(2, 3, 48, 48) * 2 - 1
    near, far = (a + 0.05 * torch.randn_like(a)).clamp(-1, 1), (a + 0.5 * torch.randn_like(a)).clamp(-1, 1)
    assert encoder.distance(a, a).abs().max() < 1e-6
    torch.testing.assert_close(encoder.distance(a, near), encoder.distance(near, a))
    assert (encoder.distance(a, near) < encoder.distance(a, far)).all()


def test_loading_leaves_the_callers_random_numbers_alone() -> None:
    # or a resumed training, which loads it at another step, would see other noise
    infer._load_cached.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_encoder("losses")
    assert torch.equal(torch.rand(3), expected)


def test_identity_loss_wants_people_together() -> None:
    torch.manual_seed(0)
    person = torch.arange(6).repeat_interleave(2)
    middle = torch.nn.functional.normalize(torch.randn(6, 32), dim=1)
    good = torch.nn.functional.normalize(middle[person] + 0.02 * torch.randn(12, 32), dim=1)
    bad = torch.nn.functional.normalize(torch.randn(12, 32), dim=1)
    assert identity_loss(good, person) < 0.5 * identity_loss(bad, person)
    assert likeness_auc(good, person) == 1.0
    assert (
        0.1
        < likeness_auc(torch.nn.functional.normalize(torch.randn(400, 4), dim=1), torch.arange(200).repeat(2))
        < 0.9
    )
    torch.testing.assert_close(likeness_auc(torch.ones(6, 1), torch.tensor([0, 0, 1, 1, 2, 2])), 0.5)


def test_margin_makes_it_harder() -> None:
    torch.manual_seed(0)
    v, person = torch.nn.functional.normalize(torch.randn(8, 16), dim=1), torch.arange(4).repeat(2)
    assert identity_loss(v, person, margin=0.3) > identity_loss(v, person, margin=0.0)


def test_crops_show_the_square_and_carry_gradients() -> None:
    rgb = torch.zeros(1, 3, 60, 80, requires_grad=True)
    with torch.no_grad():
        rgb[:, 0, 20:40, 30:50] = 1  # a face box of 20 pixels
    crop = face_crops(rgb, torch.tensor([[30.0, 20.0, 50.0, 40.0]]), size=54)
    assert crop.shape == (1, 3, 54, 54)
    inside = crop[0, 0] > 0.5
    assert int(inside.sum()) == 40 * 40 and bool(inside[7:-7, 7:-7].all())
    (gradient,) = torch.autograd.grad(crop[:, 0].sum(), rgb)
    assert gradient[0, 0, 30, 40] > 0 and gradient[0, 0, 0, 0] == 0


def test_batches_are_functions_of_seed_and_index() -> None:
    recipe = IdentityEncoderRecipe(folder=folder_of_pictures(), people=2, company=0)
    a, b, other = (recipe.batch(i, 1, CPU) for i in (4, 4, 5))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["seen"], other["seen"])
    assert a["seen"].shape == (4, 3, SIDE, SIDE) and a["seen"].abs().max() <= 1
    assert a["person"].unique(return_counts=True)[1].tolist() == [2, 2]


def test_the_two_encoders_share_neither_people_nor_portraits() -> None:
    folder = folder_of_pictures()  # stands for portraits here: persons 0..3
    seen = {}
    for which in ("losses", "evaluator"):
        recipe = IdentityEncoderRecipe(which=which, folder=folder, portraits=folder, people=1, company=8)  # type: ignore[arg-type]
        seen[which] = set(recipe.sample_portraits(torch.Generator().manual_seed(0)).person.tolist())
        weights = [n["encoder"].state_dict()["out.weight"] for n in (recipe.networks(0), recipe.networks(0))]
        assert torch.equal(*weights)
        seen[which + " weights"] = weights[0]
    assert seen["losses"] and seen["evaluator"] and not seen["losses"] & seen["evaluator"]
    assert not torch.equal(seen["losses weights"], seen["evaluator weights"])


def test_training_helps_and_ships(tmp_path: Path) -> None:
    recipe = IdentityEncoderRecipe(folder=folder_of_pictures(), people=4, company=0, rate=4e-3)
    config = TrainConfig(steps=16, log_every=2, ema=0.8, picture_every=0, device="cpu", engine="plain")
    done = train(recipe, config, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["main/label"] < 0.75 * log[0]["main/label"]
    assert log[-1]["main/clear"] < 0.7 * log[0]["main/clear"]
    assert log[-1]["main/identity"] < log[0]["main/identity"]
    from headcast.weights import load_tensors

    tensors, _, _ = load_tensors(done.weights)
    fresh = Encoder()
    fresh.load_state_dict({k: v.float() for k, v in tensors.items()})
    assert (fresh.weights > 0).all() and done.weights.stat().st_size < 3 * 2**20


def test_stopped_and_resumed_is_the_same(tmp_path: Path) -> None:
    recipe = IdentityEncoderRecipe(folder=folder_of_pictures(), people=2, company=0)
    config = TrainConfig(steps=3, ema=0.9, picture_every=0, device="cpu", engine="plain")
    ends_where_it_would(recipe, config, tmp_path, 1)


def test_helpers_see_every_level(encoder: Encoder) -> None:
    helpers = Helpers(WIDTHS, len(LABELS))
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    maps = [m.requires_grad_() for m in (m.detach() for m in encoder.features(x))]
    out = helpers(maps, x, x * 0.9, torch.zeros(2, 32, 32, dtype=torch.long), torch.zeros(2))
    sum(out.values()).backward()
    assert set(out) == {"label", "quality", "clear"}
    assert all(m.grad is not None for m in maps[:4])


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(HeadcastError, match="losses"):
        load_encoder("teacher")  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["losses", "evaluator"])
def test_bundled(which: str) -> None:
    if not available(which):  # type: ignore[arg-type]
        pytest.skip("these weights are not in this checkout")
    assert weights_path(f"encoder-{which}").stat().st_size < 3 * 2**20
    assert card(f"encoder-{which}")["status"] == "preview"
    made = few_pictures()
    crops = face_crops(made.rgb.permute(0, 3, 1, 2) / 127.5 - 1, made.box)
    vectors = load_encoder(which).embed(crops)  # type: ignore[arg-type]
    assert likeness_auc(vectors, made.person) > 0.75
