"""ArcFace's networks as InsightFace publishes them (iresnet18 to iresnet200), filled from the user's file.

J. Deng et al., ArcFace: additive angular margin loss for deep face recognition, CVPR 2019, section 3.1.
InsightFace's weights are for non-commercial research; nothing of them is bundled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from headcast.errors import HeadcastError
from headcast.metrics.weightfile import fill, read_weights

__all__ = ["SIDE", "TEMPLATE", "IResNet", "aligned_face", "load_arcface"]

SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where right eye, left eye (the subject's), nose tip and mouth corners go, pixels of the 112² crop."""

POINTS = (468, 473, 1, 61, 291)
"""The same points among MediaPipe's landmarks."""

DEPTHS: dict[tuple[int, ...], int] = {
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 34,
    (3, 4, 14, 3): 50,
    (3, 13, 30, 3): 100,
    (6, 26, 60, 6): 200,
}
WIDTHS = (64, 128, 256, 512)


class IResNetBlock(nn.Module):
    """Norm, convolution, norm, PReLU, strided convolution, norm; plus the input."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            if stride != 1 or width_in != width
            else None
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Apply the residual block."""
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """(b, 3, 112, 112) aligned faces in -1..1 to (b, 512), not normalized. Names as InsightFace's
    arcface_torch."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        last = 64
        for n, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
            blocks = [
                IResNetBlock(last if k == 0 else width, width, 2 if k == 0 else 1) for k in range(depth)
            ]
            self.add_module(f"layer{n + 1}", nn.Sequential(*blocks))
            last = width
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b 512"]:
        """Return the embedding, not normalized."""
        x = self.prelu(self.bn1(self.conv1(x)))
        for n in range(len(WIDTHS)):
            x = getattr(self, f"layer{n + 1}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def load_arcface(path: str | Path) -> tuple[IResNet, str]:
    """Load the network of a file and its name for tables; its depth is read from the names of the tensors.

    Raises:
        HeadcastError: the file is no IResNet of InsightFace.
    """
    tensors = read_weights(path)
    depths = tuple(
        len({k.split(".")[1] for k in tensors if k.startswith(f"layer{n}.") and k.endswith("conv1.weight")})
        for n in range(1, 5)
    )
    if depths not in DEPTHS:
        raise HeadcastError(f"{path}: not an IResNet as InsightFace's arcface_torch saves it (backbone.pth)")
    network = IResNet(depths)
    fill(network, tensors, path)
    return network, f"ArcFace IResNet-{DEPTHS[depths]} ({Path(path).name})"


def similarity_to(
    points: Float[np.ndarray, "n 2"], template: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "2 3"]:
    """Fit the similarity that brings points nearest to a template (least squares; S. Umeyama, 1991)."""
    p, t = points.mean(0), template.mean(0)
    x, y = (points - p) @ np.array([1, 1j]), (template - t) @ np.array([1, 1j])
    k = (np.conj(x) @ y) / (np.conj(x) @ x).real
    M = np.array([[k.real, -k.imag], [k.imag, k.real]])
    return np.c_[M, t - M @ p]


def aligned_face(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"], side: int = SIDE
) -> UInt8[np.ndarray, "s s 3"]:
    """Warp the face so that five points lie on InsightFace's template; points in pixels.

    Large faces are reduced by pixel areas first, so that nothing aliases.
    """
    import cv2

    M = similarity_to(points[list(POINTS)].astype(np.float64) - 0.5, TEMPLATE * (side / SIDE))
    scale = float(np.hypot(M[0, 0], M[1, 0]))
    if scale < 0.5:
        h, w = rgb.shape[:2]
        less = (max(1, round(2 * scale * w)), max(1, round(2 * scale * h)))
        small = cv2.resize(rgb, less, interpolation=cv2.INTER_AREA)
        sx, sy = w / small.shape[1], h / small.shape[0]
        S = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])
        rgb, M = small, M @ S
    return cv2.warpAffine(rgb, M, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


@torch.no_grad()
def embedding(network: IResNet, faces: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b 512"]:
    """Return unit vectors of aligned faces."""
    return nn.functional.normalize(network(faces), dim=1)
