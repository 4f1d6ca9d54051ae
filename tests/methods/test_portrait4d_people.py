"""What stage 1 and 2 are trained on: stored people, the average head, folders of real clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.methods.portrait4d.clips import read_clip_pair
from headcast.methods.portrait4d.data import neck_field, synthesize_views
from headcast.methods.portrait4d.network import TINY
from headcast.methods.portrait4d.people import read_people, synthesize_people, write_people
from headcast.methods.portrait4d.recipes.average import AverageRecipe
from headcast.methods.portrait4d.recipes.motion import MotionRecipe
from headcast.methods.portrait4d.recipes.motion_encoder import EncoderRecipe
from headcast.methods.portrait4d.recipes.static import StaticRecipe
from headcast.synth.views import project_to_views
from headcast.video import write_video
from headcast.weights import save_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, two views."""
    folder = tmp_path_factory.mktemp("people")
    for k in range(2):
        write_people(
            folder / f"{k:05d}.safetensors", synthesize_people(np.array([k]), 2, 64, "train", 9, CPU)
        )
    return folder


def test_stored_people_are_consistent(people: Path) -> None:
    found = read_people(str(people))
    assert len(found.head) == 2 and found.views == 2
    one, two = found.view_pairs(2, 0, 0, CPU, 64)
    again, _ = found.view_pairs(2, 0, 0, CPU, 64)
    assert torch.equal(one.image, again.image) and not torch.equal(one.image, two.image)
    assert torch.equal(one.params.expression, two.params.expression)
    # the field of the neck is that of the heads, up to half precision
    points = (torch.rand(2, 500, 3) - 0.5) * 0.8
    made = neck_field(one.params, TINY)
    assert (one.neck(TINY)(points) - made(points)).abs().max() < 3e-3
    # depth agrees with the cameras: the nose's tip lies where the picture's depth says
    at = project_to_views(one.landmarks[:, 30:31], one.K, one.cam_from_world)[:, 0].long().clamp(0, 63)
    centre = -(one.cam_from_world[:, :3, :3].mT @ one.cam_from_world[:, :3, 3:])[..., 0]
    for i in range(2):
        off = one.depth[i, 0, at[i, 1], at[i, 0]] - (one.landmarks[i, 30] - centre[i]).norm()
        assert abs(float(off)) < 0.02
    source, driver, still = found.moment_pairs(2, 0, 0, CPU, 64)
    assert torch.equal(still.K, driver.K)
    assert torch.equal(still.params.expression, source.params.expression)
    assert not torch.equal(source.params.expression, driver.params.expression)


def test_smaller_pictures_are_means(people: Path) -> None:
    found = read_people(str(people))
    whole, half = (found.view_pairs(1, 3, 0, CPU, s)[0] for s in (64, 32))
    # brightened heads are bounded by their coverage, pixel by pixel: single ones may differ
    off = (torch.nn.functional.avg_pool2d(whole.head, 2) - half.head).abs()
    assert off.mean() < 2e-3 and torch.allclose(
        torch.nn.functional.avg_pool2d(whole.alpha, 2), half.alpha, atol=1e-5
    )
    assert torch.allclose(
        project_to_views(whole.face, whole.K, whole.cam_from_world) / 2,
        project_to_views(half.face, half.K, half.cam_from_world),
        atol=1e-3,
    )
    with pytest.raises(HeadcastError, match="can't be shrunk to 48"):
        found.view_pairs(1, 0, 0, CPU, 48)


def test_missing_and_foreign_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="build_portrait4d_people"):
        read_people(str(tmp_path))
    write_people(tmp_path / "a.safetensors", {"x": torch.zeros(2)})
    with pytest.raises(HeadcastError, match="not a file of people"):
        read_people(str(tmp_path))


