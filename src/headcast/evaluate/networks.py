"""The networks that figures may use, bundled or the user's; figures of absent ones are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.landmarks import BLENDSHAPES
from headcast.metrics.face import identity_descriptor, identity_distance
from headcast.metrics.lpips import Lpips, load_lpips
from headcast.metrics.sface import EMBEDDING_DIM, SFace

__all__ = ["DLIB", "EvaluationNetworks", "FaceEncoder", "Identity", "load_evaluation_networks"]

DLIB = "dlib ResNet v1, aligned by its 5-point predictor"


@runtime_checkable
class FaceEncoder(Protocol):
    """The evaluator's own face encoder (``headcast.priors.encoder``)."""

    def features(self, x: torch.Tensor) -> Any:
        """Return feature maps of (b, 3, h, w) images in -1..1, finest first."""
        ...

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return (b,) perceptual distances of images in -1..1."""
        ...

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return (b, d) unit vectors of face crops."""
        ...


@dataclass(frozen=True)
class Identity:
    """A network that distinguishes people.

    Attributes:
        key: of its figure. name: of the network. crop: its input region.
        descriptor: of an image (8-bit RGB) with its 478 landmarks.
        compare: two descriptors to one figure. high: whether high means the same person.
        lost: what a face that was not found counts as.
    """

    key: str
    name: str
    crop: str
    descriptor: Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "478 2"]], Float[np.ndarray, " d"]]
    compare: Callable[[Float[np.ndarray, " d"], Float[np.ndarray, " d"]], float]
    high: bool
    lost: float


@dataclass(frozen=True)
class EvaluationNetworks:
    """The networks that are available.

    Attributes:
        identities: dlib's first.
        encoder: the evaluator's encoder and its name. lpips: with the user's files.
        inception: features for FID and KID from the user's file: function of images, and name.
        i3d: features of windows of frames for FVD, and name.
        sface: identity embedding with its own detector.
        missing: a line for every figure that is left out, and how to get it.
    """

    identities: tuple[Identity, ...] = ()
    encoder: tuple[FaceEncoder, str] | None = None
    lpips: Lpips | None = None
    inception: tuple[Any, str] | None = None
    i3d: tuple[Any, str] | None = None
    sface: SFace | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    missing: tuple[str, ...] = ()

    def names(self) -> dict[str, str]:
        """Return every network's name by the figure that it computes."""
        found = {i.key: i.name for i in self.identities}
        if self.encoder:
            found["perceptual"] = self.encoder[1]
        if self.lpips is not None:
            found["lpips"] = self.lpips.name
        if self.inception:
            found["fid"] = self.inception[1]
        if self.i3d:
            found["fvd"] = self.i3d[1]
        if self.sface is not None:
            found["sface"] = self.sface.name
        return found | {"expression": BLENDSHAPES}


def load_evaluation_networks(
    device: torch.device,
    lpips: Path | None = None,
    lpips_heads: Path | None = None,
    arcface: Path | None = None,
    inception: Path | None = None,
    i3d: Path | None = None,
    sface: Path | None = None,
    yunet: Path | None = None,
) -> EvaluationNetworks:
    """Load what is bundled and the files that are given.

    Raises:
        HeadcastError: a given file is not what it should be.
    """
    missing: list[str] = []
    identities = [i for i in (dlib_identity(missing),) if i]
    if arcface is None:
        missing.append("ArcFace similarity: give --arcface FILE (InsightFace's backbone.pth)")
    else:
        identities.append(arcface_identity(arcface, device))
    distance = None
    if lpips is None:
        missing.append("LPIPS: give --lpips FILE (torchvision's alexnet or vgg16 weights)")
    else:
        archive = lpips.suffix == ".npz"
        heads = None if archive else lpips_heads or published_heads(lpips)
        distance = load_lpips(lpips, heads).to(device)
    features = None
    if inception is not None:
        from headcast.metrics.inception import load_inception

        network, name = load_inception(inception)
        features = network.to(device), name
    else:
        missing.append("FID of Inception features: give --inception FILE (pytorch-fid's pt_inception)")
    windows = None
    if i3d is not None:
        from headcast.metrics.i3d import load_i3d

        clips, name = load_i3d(i3d)
        windows = clips.to(device), name
    else:
        missing.append("FVD: give --i3d FILE (pytorch-i3d's rgb_imagenet.pt)")
    embedder = sface_network(sface, yunet, missing)
    if embedder is not None:
        identities.append(sface_identity(embedder))
    encoder = evaluator_encoder(device, missing)
    return EvaluationNetworks(
        identities=tuple(identities),
        encoder=encoder,
        lpips=distance,
        inception=features,
        i3d=windows,
        sface=embedder,
        device=device,
        missing=tuple(missing),
    )


