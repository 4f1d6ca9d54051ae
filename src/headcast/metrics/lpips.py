"""LPIPS v0.1 with the user's files: the backbone as torchvision publishes it, the heads as the lpips
package does.

R. Zhang et al., CVPR 2018. No other distance may be reported under this name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.array_files import load_arrays
from headcast.errors import HeadcastError
from headcast.metrics.features import feature_distance
from headcast.metrics.weightfile import fill, read_weights

__all__ = ["AlexNet", "Lpips", "Vgg16", "load_lpips", "load_lpips_archive"]

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class Backbone(nn.Module):
    """``features.N`` of a torchvision network; maps are taken after the layers of ``taps``."""

    taps: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    title = ""
    features: nn.Sequential

    def maps(self, x: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return feature maps of normalized images."""
        found = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                found.append(x)
            if i == self.taps[-1]:
                break
        return found


class AlexNet(Backbone):
    """A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014."""

    taps = (1, 4, 7, 9, 11)
    channels = (64, 192, 384, 256, 256)
    title = "AlexNet"

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )


class Vgg16(Backbone):
    """K. Simonyan, A. Zisserman, Very deep convolutional networks, 2015, configuration D."""

    taps = (3, 8, 15, 22, 29)
    channels = (64, 128, 256, 512, 512)
    title = "VGG-16"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 3
        for block, (width, depth) in enumerate(zip(self.channels, (2, 2, 3, 3, 3), strict=True)):
            if block:
                layers.append(nn.MaxPool2d(2, 2))
            for _ in range(depth):
                layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU()]
                last = width
        self.features = nn.Sequential(*layers)


BACKBONES: tuple[type[AlexNet] | type[Vgg16], ...] = (AlexNet, Vgg16)


class Lpips(nn.Module):
    """The LPIPS distance of images in -1..1.

    Attributes:
        name: of network and files, for tables.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: AlexNet | Vgg16, heads: Sequence[Tensor], name: str) -> None:
        super().__init__()
        self.backbone, self.name = backbone, name
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        for k, h in enumerate(heads):
            self.register_buffer(f"head{k}", h.reshape(-1).float())

    @torch.no_grad()
    def forward(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Return one distance per pair; 0 for identical images."""
        maps = [self.backbone.maps((x - self.shift) / self.scale) for x in (a, b)]
        heads = [getattr(self, f"head{k}") for k in range(len(maps[0]))]
        return feature_distance(maps[0], maps[1], heads)


def load_lpips(backbone: str | Path, heads: str | Path | None) -> Lpips:
    """Load LPIPS from two files.

    Args:
        backbone: state dict of torchvision's ``alexnet`` or ``vgg16`` (its classifier is not used), or an
            ``.npz`` archive of AlexNet with its heads (see ``load_lpips_archive``).
        heads: the lpips package's ``weights/v0.1/alex.pth`` or ``vgg.pth``; torchmetrics carries the same
            files. Not used with an archive.

    Raises:
        HeadcastError: a file is not what it should be, or the two don't belong together.
    """
    if Path(backbone).suffix == ".npz":
        return load_lpips_archive(Path(backbone))
    tensors = read_weights(backbone)
    first = tensors.get("features.0.weight")
    kind = next(
        (k for k in BACKBONES if first is not None and first.shape == k().features[0].weight.shape), None
    )
    if kind is None:
        raise HeadcastError(f"{backbone}: not the weights of torchvision's alexnet or vgg16")
    network = kind()
    fill(network, tensors, backbone, unused=("classifier.",))
    if heads is None:
        raise HeadcastError(f"{backbone}: LPIPS needs its heads too; give --lpips-heads FILE")
    lines = read_weights(heads)
    found = []
    for k, width in enumerate(kind.channels):
        line = lines.get(f"lin{k}.model.1.weight")
        if line is None or line.shape != (1, width, 1, 1):
            raise HeadcastError(f"{heads}: not the LPIPS heads of {kind.title}: 'lin{k}.model.1.weight'")
        found.append(line)
    name = f"LPIPS v0.1 {kind.title} ({Path(backbone).name}, {Path(heads).name})"
    return Lpips(network, found, name).eval()


def load_lpips_archive(path: Path) -> Lpips:
    """Load AlexNet and its heads from one NumPy archive: ``w0..w4``, ``b0..b4`` (convolutions), ``l0..l4``.

    Raises:
        HeadcastError: the file is missing, damaged, or has other arrays.
    """
    network = AlexNet()
    layers = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    wanted = {f"w{k}": tuple(c.weight.shape) for k, c in enumerate(layers)}
    wanted |= {f"{key}{k}": (c.out_channels,) for k, c in enumerate(layers) for key in "bl"}
    arrays = load_arrays(path, wanted, "give an archive of AlexNet with LPIPS heads")
    for key, shape in wanted.items():
        if key not in arrays:
            raise HeadcastError(f"{path}: not an archive of AlexNet with LPIPS heads ('{key}' is missing)")
        if arrays[key].shape != shape:
            raise HeadcastError(f"{path}: '{key}' has the shape {arrays[key].shape}, not {shape}")
    with torch.no_grad():
        for k, layer in enumerate(layers):
            layer.weight.copy_(torch.from_numpy(arrays[f"w{k}"]))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(arrays[f"b{k}"]))
    heads = [torch.from_numpy(arrays[f"l{k}"]) for k in range(len(layers))]
    network.requires_grad_(False)
    return Lpips(network, heads, f"LPIPS v0.1 {network.title} ({path.name})").eval()
