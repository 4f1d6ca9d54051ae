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

from headcast.errors import HeadcastError
from headcast.nets.unet import UNet
from headcast.observe.detection import Detection
from headcast.observe.masks import segment
from headcast.priors.augment import Framing, crop_faces, degrade_some, jitter_colour, replace_background
from headcast.priors.images import IGNORE, FaceImages, load_stored
from headcast.priors.parser import FaceParser, available, load_parser, parse_face
from headcast.priors.parser.composite import (
    coarse_guides,
    coverage_by_label,
    crop_cutouts,
    load_cutouts,
    load_scenes,
    place_before,
    sample_scenes,
)
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

    def parse(self, x: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
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


def test_labels_are_coarse_and_coverage_is_fine() -> None:
    torch.manual_seed(0)
    parser, x = FaceParser().eval(), torch.rand(1, 3, 63, 63) * 2 - 1
    labels, alpha = parser(x)
    assert labels.shape == (1, K, 32, 32) and alpha.shape == (1, 63, 63)
    p, cover = parser.parse(x)
    torch.testing.assert_close(p.sum(1), torch.ones(1, 63, 63), atol=1e-5, rtol=0)
    assert cover.shape == (1, 63, 63) and cover.min() >= 0 and cover.max() <= 1
    assert sum(w.numel() for w in parser.parameters()) < 4_000_000


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
    everywhere = torch.ones(1, 16, 16, dtype=torch.bool)
    assert alpha_loss(80 * alpha - 40, alpha, everywhere) < 1e-4
    assert alpha_loss(40 - 80 * alpha, alpha, everywhere) > 0.9
    assert alpha_loss(40 - 80 * alpha, alpha, ~everywhere) == 0


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


def test_the_matte_is_the_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headcast.priors.parser.infer.load_parser", lambda device="cpu": ByColour())
    monkeypatch.setattr("headcast.observe.masks.coarse_matte", lambda x, box: x[..., 0] / np.float32(255))
    rgb = np.full((160, 240, 3), 60, np.uint8)
    rgb[60:90, 100:130] = (250, 20, 20)
    rng = np.random.default_rng(0)
    points = np.stack([rng.uniform(95, 135, 478), rng.uniform(55, 95, 478)], 1).astype(np.float32)
    face = Detection(points, (95.0, 55.0, 135.0, 95.0), 1.0)
    found = segment(rgb, face)
    assert found.person[75, 115] > 0.95 and found.person[45, 90] < 0.05
    total = found.skin + found.hair + found.clothes
    np.testing.assert_allclose(total, found.person, atol=1e-3)
    given = segment(rgb, face, np.ones((160, 240), np.float32))
    assert given.person.min() == 1


def a_cutout(folder: Path, size: int = 96) -> str:
    """Write a red disk of skin before nothing; the photo is the upper left three quarters of the square."""
    y, x = np.mgrid[:size, :size] + 0.5
    alpha = ((np.hypot(x - 36, y - 36) < 20) * 255).astype(np.uint8)
    alpha[40:72, 26:46] = 255
    arrays = {
        "rgb": np.full((size, size, 3), (200, 30, 30), np.uint8),
        "alpha": alpha,
        "known": np.where(x < 72, 255, 0).astype(np.uint8) * (y < 72),
        "label": (alpha // 255).astype(np.uint8),
        "box": np.array([22, 22, 50, 50], np.float32),
        "size": np.array([72, 72]),
    }
    np.savez(folder / "one.npz", **arrays)
    return str(folder)


def test_cut_out_people_stand_before_scenes(tmp_path: Path) -> None:
    cutouts = load_cutouts(a_cutout(tmp_path))
    chosen, rng = torch.tensor([0, 0, 0]), torch.Generator().manual_seed(1)
    crops = crop_cutouts(cutouts, chosen, Framing(size=48, room=(1.5, 3.0), turn=0.0, shift=0.0), rng)
    solid, clear = crops.alpha > 0.99, crops.alpha < 0.01
    assert solid.any() and clear.any() and (crops.known[clear] == 1).all()
    scenes = sample_scenes(torch.full((2, 32, 32, 3), 90, dtype=torch.uint8), rng, 3, 48)
    placed = place_before(crops, scenes, rng)
    behind = (placed.rgb - scenes).abs().amax(1)[clear]
    assert behind.max() < 0.03
    red = placed.rgb[:, 0] > placed.rgb[:, 2] + 0.1
    assert red[solid].float().mean() > 0.95
    same = place_before(crops, scenes, rng, fraction=0.0)
    assert torch.equal(same.rgb, crops.rgb)


def test_reduced_people_keep_their_place(tmp_path: Path) -> None:
    cutouts = load_cutouts(a_cutout(tmp_path, 640))
    assert cutouts.rgb.shape == (1, 320, 320, 3) and cutouts.size.tolist() == [[36.0, 36.0]]
    assert cutouts.alpha[0, 18, 18] == 255 and cutouts.alpha[0, 2, 30] == 0
    same = (cutouts.label[0, :36, :36] == 1) == (cutouts.alpha[0, :36, :36] > 127)
    assert same.float().mean() > 0.97


def test_guides_are_like_the_truth_and_wrong() -> None:
    alpha = torch.zeros(16, 64, 64)
    alpha[:, 20:, 16:48] = 1
    rng = torch.Generator().manual_seed(0)
    guides = coarse_guides(alpha, rng, 1.0)
    off = ((guides > 0) != (alpha > 0.5)).float().mean((1, 2))
    assert 0.005 < off.mean() < 0.2 and guides.abs().max() <= 1
    none = coarse_guides(alpha, rng, 0.0)
    assert none.abs().max() == 0


def test_unknown_labels_are_covered_as_those_around() -> None:
    label = torch.full((1, 64, 64), IGNORE)
    label[:, :, :20], label[:, :, 44:] = 0, 10
    found = coverage_by_label(label)
    assert (found[:, :, :20] == 0).all() and (found[:, :, 44:] == 1).all()
    assert found[0, 32, 24] < 0.5 < found[0, 32, 40]


def test_missing_mattes_and_scenes_are_named(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="build_mattes"):
        load_cutouts(str(tmp_path))
    with pytest.raises(HeadcastError, match="build_scenes"):
        load_scenes(str(tmp_path / "none.npz"))


def test_batches_mix_synthetic_and_cut_out_people(tmp_path: Path) -> None:
    folder = a_cutout(tmp_path)
    (tmp_path / "scenes").mkdir()
    scenes = tmp_path / "scenes" / "train.npz"
    np.savez(scenes, rgb=np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), np.uint8))
    recipe = ParserRecipe(
        folders=folder_of_pictures(), mattes=folder, scenes=str(scenes), people=2, frames=1, cut=1, side=64
    )
    a, b = (recipe.batch(2, 1, CPU) for _ in range(2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert a["seen"].shape == (3, 3, 64, 64) and a["known"].any()


def test_bundled() -> None:
    if not available():
        pytest.skip("the weights are not in this checkout")
    assert weights_path("parser").stat().st_size < 6 * 2**20
    assert card("parser")["labels"] == list(LABELS)
    made = few_pictures()
    right = []
    for i in range(0, len(made), 2):
        box: tuple[float, float, float, float] = tuple(made.box[i].tolist())  # type: ignore[assignment]
        found = parse_face(made.rgb[i], box, load_parser(), guide=made.alpha[i].float() / 255)
        inside = found.weight > 0.5
        right.append(float((found.label == made.label[i])[inside].float().mean()))
    assert np.mean(right) > 0.8, right


def test_the_parser_is_nearer_to_the_truth_than_its_guide() -> None:
    """A coarse matte is mended by what was learned, and not by a network whose weights are zero."""
    if not available():
        pytest.skip("the weights are not in this checkout")
    zeroed = FaceParser().eval()
    for parameter in zeroed.parameters():
        torch.nn.init.zeros_(parameter)
    made = few_pictures()
    errors: dict[str, list[float]] = {"guide": [], "learned": [], "zeroed": []}
    for i in range(0, len(made), 2):
        box: tuple[float, float, float, float] = tuple(made.box[i].tolist())  # type: ignore[assignment]
        true = made.alpha[i].float() / 255
        guide = torch.nn.functional.avg_pool2d(true.roll(4, 1)[None, None], 17, 1, 8)[0, 0]
        maps = {"guide": guide} | {
            name: parse_face(made.rgb[i], box, parser, guide=guide).alpha
            for name, parser in (("learned", load_parser()), ("zeroed", zeroed))
        }
        inside = parse_face(made.rgb[i], box, zeroed, guide=guide).weight > 0.5
        for name, alpha in maps.items():
            errors[name].append(float((alpha - true)[inside].abs().mean()))
    learned, coarse, nothing = (np.mean(errors[k]) for k in ("learned", "guide", "zeroed"))
    assert learned < 0.8 * coarse and learned < 0.5 * nothing, errors
