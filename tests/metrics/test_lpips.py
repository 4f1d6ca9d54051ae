"""LPIPS: the formula against a small independent computation, the published names, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

from headcast.errors import HeadcastError
from headcast.metrics.features import feature_distance
from headcast.metrics.lpips import AlexNet, Vgg16, load_lpips, load_lpips_archive

ALEX = {
    0: (64, 3, 11, 11),
    3: (192, 64, 5, 5),
    6: (384, 192, 3, 3),
    8: (256, 384, 3, 3),
    10: (256, 256, 3, 3),
}


def weights(seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A backbone and heads with their published names; of torchvision's classifier, one tensor."""
    g = torch.Generator().manual_seed(seed)
    net = {}
    for i, shape in ALEX.items():
        net[f"features.{i}.weight"] = (
            torch.randn(shape, generator=g) / (shape[1] * shape[2] * shape[3]) ** 0.5
        )
        net[f"features.{i}.bias"] = torch.randn(shape[0], generator=g) * 0.1
    net["classifier.1.weight"] = torch.zeros(4, 4)
    heads = {
        f"lin{k}.model.1.weight": torch.rand(1, shape[0], 1, 1, generator=g)
        for k, shape in enumerate(ALEX.values())
    }
    return net, heads


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lpips")
    net, heads = weights(0)
    torch.save(net, folder / "alexnet.pth")
    torch.save(heads, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


def independent(a: Tensor, b: Tensor) -> Tensor:
    """The paper's Eq. 1, written out for AlexNet."""
    net, heads = weights(0)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    maps = []
    for x in (a, b):
        x = (x - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1)
        found = []
        for i, stride, pad in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            if i in (3, 6):
                x = max_pool2d(x, 3, 2)
            x = relu(conv2d(x, net[f"features.{i}.weight"], net[f"features.{i}.bias"], stride, pad))
            found.append(x)
        maps.append(found)
    total = torch.zeros(len(a))
    for k, (p, q) in enumerate(zip(*maps, strict=True)):
        p, q = (t / (torch.linalg.vector_norm(t, dim=1, keepdim=True) + 1e-10) for t in (p, q))
        total += conv2d((p - q) ** 2, heads[f"lin{k}.model.1.weight"]).mean((1, 2, 3))
    return total


def test_formula(files: tuple[Path, Path]) -> None:
    network = load_lpips(*files)
    a, b = torch.rand(2, 2, 3, 64, 72, generator=torch.Generator().manual_seed(3)) * 2 - 1
    found = network(a, b)
    assert torch.allclose(found, independent(a, b), rtol=1e-4)
    assert (found > 0.05).all() and network(a, a).abs().max() == 0
    assert "AlexNet" in network.name and "alexnet.pth" in network.name


def test_published_names_and_sizes() -> None:
    for kind, count in ((AlexNet, 2_469_696), (Vgg16, 14_714_688)):
        with torch.device("meta"):
            network = kind()
        assert sum(p.numel() for p in network.parameters()) == count
    vgg = {k for k in network.state_dict() if k.endswith("weight")}
    assert vgg == {f"features.{i}.weight" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
    assert Vgg16.taps == (3, 8, 15, 22, 29)  # relu1_2, 2_2, 3_3, 4_3, 5_3


def test_published_heads_fit(files: tuple[Path, Path]) -> None:
    package = pytest.importorskip("torchmetrics", reason="torchmetrics comes with the extra dev")
    folder = Path(package.__file__).parent / "functional" / "image" / "lpips_models"
    network = load_lpips(files[0], folder / "alex.pth")
    assert [getattr(network, f"head{k}").numel() for k in range(5)] == [64, 192, 384, 256, 256]
    assert min(float(getattr(network, f"head{k}").min()) for k in range(5)) >= 0
    with pytest.raises(HeadcastError, match=r"not the LPIPS heads of AlexNet"):
        load_lpips(files[0], folder / "vgg.pth")


def test_what_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="not the weights of torchvision"):
        load_lpips(files[1], files[1])
    net, _ = weights(0)
    del net["features.8.bias"]
    torch.save(net, tmp_path / "part.pth")
    with pytest.raises(HeadcastError, match=r"part.pth: .*'features.8.bias' is missing"):
        load_lpips(tmp_path / "part.pth", files[1])


def test_without_heads_every_channel_and_map_weighs_the_same() -> None:
    a = [torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[[2.0]]]])]
    b = [torch.tensor([[[[0.0]], [[3.0]]]]), torch.tensor([[[[5.0]]]])]
    assert float(feature_distance(a, b)) == pytest.approx((2 + 0) / 2)


