"""The face encoders on held-out people: identification, order of degradations, agreement with dlib.

Synthetic people of the test split (``--limit`` of them, 40 by default) and, where the data folder has
``splits.json`` and ``portraits``, the portraits of ``evaluation`` and people with two photographs. Baselines:
the pixels themselves and the same network before training; dlib's descriptor where it can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from headcast.errors import HeadcastError
from headcast.evaluate.data import names_of_split
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.networks import DLIB
from headcast.evaluate.photo_pairs import photo_pairs
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Store
from headcast.metrics.figure import Figure
from headcast.priors.encoder import Encoder, available, face_crops, load_encoder
from headcast.priors.encoder.losses import likeness_auc
from headcast.priors.images import synthesized
from headcast.priors.restorer.degrade import blurred
from headcast.priors.restorer.jpeg import jpeg

__all__ = ["measure", "rank_correlation"]

SEED, PEOPLE, FRAMES, SIZE = 303, 40, 3, 160
SQUARE = "square of 1.35 times the landmarks' larger side"
PIXELS, UNTRAINED = "pixels (32²)", "encoder before training"

FIGURES = (
    Figure(
        key="auc",
        title="identity AUC",
        crop=SQUARE,
        note="synthetic people, split test: images of one against images of two",
    ),
    Figure(
        key="auc_real",
        title="identity AUC, real people",
        crop=SQUARE,
        note="two photographs of a person, nobody of the training set, against photographs of two",
    ),
    Figure(
        key="dlib_rank",
        title="rank correlation with dlib",
        crop=SQUARE,
        note="Spearman, distances of all pairs of evaluation portraits",
    ),
    Figure(
        key="dlib_near",
        title="nearest by dlib among our nearest 5",
        unit="share",
        crop=SQUARE,
        note="evaluation portraits; by chance 5 / (n - 1)",
    ),
    Figure(
        key="order",
        title="degradation order",
        unit="share",
        crop=SQUARE,
        note="neighbouring strengths of blur, noise, JPEG and size in the right order",
    ),
)


def measure(setting: Setting) -> Report:
    """Measure every encoder that the package has.

    Raises:
        HeadcastError: no encoder is in the package.
    """
    encoders = {w: load_encoder(w, setting.device) for w in ("losses", "evaluator") if available(w)}
    if not encoders:
        raise HeadcastError("evaluate encoder: no weights in the package; train them: headcast train encoder")
    Store(setting.out, setting.facts())  # makes the folder, or says why not
    torch.manual_seed(setting.seed)
    every: dict[str, Encoder | None] = {
        PIXELS: None,
        UNTRAINED: Encoder().to(setting.device).eval(),
        **encoders,
    }
    report = Report(protocol="prior", figures={f.key: f for f in FIGURES})
    crops, person = render_test_crops(setting, setting.limit or PEOPLE)
    setting.say(0.6, "portraits")
    portraits = evaluation_portraits(setting.data, report)
    pairs = real_people(setting.data, report)
    counts: dict[str, int] = {}
    if pairs is not None:
        theirs = torch.from_numpy(pairs[2])
        report.add(DLIB, "all", [{"auc_real": likeness_auc(normalize(theirs, dim=1), pairs[1])}])
    for name, encoder in every.items():
        found = _encoder_figures(setting, encoder, crops, person, portraits, pairs)
        report.add(name, "all", [{k: v for k, (v, _) in found.items()}])
        counts |= {k: n for k, (_, n) in found.items()}
    report.notes += [
        f"held out: {len(crops)} images of {len(person.unique())} synthetic people, split test",
        "each figure is one number over " + ", ".join(f"{n} ({k})" for k, n in counts.items()),
    ]
    return report


def _encoder_figures(
    setting: Setting,
    encoder: Encoder | None,
    crops: Tensor,
    person: Tensor,
    portraits: tuple[Any, Any] | None,
    pairs: tuple[Any, Any, Any] | None,
) -> dict[str, tuple[float, int]]:
    """Return an encoder's figures and over how many images each is."""
    vectors = embed_crops(encoder, crops)
    found = {"auc": (likeness_auc(vectors, person), len(vectors))}
    if encoder is not None:
        found["order"] = degradation_order(encoder, crops[::3][:24])
    if portraits is not None:
        found |= agreement(embed_crops(encoder, portraits[0].to(setting.device)), portraits[1])
    if pairs is not None:
        mine = embed_crops(encoder, pairs[0].to(setting.device)).cpu()
        found["auc_real"] = likeness_auc(mine, pairs[1]), len(mine)
    return found


def render_test_crops(setting: Setting, people: int) -> tuple[Float[Tensor, "n 3 s s"], Tensor]:
    """Render face crops in -1..1 of people of the test split, and their identities."""
    parts = []
    for first in range(0, people, 2):
        setting.say(0.6 * first / people, "synthetic people")
        numbers = np.arange(first, min(first + 2, people))
        parts.append(synthesized("test", SEED, numbers, FRAMES, SIZE, setting.device))
    crops = [face_crops(p.rgb.permute(0, 3, 1, 2) / 127.5 - 1, p.box) for p in parts]
    return torch.cat(crops), torch.cat([p.person for p in parts])


