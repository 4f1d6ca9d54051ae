"""Synthetic people made before training, for machines that synthesize slower than they train.

A file holds a few people, two moments of a clip each, rendered from the same cameras.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots
from headcast.synth.stream import make_batch
from headcast.weights import load_tensors

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MOMENTS", "StoredShots"]

MOMENTS = 2
BYTES = ("head", "background", "alpha")
PARAMS = ("identity", "expression", "rotation", "translation", "neck", "jaw", "gaze")

S = TypeVar("S", bound=Shots)


@dataclass(frozen=True)
class StoredShots(Generic[S]):
    """Images of p people, two moments, v views each; images in bytes, depth in half precision.

    Attributes:
        head: (p, 2, v, 3, h, w) premultiplied. background, alpha: alike. depth: along rays, metres.
        K, cam_from_world: (p, v, …) cameras, the same at both moments. landmarks, face: (p, 2, 68 | 478, 3).
        params: (p, 2) of the heads. extra: (p, 2, …) what a method keeps of each moment; read as float32.
    """

    head: Tensor
    background: Tensor
    alpha: Tensor
    depth: Tensor
    K: Float[Tensor, "p v 3 3"]
    cam_from_world: Float[Tensor, "p v 4 4"]
    landmarks: Float[Tensor, "p 2 68 3"]
    face: Float[Tensor, "p 2 478 3"]
    params: HeadParams
    extra: dict[str, Tensor]

    kind: ClassVar[type[Shots]] = Shots
    """What ``shots`` makes: a method may have its own."""
    extra_names: ClassVar[tuple[str, ...]] = ()
    """Of ``extra``, in files."""
    maker: ClassVar[str] = ""
    """How such files are made, for messages."""

    @property
    def views(self) -> int:
        """Return the number of views of each moment."""
        return self.head.shape[2]

    def shots(
        self,
        person: Int[Tensor, " b"],
        moment: Int[Tensor, " b"],
        view: Int[Tensor, " b"],
        device: torch.device,
        size: int = 0,
    ) -> S:
        """Read some of the images; ``size``: smaller ones than are stored.

        Raises:
            HeadcastError: the stored size is no multiple of ``size``.
        """
        head, background, alpha = (
            getattr(self, k)[person, moment, view].to(device).float() / 255 for k in BYTES
        )
        depth = self.depth[person, moment, view].to(device).float()
        K = self.K[person, view].to(device)
        if factor := _shrink_factor(head.shape[-1], size):
            K = K * torch.tensor([[1 / factor], [1 / factor], [1.0]], device=device)
            covered = avg_pool2d((depth > 0).float(), factor)
            depth = avg_pool2d(depth, factor) / covered.clamp(min=1e-6)
            head, background, alpha = (avg_pool2d(x, factor) for x in (head, background, alpha))
        made: Any = self.kind(
            image=(head + (1 - alpha) * background) * 2 - 1,
            head=head,
            background=background,
            alpha=alpha,
            depth=depth,
            K=K,
            cam_from_world=self.cam_from_world[person, view].to(device),
            landmarks=self.landmarks[person, moment].to(device),
            face=self.face[person, moment].to(device),
            params=self.params[person, moment].to(device),
            extra={k: v[person, moment].to(device).float() for k, v in self.extra.items()},
        )
        return made

    def view_pairs(self, count: int, number: int, seed: int, device: torch.device, size: int) -> list[S]:
        """Sample two images of ``count`` people: one moment, two views; colours are jittered anew.

        Args:
            number: of the batch; with the seed it decides everything.
        """
        rng = np.random.default_rng([seed, number, 5])
        who = torch.from_numpy(rng.integers(0, len(self.head), count))
        moment = torch.from_numpy(rng.integers(0, MOMENTS, count))
        views = [
            torch.from_numpy(v) for v in rng.permuted(np.tile(np.arange(self.views), (count, 1)), axis=1).T
        ]
        gains = self.gains(rng, count, device)
        return [self.shots(who, moment, v, device, size).recoloured(*gains) for v in views[:2]]

    def moment_pairs(self, count: int, number: int, seed: int, device: torch.device, size: int) -> list[S]:
        """Sample the two moments of ``count`` people, and the first once more from the second's camera.

        All are before the first image's background.
        """
        rng = np.random.default_rng([seed, number, 6])
        who = torch.from_numpy(rng.integers(0, len(self.head), count))
        view, other = (torch.from_numpy(rng.integers(0, self.views, count)) for _ in range(2))
        first = torch.from_numpy(rng.integers(0, MOMENTS, count))
        gains = self.gains(rng, count, device)
        pairs = ((first, view), (1 - first, other), (first, other))
        shots = [self.shots(who, m, v, device, size).recoloured(*gains) for m, v in pairs]
        return [shots[0], *(s.composite_over(shots[0].background) for s in shots[1:])]

    @staticmethod
    def gains(rng: np.random.Generator, count: int, device: torch.device) -> list[Tensor]:
        """Sample gains of heads and backgrounds: brightness, and a little of each channel; two of (b, 3)."""
        both = rng.uniform(0.75, 1.2, (2, count, 1)) * rng.uniform(0.92, 1.08, (2, count, 3))
        return list(torch.from_numpy(both).float().to(device))

    @classmethod
    def extra_of(cls, params: HeadParams) -> dict[str, Tensor]:
        """Make what the method keeps of heads, (b, …) each, as it is stored."""
        return {}

    @classmethod
    def make(
        cls, config: SynthConfig, numbers: Int[np.ndarray, " p"], seed: int, device: torch.device
    ) -> dict[str, Tensor]:
        """Synthesize those people of the stream as tensors of a file.

        Args:
            config: a clip of ``MOMENTS`` frames.
        """
        shots = Shots.of(make_batch(config, device, seed, numbers))
        people, views = len(numbers), config.views
        every = (people, MOMENTS, views)
        out = {k: (getattr(shots, k).clamp(0, 1) * 255 + 0.5).byte().unflatten(0, every) for k in BYTES}
        out["depth"] = shots.depth.half().unflatten(0, every)
        for k in ("K", "cam_from_world"):
            out[k] = getattr(shots, k).unflatten(0, every)[:, 0]
        for k in ("landmarks", "face"):
            out[k] = getattr(shots, k).unflatten(0, every)[:, :, 0]
        params = shots.params[slice(None, None, views)]
        per_moment = cls.extra_of(params) | {f"params.{k}": getattr(params, k) for k in PARAMS}
        out |= {k: v.unflatten(0, (people, MOMENTS)) for k, v in per_moment.items()}
        return {k: v.contiguous() for k, v in out.items()}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read all files of a folder.

        Raises:
            HeadcastError: there is none, or one is not of this kind.
        """
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise HeadcastError(f"{folder}: no people here; make them with {cls.maker}")
        parts = [load_tensors(f)[0] for f in files]
        own = [f.name for f in fields(cls) if f.name not in ("params", "extra")]
        names = [*own, *cls.extra_names, *(f"params.{k}" for k in PARAMS)]
        for file, part in zip(files, parts, strict=True):
            if set(part) != set(names) or any(part[k].shape[1:] != parts[0][k].shape[1:] for k in names):
                raise HeadcastError(f"{file}: not a file of people like {files[0].name}; delete it")
        joined = {k: torch.cat([p[k] for p in parts]) for k in names}
        params = HeadParams(**{k: joined.pop(f"params.{k}") for k in PARAMS})
        extra = {k: joined.pop(k) for k in cls.extra_names}
        return cls(**joined, params=params, extra=extra)


def _shrink_factor(stored: int, size: int) -> int:
    """Return by what factor stored images are reduced; 0 where they are not (``size`` 0 or as stored)."""
    if not size or size == stored:
        return 0
    if stored % size:
        raise HeadcastError(f"images of {stored} pixels can't be shrunk to {size}")
    return stored // size