def archive_of(path: Path, **changed: np.ndarray) -> Path:
    """The random weights of ``weights(0)`` as one archive."""
    net, heads = weights(0)
    arrays = {}
    for k, i in enumerate(ALEX):
        arrays[f"w{k}"] = net[f"features.{i}.weight"].numpy()
        arrays[f"b{k}"] = net[f"features.{i}.bias"].numpy()
        arrays[f"l{k}"] = heads[f"lin{k}.model.1.weight"].reshape(-1).numpy()
    np.savez(path, **{**arrays, **changed})
    return path


def test_an_archive_gives_the_same_distance(files: tuple[Path, Path], tmp_path: Path) -> None:
    network = load_lpips(archive_of(tmp_path / "alex.npz"), None)
    a, b = torch.rand(2, 1, 3, 64, 72, generator=torch.Generator().manual_seed(3)) * 2 - 1
    assert torch.equal(network(a, b), load_lpips(*files)(a, b))
    assert network.name == "LPIPS v0.1 AlexNet (alex.npz)"


def test_archives_that_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    shorter = archive_of(tmp_path / "short.npz", b1=np.zeros(3, np.float32))
    with pytest.raises(HeadcastError, match=r"short.npz: 'b1' has the shape \(3,\), not \(192,\)"):
        load_lpips_archive(shorter)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("other.npz", "text.npz", "gone.npz"):
        with pytest.raises(HeadcastError, match=rf"{name}: (.*archive of AlexNet|no such file)"):
            load_lpips_archive(tmp_path / name)
    with pytest.raises(HeadcastError, match="LPIPS needs its heads too"):
        load_lpips(files[0], None)


def test_the_same_as_torchmetrics(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code and published heads over a random AlexNet: torchvision, which gives it one, may be absent."""
    module = pytest.importorskip(
        "torchmetrics.functional.image.lpips", reason="torchmetrics comes with the extra dev"
    )
    heads = Path(module.__file__).parent / "lpips_models" / "alex.pth"
    network = load_lpips(files[0], heads)
    monkeypatch.setattr(
        module, "_get_tv_model_features", lambda net, pretrained=False: network.backbone.features
    )
    theirs = module._LPIPS(net="alex", pnet_rand=True, model_path=str(heads)).eval()
    a, b = torch.rand(2, 2, 3, 96, 80, generator=torch.Generator().manual_seed(5)) * 2 - 1
    expected = theirs(a, b).reshape(-1)
    assert expected.min() > 1e-4
    assert torch.allclose(network(a, b), expected, rtol=1e-5, atol=0)


def test_the_shared_archive_has_the_published_heads(shared: Path) -> None:
    module = pytest.importorskip("torchmetrics", reason="torchmetrics comes with the extra dev")
    folder = Path(module.__file__).parent / "functional" / "image" / "lpips_models"
    published = torch.load(folder / "alex.pth", map_location="cpu", weights_only=True)
    network = load_lpips_archive(shared / "data" / "lpips_alex.npz")
    for k in range(5):
        assert torch.equal(getattr(network, f"head{k}"), published[f"lin{k}.model.1.weight"].reshape(-1)), k