def embed_crops(encoder: Encoder | None, crops: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n d"]:
    """Compute unit vectors; without an encoder those of the standardized pixels."""
    with torch.no_grad():
        if encoder is not None:
            return torch.cat([encoder.embed(c) for c in crops.split(16)])
        small = interpolate(crops, (32, 32), mode="area").flatten(1)
        return normalize(small - small.mean(1, keepdim=True), dim=1)


def evaluation_portraits(data: Path, report: Report) -> tuple[Tensor, Float[np.ndarray, "n 128"]] | None:
    """Crop the evaluation portraits and compute dlib's descriptors; None (noted) when they are missing."""
    if not (data / "splits.json").is_file():
        report.notes.append("no splits.json in the data folder: dlib is not compared with")
        return None
    names = names_of_split(data / "splits.json", "evaluation")
    found = describe_images([data / "portraits" / f"{name}.jpg" for name in names], report)
    return torch.cat([c for c, _ in found.values()]), np.stack([d for _, d in found.values()])


def real_people(data: Path, report: Report) -> tuple[Tensor, Tensor, Float[np.ndarray, "n 128"]] | None:
    """Crop two photographs of each person; also identities and dlib's descriptors; None without any."""
    pairs = photo_pairs(data)
    found = describe_images([p for _, a, b in pairs for p in (a, b)], report)
    both = [(k, p) for k, (_, a, b) in enumerate(pairs) if a in found and b in found for p in (a, b)]
    if not both:
        return None
    person = torch.tensor([k for k, _ in both])
    return torch.cat([found[p][0] for _, p in both]), person, np.stack([found[p][1] for _, p in both])


def describe_images(paths: list[Path], report: Report) -> dict[Path, tuple[Tensor, Float[np.ndarray, "128"]]]:
    """Return the encoder's crop and dlib's descriptor of every image with a detected face."""
    from headcast.image import load_image
    from headcast.metrics.face import identity_descriptor

    found = {}
    with StaticLandmarks() as landmarks:
        for path in paths:
            try:
                rgb = load_image(path).rgb
                points = landmarks.points(rgb)
                if points is None:
                    raise HeadcastError(f"{path.stem}: no face found")
                found[path] = encoder_crop(rgb, points), identity_descriptor(rgb, points)
            except HeadcastError as e:
                report.skipped[path.stem] = str(e)
    return found


def encoder_crop(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
) -> Float[Tensor, "1 3 s s"]:
    """Return the encoder's crop of one image."""
    box = torch.from_numpy(np.concatenate([points.min(0), points.max(0)]).astype(np.float32))[None]
    return face_crops(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 127.5 - 1, box)


def agreement(
    vectors: Float[Tensor, "n d"], theirs: Float[np.ndarray, "n 128"]
) -> dict[str, tuple[float, int]]:
    """Correlate distances between portraits with dlib's."""
    n = len(vectors)
    ours = 1 - (vectors @ vectors.T).cpu().numpy()
    dlib = np.linalg.norm(theirs[:, None] - theirs[None], axis=-1)
    above = np.triu_indices(n, 1)
    far = dlib + 9 * np.eye(n)
    near = (ours + 9 * np.eye(n)).argsort(1)[:, :5]
    hits = (near == far.argmin(1)[:, None]).any(1)
    return {
        "dlib_rank": (rank_correlation(ours[above], dlib[above]), len(above[0])),
        "dlib_near": (float(hits.mean()), n),
    }


def rank_correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Return Spearman's correlation of ranks (no ties expected)."""
    x, y = (v.argsort().argsort().astype(np.float64) for v in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


def degradation_order(encoder: Encoder, crops: Float[Tensor, "n 3 s s"]) -> tuple[float, int]:
    """Return the fraction of neighbouring strengths whose distances to the clear image are in order."""
    clear = (crops + 1) / 2
    right = total = 0
    for worse in DEGRADATIONS:
        with torch.no_grad():
            d = torch.stack(
                [encoder.distance(crops, 2 * torch.stack([worse(x, k) for x in clear]) - 1) for k in range(4)]
            )
        right += int((d[1:] > d[:-1]).sum())
        total += d[1:].numel()
    return right / total, total


def reduce_and_enlarge(x: Float[Tensor, "3 h w"], k: int) -> Float[Tensor, "3 h w"]:
    """Reduce images and enlarge them again."""
    small = interpolate(x[None], scale_factor=(0.7, 0.5, 0.35, 0.25)[k], mode="bilinear", antialias=True)
    return interpolate(small, x.shape[-2:], mode="bilinear")[0]


def add_noise(x: Float[Tensor, "3 h w"], k: int) -> Float[Tensor, "3 h w"]:
    """Add the same noise, stronger with ``k``."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(7)).to(x)
    return (x + (4, 8, 16, 32)[k] / 255 * noise).clamp(0, 1)


def blur_by_level(x: Float[Tensor, "3 h w"], k: int) -> Float[Tensor, "3 h w"]:
    """Blur by a Gaussian, wider with ``k``."""
    sigma = (0.5, 1.0, 1.7, 3.0)[k]
    return blurred(x, sigma, sigma, 0.0).clamp(0, 1)


def compress_jpeg(x: Float[Tensor, "3 h w"], k: int) -> Float[Tensor, "3 h w"]:
    """Compress as JPEG, harder with ``k``."""
    return jpeg(x, (80, 50, 25, 10)[k])


DEGRADATIONS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    blur_by_level,
    reduce_and_enlarge,
    add_noise,
    compress_jpeg,
)
