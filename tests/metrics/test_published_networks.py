"""ArcFace, FID's Inception and I3D: names, sizes, shapes of the published networks; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.metrics import arcface
from headcast.metrics.arcface import POINTS, TEMPLATE, IResNet, aligned_face, embedding, load_arcface
from headcast.metrics.i3d import I3D, pad_same
from headcast.metrics.inception import FidInception, load_inception
from headcast.metrics.weightfile import read_weights


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        assert round(count(IResNet((3, 4, 14, 3))) / 1e6, 2) == 43.59
        assert round(count(IResNet((3, 13, 30, 3))) / 1e6, 2) == 65.16
        assert (
            count(FidInception(1000)) == 23_834_568
        )  # torchvision's inception_v3 without its auxiliary head
        assert round(count(I3D()) / 1e6, 1) == 12.7


def test_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        face, fid, clip = (set(n.state_dict()) for n in (IResNet((3, 4, 14, 3)), FidInception(), I3D()))
    assert {
        "conv1.weight",
        "prelu.weight",
        "layer1.0.bn1.running_mean",
        "layer3.13.conv2.weight",
        "bn2.bias",
        "layer2.0.downsample.0.weight",
        "layer4.2.prelu.weight",
        "fc.bias",
        "features.running_var",
    } <= face
    assert {
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_5b.branch5x5_2.bn.running_var",
        "Mixed_6a.branch3x3.conv.weight",
        "Mixed_6e.branch7x7dbl_5.conv.weight",
        "Mixed_7a.branch7x7x3_4.bn.bias",
        "fc.weight",
        "Mixed_7c.branch3x3dbl_3b.conv.weight",
        "Mixed_7b.branch_pool.conv.weight",
    } <= fid
    assert {
        "Conv3d_1a_7x7.conv3d.weight",
        "Mixed_3b.b1a.bn.weight",
        "Mixed_5c.b3b.conv3d.weight",
        "logits.conv3d.bias",
        "Mixed_4f.b2b.bn.running_mean",
    } <= clip
    assert not any(k.startswith("Mixed_6a.branch_pool") for k in fid) and "logits.bn.weight" not in clip


def test_inception_gives_features() -> None:
    torch.manual_seed(0)
    found = FidInception().eval().embed(torch.rand(1, 3, 80, 96))
    assert found.shape == (1, 2048) and bool(torch.isfinite(found).all()) and float(found.std()) > 0


def test_i3d_gives_logits() -> None:
    torch.manual_seed(0)
    assert I3D(7).eval()(torch.rand(1, 3, 9, 40, 40)).shape == (1, 7)


@pytest.mark.parametrize("size,kernel,stride", [(16, 7, 2), (15, 3, 2), (8, 2, 2), (9, 3, 1)])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    padded = pad_same(torch.ones(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)
    assert (padded.shape[2] - kernel) // stride + 1 == -(-size // stride)
    room = padded.shape[2] - size
    assert float(padded[0, 0, :, room // 2, room // 2].sum()) == size  # the odd zero lies behind
    assert float(padded[0, 0, room // 2, room // 2, room // 2]) == 1


def test_five_points_land_on_the_template() -> None:
    turn, scale = np.radians(20), 2.5
    R = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.full((478, 2), 300.0)
    points[list(POINTS)] = (TEMPLATE + 0.5 - 56) @ R.T + 300
    rgb = np.zeros((600, 600, 3), np.uint8)
    for k, (x, y) in enumerate(points[list(POINTS)].round().astype(int)):
        rgb[y - 6 : y + 6, x - 6 : x + 6] = [50 * (k + 1), 0, 255]
    face = aligned_face(rgb, points)
    assert face.shape == (112, 112, 3)
    for k, (x, y) in enumerate(TEMPLATE.round().astype(int)):
        assert abs(int(face[y, x, 0]) - 50 * (k + 1)) < 30, k


def test_a_file_tells_its_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(arcface.DEPTHS, (1, 1, 1, 1), 10)
    torch.manual_seed(0)
    state = {
        k: v.half() if v.is_floating_point() else v for k, v in IResNet((1, 1, 1, 1)).state_dict().items()
    }
    torch.save({"module." + k: v for k, v in state.items()}, tmp_path / "backbone.pth")
    network, name = load_arcface(tmp_path / "backbone.pth")
    assert name == "ArcFace IResNet-10 (backbone.pth)"
    found = embedding(network, torch.rand(2, 3, 112, 112) * 2 - 1)
    assert torch.allclose(found.norm(dim=1), torch.ones(2), atol=1e-5)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(HeadcastError, match="not an IResNet"):
        load_arcface(tmp_path / "other.pth")


def test_programs_and_strangers_are_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "i3d.pt"))
    with pytest.raises(HeadcastError, match="TorchScript program"):
        read_weights(tmp_path / "i3d.pt")
    torch.save({"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "torchvision.pth")
    with pytest.raises(HeadcastError, match="not FID's Inception"):
        load_inception(tmp_path / "torchvision.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(HeadcastError, match="holds no weights"):
        read_weights(tmp_path / "list.pth")
    torch.save({"state_dict": {"module.x": torch.ones(2)}}, tmp_path / "wrapped.pth")
    assert list(read_weights(tmp_path / "wrapped.pth")) == ["x"]
