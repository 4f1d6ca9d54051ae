"""Training of the UV restorer: pairs, filters, the recipe; without what is learned results are worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.methods.superhead.pairs import Pair, load_pairs, pack_pair, reduced_copy, textures_of
from headcast.methods.superhead.train import UVPriorRecipe, network_inputs, restored_albedo
from headcast.methods.superhead.uv_maps import SIDE
from headcast.methods.superhead.uv_network import CHANNELS, INPUTS, UVRestorer
from headcast.training import TrainConfig, train

CPU = torch.device("cpu")


def striped_pair(seed: int) -> Pair:
    """A photo of stripes and patches that shows every texel, one pixel each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    blocks = np.kron(rng.uniform(0.2, 0.8, (SIDE // 16, SIDE // 16)), np.ones((16, 16)))
    grey = (blocks + 0.1 * np.sin(x / 2.0 + rng.uniform(0, 6))).clip(0, 1)
    photo = (grey[..., None] * [1.0, 0.8, 0.7] * 255).round().astype(np.uint8)[:511, :511]
    pixel = np.stack([x + 0.5, y + 0.5]).clip(0, 510) * 64
    surface = np.zeros((4, SIDE, SIDE), np.int8)
    surface[0] = surface[3] = 127
    return Pair(
        torch.from_numpy(photo),
        torch.from_numpy(pixel.astype(np.int16)),
        torch.full((SIDE, SIDE), 255, dtype=torch.uint8),
        torch.from_numpy(surface),
    )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("pairs")
    for k in range(2):
        with atomic_path(folder / f"{k}.safetensors") as temporary:
            save_file(pack_pair(striped_pair(k)), temporary)
    return folder


def small(folder: Path, **given: object) -> UVPriorRecipe:
    """The recipe with few small crops."""
    return replace(UVPriorRecipe(data=folder, crop=48, size=2, solve=8), **given)  # type: ignore[arg-type]


def test_textures_of_the_photo_itself_are_the_photo(pairs: Path) -> None:
    pair = load_pairs(pairs)[0]
    photo = pair.photo.permute(2, 0, 1).float() / 255
    found = textures_of(pair, photo)[:, 8:500, 8:500]
    assert float((found - photo[:, 8:500, 8:500]).abs().max()) < 0.02
    low = textures_of(pair, reduced_copy(photo, 4.0, None))[:, 8:500, 8:500]
    assert float((low - photo[:, 8:500, 8:500]).abs().mean()) > 0.01
    with pytest.raises(HeadcastError, match="no pairs; make them"):
        load_pairs(pairs / "none")


def test_batches_depend_on_seed_and_index_alone(pairs: Path) -> None:
    recipe = small(pairs)
    one, again, other = recipe.batch(3, 0, CPU), recipe.batch(3, 0, CPU), recipe.batch(4, 0, CPU)
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert not torch.equal(one["sharp"], other["sharp"])
    assert one["maps"].shape == (2, INPUTS, 48, 48) and one["corner"].shape == (2, 2)
    with pytest.raises(HeadcastError, match="give --data"):
        replace(recipe, data=None).batch(0, 0, CPU)


def test_without_what_is_learned_a_held_out_pair_is_worse(pairs: Path) -> None:
    same = {"clean": 1.0, "mixed": 0.0, "smallest": 3.0, "largest": 3.0}
    network = small(pairs, crop=96, size=4, solve=20, **same).networks(0)["uv"]
    assert isinstance(network, UVRestorer)
    pair = striped_pair(77)
    photo = pair.photo.permute(2, 0, 1).float() / 255
    low, sharp = textures_of(pair, reduced_copy(photo, 3.0, None)), textures_of(pair, photo)
    maps = torch.cat([network_inputs(low, pair.surface), torch.zeros(CHANNELS, SIDE, SIDE)])[None]

    def error() -> float:
        with torch.no_grad():
            found = restored_albedo(low[None], network(maps))
        return float((found[0] - sharp)[:, 16:490, 16:490].square().mean())

    learned = error()
    with torch.no_grad():
        network.filters.zero_()
    assert error() == pytest.approx(float((low - sharp)[:, 16:490, 16:490].square().mean()), rel=1e-3)
    assert learned < 0.9 * error()


def test_a_crop_is_restored_as_in_the_whole_map(pairs: Path) -> None:
    network = small(pairs).networks(0)["uv"]
    with torch.no_grad():
        network.out.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr]
    maps = torch.randn(1, INPUTS + CHANNELS, 192, 192, generator=torch.Generator().manual_seed(1)) * 0.3
    with torch.no_grad():
        whole = network(maps, (64.0, 32.0), SIDE)
        part = network(maps[..., 32:160, 32:160], (96.0, 64.0), SIDE)
    middle = slice(60, 68)
    assert torch.allclose(part[..., middle, middle], whole[..., 92:100, 92:100], atol=2e-3)


def test_the_recipe_trains_and_exports(pairs: Path, tmp_path: Path) -> None:
    config = TrainConfig(steps=3, log_every=1, picture_every=0, ema=0.5)
    done = train(small(pairs, solve=2, rate=1e-3), config, tmp_path / "run")
    assert done.step == 3 and done.weights.name == "superhead-uv.safetensors"
    assert done.weights.stat().st_size < 4 << 20, "at most 4 MiB"
    more = train(small(pairs, solve=2, rate=1e-3), replace(config, steps=4), tmp_path / "run")
    assert more.step == 4