def test_the_average_head_is_learned_and_starts_stage_one(people: Path, tmp_path: Path) -> None:
    recipe = AverageRecipe(size="tiny", folder=str(people), people=2)
    networks = recipe.networks(0)
    optimizer = recipe.optimizers(networks)["main"]
    batch = recipe.batch(0, 0, CPU)
    sums = []
    for step in range(60):
        loss = torch.stack(list(recipe.losses("main", networks, batch, step).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(loss.item())
    assert np.median(sums[-5:]) < 0.6 * np.median(sums[:3]), sums
    shipped = recipe.shipped(networks)
    assert set(shipped) == {k for k in networks["synthesizer"].state_dict() if k[:4] in ("mean", "deco")}
    save_tensors(tmp_path / "a.safetensors", shipped, {})
    started = StaticRecipe(size="tiny", start=str(tmp_path / "a.safetensors")).networks(1)["synthesizer"]
    assert torch.equal(started.state_dict()["mean"], shipped["mean"])
    with pytest.raises(HeadcastError, match="no average head"):
        AverageRecipe(size="official").networks(0)


def test_the_motion_encoder_learns_to_read_and_starts_stage_two(people: Path, tmp_path: Path) -> None:
    recipe = EncoderRecipe(size="tiny", folder=str(people), people=4)
    networks = recipe.networks(0)
    optimizer = recipe.optimizers(networks)["main"]
    batch, sums = recipe.batch(0, 0, CPU), []
    for step in range(25):
        loss = recipe.losses("main", networks, batch, step)["read"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(loss.item())
    assert sums[-1] < 0.4 * sums[0], sums
    save_tensors(tmp_path / "e.safetensors", recipe.shipped(networks), {})
    static = StaticRecipe(size="tiny")
    save_tensors(tmp_path / "s.safetensors", static.shipped(static.networks(0)), {})
    asked = {"size": "tiny", "static": str(tmp_path / "s.safetensors")}
    started = MotionRecipe(**asked, encoder=str(tmp_path / "e.safetensors")).networks(1)
    assert torch.equal(started["motion"].out.weight, networks["motion"].out.weight)
    with pytest.raises(HeadcastError, match=r"not weights of portrait4d\.encoder"):
        MotionRecipe(**asked, encoder=str(tmp_path / "s.safetensors")).networks(1)
    with pytest.raises(HeadcastError, match=r"e\.safetensors: not weights of portrait4d"):
        StaticRecipe(size="tiny", start=str(tmp_path / "e.safetensors")).networks(1)


def test_after_stage_two_the_encoder_learns_what_weights_say(people: Path, tmp_path: Path) -> None:
    static, file = StaticRecipe(size="tiny"), tmp_path / "m.safetensors"
    save_tensors(tmp_path / "s.safetensors", static.shipped(static.networks(0)), {})
    stage = MotionRecipe(size="tiny", static=str(tmp_path / "s.safetensors"))
    save_tensors(file, stage.shipped(stage.networks(0)), {})
    recipe = EncoderRecipe(size="tiny", folder=str(people), people=4, after=str(file))
    networks = recipe.networks(1)
    optimizer = recipe.optimizers(networks)["main"]
    batch, off = recipe.batch(0, 0, CPU), []
    for step in range(25):
        terms = recipe.losses("main", networks, batch, step)
        optimizer.zero_grad()
        (terms["read"] + terms["said"]).backward()
        optimizer.step()
        off.append(terms["said"].item())
    assert off[-1] < 0.4 * off[0], off
    save_tensors(tmp_path / "e.safetensors", recipe.shipped(networks), {})
    stage = MotionRecipe(
        size="tiny",
        static=str(tmp_path / "s.safetensors"),
        start=str(file),
        encoder=str(tmp_path / "e.safetensors"),
    )
    assert torch.equal(stage.networks(2)["motion"].out.weight, networks["motion"].out.weight)
    with pytest.raises(HeadcastError, match=r"s\.safetensors"):
        EncoderRecipe(size="tiny", after=str(tmp_path / "s.safetensors")).networks(0)


def test_stronger_expressions_can_be_asked_for(people: Path) -> None:
    calm = read_people(str(people)).params.expression[0]
    wild = synthesize_people(np.array([0]), 1, 32, "train", 9, CPU, apart=2.5, expression=1.8)[
        "params.expression"
    ][0]
    assert (wild[0] - wild[1]).abs().sum() > (calm[0] - calm[1]).abs().sum()


def test_real_clips_come_into_stage_two(demo_photo: Path, people: Path, tmp_path: Path) -> None:
    rgb = load_image(demo_photo).rgb[:360, 60:420]
    folder = tmp_path / "clips" / "one"
    folder.mkdir(parents=True)
    from headcast.image import save_png

    for k in range(16):  # the whole picture wanders two pixels a frame
        save_png(folder / f"{k:03d}.png", np.roll(rgb, 2 * k, axis=1))
    source, driver = read_clip_pair(str(tmp_path / "clips"), 0, 0, 64, TINY)
    assert source.image.shape == (1, 3, 64, 64)
    for shot in (source, driver):
        marks = project_to_views(shot.landmarks, shot.K, shot.cam_from_world)[0]
        assert marks.min() > 8 and marks.max() < 60  # the face fills the square
    # heads are cropped by where they are, so both look alike though the picture moved thirty pixels
    assert (source.image - driver.image).abs().mean() < 0.12
    recipe = MotionRecipe(size="tiny", people=2, folder=str(people), clips=str(tmp_path / "clips"))
    batch = recipe.batch(0, 0, CPU)
    first, second = batch["source"], batch["driver"]
    assert first.image.shape == second.image.shape == (2, 3, 64, 64)
    assert (first.image[0] - source.image[0]).abs().max() < 1e-5
    assert len(first.extra["fine"]) == 2
    # the person is told from what is behind, and the clip's expression is read, not said
    middle, corner = source.alpha[0, 0, 24:40, 24:40], source.alpha[0, 0, :8, :8]
    assert middle.mean() > 0.9 and corner.mean() < 0.5
    assert not bool(batch["by_weights"][0])


def test_clips_without_faces_are_told(tmp_path: Path) -> None:
    write_video(tmp_path / "grey.mp4", iter([np.full((96, 96, 3), 128, np.uint8)] * 17), 25.0)
    with pytest.raises(HeadcastError, match="no face in 8 clips"):
        read_clip_pair(str(tmp_path), 0, 1, 64, TINY)


def test_rendered_shots_carry_the_neck_with_them() -> None:
    shots = synthesize_views(2, 1, 64, 0, 3, CPU).with_neck(TINY)
    points = torch.rand(1, 50, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    alone = shots[slice(1, 2)]
    assert torch.allclose(alone.neck(TINY)(points), neck_field(alone.params, TINY)(points), atol=1e-4)
