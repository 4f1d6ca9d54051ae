"""The face parser: network, losses, training pictures, whole pictures, masks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.priors.heads import few_pictures, folder_of_pictures
from tests.priors.resume import ends_where_it_would
from torch import Tensor

from headcast.nets.unet import UNet
from headcast.observe import parsed as observe_parsed
from headcast.observe.detection import Detection, Masks
from headcast.priors.augment import Framing, crop_faces, degrade_some, jitter_colour, replace_background
from headcast.priors.images import IGNORE, FaceImages, load_stored
from headcast.priors.parser import FaceParser, available, load_parser, parse_face
from headcast.priors.parser.losses import alpha_loss, dice_loss, label_loss
from headcast.priors.parser.train import ParserRecipe
from headcast.priors.restorer.degrade import Degradation
from headcast.synth.config import LABELS
from headcast.training import TrainConfig, train
from headcast.weights import card, weights_path

K = len(LABELS)
CPU = torch.device("cpu")


class ByColour(FaceParser):
    """Stands in for a trained parser: red is skin (certainly and covered), all else background."""

    def parse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        red = ((x[:, 0] > 0) & (x[:, 1] < 0)).float()
        p = torch.zeros(len(x), K, *x.shape[-2:])
        p[:, 1], p[:, 0] = red, 1 - red
        return p, red


def two_coloured(size: int = 64) -> FaceImages:
    """Left half label 1 and red, right half label 10 and green; alpha 1 below the middle."""
    rgb, label = (
        torch.zeros(1, size, size, 3, dtype=torch.uint8),
        torch.full((1, size, size), 10, dtype=torch.uint8),
    )
    rgb[:, :, : size // 2, 0], rgb[:, :, size // 2 :, 1] = 200, 200
    label[:, :, : size // 2] = 1
    alpha = torch.zeros(1, size, size, dtype=torch.uint8)
    alpha[:, size // 2 :] = 255
    box = torch.tensor([[size * 0.35, size * 0.3, size * 0.65, size * 0.7]])
    return FaceImages(
        rgb=rgb,
        alpha=alpha,
        background=torch.full_like(rgb, 90),
        label=label,
        box=box,
        person=torch.tensor([3]),
    )


@pytest.mark.parametrize("size", [(32, 32), (50, 37), (8, 8)])
def test_unet_gives_half_the_size(size: tuple[int, int]) -> None:
    net = UNet(3, (8, 8, 16), (0, 1, 1), 5)
    assert net(torch.rand(2, 3, *size)).shape == (2, 5, (size[0] + 1) // 2, (size[1] + 1) // 2)


def test_unet_refuses_unequal_lists() -> None:
    with pytest.raises(ValueError, match="blocks"):
        UNet(3, (8, 8), (0,), 2)


def test_parser_is_blind_to_sides() -> None:
    torch.manual_seed(0)
    parser, x = FaceParser().eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    p, alpha = parser.parse(x)
    q, beta = parser.parse(x.flip(-1))
    torch.testing.assert_close(p, q.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(alpha, beta.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(p.sum(1), torch.ones(1, 64, 64), atol=1e-5, rtol=0)
    assert sum(w.numel() for w in parser.parameters()) < 2_000_000


def test_unknown_labels_teach_nothing() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, K, 6, 6, requires_grad=True), torch.randint(0, K, (2, 6, 6))
    label[:, 2:] = IGNORE
    (label_loss(logits, label, torch.ones(K)) + dice_loss(logits, label)).backward()
    assert (
        logits.grad is not None and logits.grad[:, :, 2:].abs().max() == 0 < logits.grad[:, :, :2].abs().max()
    )
    nothing = torch.full_like(label, IGNORE)
    assert label_loss(logits, nothing, torch.ones(K)) == 0 == dice_loss(logits, nothing)


def test_perfect_answers_cost_nothing() -> None:
    label = torch.randint(0, K, (2, 8, 8))
    logits = 40.0 * torch.nn.functional.one_hot(label, K).permute(0, 3, 1, 2)
    assert label_loss(logits, label, torch.ones(K)) < 1e-4
    assert dice_loss(logits, label) < 1e-3
    alpha = torch.zeros(1, 16, 16)
    alpha[:, 4:12, 4:12] = 1
    half = torch.nn.functional.avg_pool2d(alpha, 2)
    assert alpha_loss(80 * half - 40, alpha, torch.ones(1, 16, 16, dtype=torch.bool)) < 1e-4
    assert alpha_loss(40 - 80 * half, alpha, torch.ones(1, 16, 16, dtype=torch.bool)) > 0.9


def test_labels_stay_on_their_pixels() -> None:
    pictures = FaceImages.joined([two_coloured()] * 6)
    crops = crop_faces(
        pictures, Framing(size=48, room=(1.5, 3.5), shift=0.2, turn=15), torch.Generator().manual_seed(0)
    )
    sure = (crops.rgb[:, 0] - crops.rgb[:, 1]).abs() > 0.75
    red = crops.rgb[:, 0] > crops.rgb[:, 1]
    known = sure & (crops.label != IGNORE)
    assert known.float().mean() > 0.4
    assert ((crops.label == 1) == red)[known].all()
    assert (crops.label[crops.known == 0] == IGNORE).all()
    mirrored = crops.label[:, 24].float().diff(dim=1).sum(1).sign()
    assert len(mirrored.unique()) > 1  # left and right are both seen on the left


def test_backgrounds_are_exchanged_where_the_person_is_not() -> None:
    rng = torch.Generator().manual_seed(0)
    crops = crop_faces(
        FaceImages.joined([two_coloured()] * 4),
        Framing(size=32, room=(1.5, 1.6), shift=0, turn=0, mirror=False),
        rng,
    )
    new = replace_background(crops, rng, fraction=1.0)
    clear, solid = crops.alpha < 0.01, crops.alpha > 0.99
    move = (new.rgb - crops.rgb).abs().amax(1)
    assert move[solid].max() < 1e-3 < move[clear].mean()
    unknown = replace(crops, known_alpha=torch.zeros(4, dtype=torch.bool))
    assert torch.equal(replace_background(unknown, rng, fraction=1.0).rgb, crops.rgb)


def test_worse_pictures_say_how_much_worse() -> None:
    x = few_pictures().rgb[:4].permute(0, 3, 1, 2) / 255
    rng = torch.Generator().manual_seed(0)
    same, lost = degrade_some(x, rng, Degradation(), 0.0)
    assert torch.equal(same, x) and (lost < -0.9).all()
    worse, more = degrade_some(x, rng, Degradation(light=0.0), 1.0)
    assert (more > lost).all() and worse.shape == x.shape
    coloured = jitter_colour(x, rng)
    assert coloured.min() >= 0 and coloured.max() <= 1 and (coloured - x).abs().mean() > 0.01


def test_batches_are_functions_of_seed_and_index() -> None:
    recipe = ParserRecipe(folders=folder_of_pictures(), people=2, frames=1, side=64)
    a, b, other = (recipe.batch(i, 1, CPU) for i in (4, 4, 5))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["seen"], other["seen"])


def test_training_helps_and_ships(tmp_path: Path) -> None:
    recipe = ParserRecipe(folders=folder_of_pictures(), people=4, frames=1, side=64, rate=5e-3)
    config = TrainConfig(steps=30, log_every=3, ema=0.8, device="cpu", engine="plain")
    done = train(recipe, config, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["main/sum"] < 0.75 * log[0]["main/sum"]
    assert any((tmp_path / "pictures").iterdir()) and done.weights.stat().st_size < 6 * 2**20


def test_stopped_and_resumed_is_the_same(tmp_path: Path) -> None:
    recipe = ParserRecipe(folders=folder_of_pictures(), people=2, frames=1, side=64)
    config = TrainConfig(steps=3, ema=0.9, picture_every=0, device="cpu", engine="plain")
    ends_where_it_would(recipe, config, tmp_path, 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "00000.npz").write_bytes(b"no zip")
    with pytest.raises(Exception, match=r"00000\.npz"):
        load_stored(str(tmp_path))


def test_answers_lie_where_they_belong() -> None:
    rgb = torch.full((120, 200, 3), 60, dtype=torch.uint8)
    rgb[50:70, 90:110] = torch.tensor([250, 20, 20], dtype=torch.uint8)
    found = parse_face(rgb, (85.0, 45.0, 115.0, 75.0), ByColour())
    truth = torch.zeros(120, 200, dtype=torch.long)
    truth[50:70, 90:110] = 1
    assert (found.label != truth).sum() == 0
    assert (
        found.weight[60, 100] == 1 and found.weight[60, 20] == 0 and found.probability[:, 60, 20].sum() == 0
    )


def test_masks_change_inside_of_the_square_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headcast.priors.parser.infer.load_parser", lambda device="cpu": ByColour())
    rgb = np.full((160, 240, 3), 60, np.uint8)
    rgb[60:90, 100:130] = (250, 20, 20)
    rng = np.random.default_rng(0)
    old = Masks(*(rng.random((160, 240)).astype(np.float32) for _ in range(5)))
    points = np.stack([rng.uniform(95, 135, 478), rng.uniform(55, 95, 478)], 1).astype(np.float32)
    face = Detection(points, (95.0, 55.0, 135.0, 95.0), 1.0)
    kept, _ = observe_parsed.parsed_masks(rgb, face, old)
    assert kept.person is old.person and kept.glasses is old.glasses
    new, _ = observe_parsed.parsed_masks(rgb, face, old, own=True)
    assert np.array_equal(new.person[:, :60], old.person[:, :60]) and np.array_equal(
        new.hair[:, 180:], old.hair[:, 180:]
    )
    assert new.person[75, 115] > 0.95 and new.skin[75, 115] > 0.9 and new.person[45, 90] < 0.05
    inner = (slice(50, 100), slice(90, 140))
    total = (new.skin + new.hair + new.clothes)[inner]
    np.testing.assert_allclose(total, new.person[inner], atol=1e-3)


def test_bundled() -> None:
    if not available():
        pytest.skip("the weights are not in this checkout")
    assert weights_path("parser").stat().st_size < 6 * 2**20
    assert card("parser")["labels"] == list(LABELS)
    made = few_pictures()
    right = []
    for i in range(0, len(made), 2):
        found = parse_face(made.rgb[i], tuple(made.box[i].tolist()), load_parser())  # type: ignore[arg-type]
        inside = found.weight > 0.5
        right.append(float((found.label == made.label[i])[inside].float().mean()))
    assert np.mean(right) > 0.8, right
