"""The bundled hair sits on the head, faces outwards and follows the identity."""

from __future__ import annotations

import pytest
import torch

from headcast.errors import HeadcastError
from headcast.head.hair import HairAsset
from headcast.head.model import HeadModel
from headcast.weights import card, load_tensors, save_tensors, weights_path


@pytest.fixture(scope="module")
def asset() -> HairAsset:
    return HairAsset.load()


def test_bundled_items(asset: HairAsset) -> None:
    assert len(asset.of_kind("hair")) == 10
    assert len(asset.of_kind("eyebrows")) == 12
    assert card("hair")["licence"] == "CC0-1.0"
    assert weights_path("hair").stat().st_size < 3 * 2**20
    for name in asset.names:
        item = asset[name]
        assert item.faces.min() >= 0 and item.faces.max() < len(item.vertices)
        assert item.faces_uv.min() >= 0 and item.faces_uv.max() < len(item.uv)
        assert item.uv.min() >= 0 and item.uv.max() <= 1


def test_lies_on_the_head_and_faces_outwards(asset: HairAsset) -> None:
    head = HeadModel.load()
    for name in asset.of_kind("hair"):
        item = asset[name]
        top = float(item.vertices[:, 1].max())
        assert 0 <= top - float(head.neutral[:, 1].max()) < 0.04, name
        a, b, c = item.vertices[item.faces].unbind(1)
        normal, middle = torch.linalg.cross(b - a, c - a), (a + b + c) / 3
        above = middle[:, 1] > 0.08
        out = (normal * (middle - torch.tensor([0, 0.05, 0]))).sum(1)[above]
        assert float(out.sum()) > 0, name


def test_follows_the_identity(asset: HairAsset) -> None:
    head = HeadModel.load()
    item = asset["short01"]
    identity = torch.zeros(head.identities)
    assert torch.allclose(item.worn(head, identity), item.vertices)
    identity[0] = 2.0
    moved = item.worn(head, identity) - item.vertices
    skin = (head.shape(identity) - head.neutral)[head.region_mask("scalp")]
    assert torch.allclose(moved.mean(0), skin.mean(0), atol=0.004)
    assert float(moved.norm(dim=1).max()) < 1.2 * float(skin.norm(dim=1).max()) + 0.002
    assert torch.allclose(item.skin_weights(head).sum(1), torch.ones(len(item.vertices)), atol=1e-5)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "other.safetensors"
    save_tensors(path, {"x": torch.zeros(1)}, {})
    with pytest.raises(HeadcastError, match="hair asset"):
        HairAsset.load(path)
    assert load_tensors("hair")[1]["hair"]