def dlib_identity(missing: list[str]) -> Identity | None:
    """Load dlib's descriptor, where the extra is installed."""
    try:
        identity_descriptor(np.zeros((64, 64, 3), np.uint8), np.linspace(8, 56, 956).reshape(478, 2))
    except (HeadcastError, ImportError):
        missing.append("dlib distance: pip install 'headcast[metrics]'")
        return None
    crop = "face turned upright, 150 px"
    return Identity(
        key="identity",
        name=DLIB,
        crop=crop,
        descriptor=identity_descriptor,
        compare=identity_distance,
        high=False,
        lost=1.2,
    )


def arcface_identity(path: Path, device: torch.device) -> Identity:
    """Load the user's ArcFace network."""
    from headcast.metrics.arcface import SIDE, aligned_face, embedding, load_arcface
    from headcast.metrics.features import to_input

    network, name = load_arcface(path)
    network.to(device)

    def descriptor(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
        return embedding(network, to_input([aligned_face(rgb, points)]).to(device))[0].cpu().numpy()

    crop = f"face turned upright, {SIDE} px"
    return Identity(
        key="csim",
        name=name,
        crop=crop,
        descriptor=descriptor,
        compare=lambda a, b: float(a @ b),
        high=True,
        lost=0.0,
    )


def sface_network(sface: Path | None, yunet: Path | None, missing: list[str]) -> SFace | None:
    """Open the user's SFace and YuNet, where both are given.

    Raises:
        HeadcastError: only one is given, or a file is not what it should be.
    """
    if sface is None and yunet is None:
        missing.append("SFace cosine: give --sface FILE and --yunet FILE (.onnx of OpenCV Zoo)")
        return None
    if sface is None or yunet is None:
        raise HeadcastError("--sface and --yunet belong together: the detector aligns what SFace sees")
    return SFace(sface, yunet)


def sface_identity(network: SFace) -> Identity:
    """Wrap SFace for tables of images whose landmarks are known; it detects the face by itself."""

    def descriptor(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
        found = network.embedding(rgb)
        return np.zeros(EMBEDDING_DIM, np.float32) if found is None else found

    crop = "face aligned by YuNet, 112 px"
    return Identity(
        key="sface",
        name=network.name,
        crop=crop,
        descriptor=descriptor,
        compare=lambda a, b: float(a @ b),
        high=True,
        lost=0.0,
    )


def evaluator_encoder(device: torch.device, missing: list[str]) -> tuple[FaceEncoder, str] | None:
    """Load the encoder that no loss uses, where its weights are bundled."""
    why = "perceptual distance and our FID: the evaluator's encoder is not in this version"
    from headcast.priors.encoder import available, load_encoder
    from headcast.weights import load_tensors

    if not available("evaluator"):
        missing.append(why)
        return None
    version = load_tensors("encoder-evaluator")[2][:8]  # rows on disk know their network by this name
    return load_encoder("evaluator", device), f"headcast encoder 'evaluator' ({version})"


def published_heads(backbone: Path) -> Path:
    """Find LPIPS's heads in torchmetrics or lpips, where one of these is installed.

    Raises:
        HeadcastError: neither is.
    """
    from importlib.util import find_spec

    from headcast.metrics.weightfile import read_weights

    kind = "alex" if read_weights(backbone)["features.0.weight"].shape[-1] == 11 else "vgg"
    for package, folder in (("torchmetrics", "functional/image/lpips_models"), ("lpips", "weights/v0.1")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / folder / f"{kind}.pth"
            if path.is_file():
                return path
    raise HeadcastError("--lpips: give its heads too, --lpips-heads FILE (or pip install torchmetrics)")
