"""Training images of synthetic heads: truths agree, parts and sums of batches, files of stored people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.synth import SynthConfig
from headcast.synth.shots import Shots, random_views
from headcast.synth.stored import StoredShots
from headcast.synth.views import project_to_views
from headcast.weights import save_tensors

CPU = torch.device("cpu")
SIZE = 48


@pytest.fixture(scope="module")
def shots() -> Shots:
    """Two views of one head, with something that a method knows."""
    made = Shots.make(SynthConfig(size=SIZE, texture=128, people=1, views=2, framing="eg3d"), 1, 3, CPU)
    made.extra["of"] = torch.tensor([[1.0], [2.0]])
    return made


def test_batches_are_the_people_of_their_number(shots: Shots) -> None:
    config = SynthConfig(size=SIZE, texture=128, people=2, views=2, framing="eg3d")
    both = Shots.make(config, 0, 3, CPU)
    assert len(both.image) == 4
    torch.testing.assert_close(both.image[2:], shots.image, atol=2e-3, rtol=0)
    assert not torch.allclose(both.image[:2], shots.image, atol=0.05)


def test_images_are_heads_over_backgrounds(shots: Shots) -> None:
    whole = shots.head + (1 - shots.alpha) * shots.background
    torch.testing.assert_close(whole, (shots.image + 1) / 2, atol=1e-5, rtol=0)
    black = shots.composite_over(torch.zeros_like(shots.background))
    torch.testing.assert_close((black.image + 1) / 2, shots.head, atol=1e-6, rtol=0)
    double = torch.full((2, 3), 2.0)
    brighter = shots.recoloured(double, double)
    assert bool((brighter.head <= brighter.alpha).all()) and bool((brighter.background <= 1).all())
    assert brighter.image.mean() > shots.image.mean()


def test_depth_along_rays_ends_on_the_face(shots: Shots) -> None:
    rays = shots.cast_rays(SIZE, 0.4, 1.0)
    nose = shots.landmarks[:, 30:31]
    at = project_to_views(nose, shots.K, shots.cam_from_world)[:, 0].long()
    for i in range(2):
        row = int(at[i, 1]) * SIZE + int(at[i, 0])
        point = rays.origin[i, row] + rays.direction[i, row] * shots.depth[i, 0].reshape(-1)[row]
        assert float((point - nose[i, 0]).norm()) < 0.012
    assert bool((shots.box(shots.K, shots.cam_from_world)[:, 2:] > shots.marks.amin(1)).all())


def test_parts_and_joins_carry_everything(shots: Shots) -> None:
    last = shots[slice(1, None)]
    assert last.extra["of"].tolist() == [[2.0]] and torch.equal(last.image, shots.image[1:])
    turned = Shots.joined([last, shots[slice(0, 1)]], CPU)
    assert turned.extra["of"].tolist() == [[2.0], [1.0]]
    assert torch.equal(turned.params.expression, shots.params.expression.flip(0))
    assert torch.equal(turned.depth, shots.depth.flip(0))


def test_cameras_of_no_image_follow_seed_and_index() -> None:
    one, same, other = (random_views("eg3d", 3, 64, i, 0, CPU) for i in (0, 0, 1))
    assert torch.equal(one.cam_from_world, same.cam_from_world)
    assert not torch.equal(one.cam_from_world, other.cam_from_world)


@dataclass(frozen=True)
class Smiling(StoredShots[Shots]):
    """Stored people with one number of a method's own for each moment."""

    extra_names: ClassVar[tuple[str, ...]] = ("smile",)
    maker: ClassVar[str] = "this test"

    @classmethod
    def extra_of(cls, params: HeadParams) -> dict[str, Tensor]:
        """The sum of the weights."""
        return {"smile": params.expression.sum(1).half()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two people, two views each."""
    path = tmp_path_factory.mktemp("stored")
    config = SynthConfig(
        size=32, texture=128, people=2, frames=2, views=2, clip=True, fps=1.5, framing="eg3d", layers=1
    )
    save_tensors(path / "a.safetensors", Smiling.make(config, np.array([0, 1]), 5, CPU), {})
    return path


def test_stored_people_come_back_with_what_the_method_keeps(folder: Path) -> None:
    people = Smiling.read(folder)
    assert people.views == 2 and people.head.shape[:3] == (2, 2, 2) and people.head.dtype == torch.uint8
    first, second = people.view_pairs(3, 0, 1, CPU, 32)
    again, _ = people.view_pairs(3, 0, 1, CPU, 32)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.cam_from_world, second.cam_from_world)
    assert torch.equal(first.params.expression, second.params.expression)
    sums = first.params.expression.sum(1)
    torch.testing.assert_close(first.extra["smile"], sums, atol=2e-2, rtol=1e-2)
    source, driver, still = people.moment_pairs(3, 0, 1, CPU, 32)
    assert torch.equal(still.extra["smile"], source.extra["smile"])
    assert not torch.equal(still.extra["smile"], driver.extra["smile"])
    assert torch.equal(still.K, driver.K) and torch.equal(driver.background, source.background)


def test_smaller_images_are_means(folder: Path) -> None:
    people, zero = Smiling.read(folder), torch.zeros(1, dtype=torch.long)
    whole, half = (people.shots(zero, zero, zero, CPU, s) for s in (32, 16))
    torch.testing.assert_close(half.alpha, torch.nn.functional.avg_pool2d(whole.alpha, 2))
    torch.testing.assert_close(half.marks, whole.marks / 2)
    with pytest.raises(HeadcastError, match="can't be shrunk to 24"):
        people.shots(zero, zero, zero, CPU, 24)


def test_folders_without_such_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="make them with this test"):
        Smiling.read(tmp_path)
    with pytest.raises(HeadcastError, match="not a file of people"):
        StoredShots.read(folder)
