"""Figures of skin maps in the image: of one image, of heads in several lights, paired by image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.evaluate.networks import FaceEncoder
from headcast.evaluate.report import Report, Row
from headcast.methods.uhr_texture.protocols.skin_images import (
    PARTS,
    SKIN,
    channels_last,
    gained_psnr,
    map_psnr,
    slope_correlation,
)
from headcast.metrics.figure import Figure
from headcast.metrics.ssim import ssim_maps

__all__ = ["FIGURES", "add_lights", "map_row", "mean_row", "paired_notes"]

MEAN = ("mean_r", "mean_g", "mean_b")
"""Keys of albedo's mean over skin (sRGB, 0..1), which rows keep for figures of lights."""
MASK = "skin"


def _map_figures(part: str) -> tuple[Figure, ...]:
    """Describe how a map is compared with the truth."""
    square = "black off the skin"
    network = "our encoder for measuring, not LPIPS"
    return (
        Figure(key=f"{part}_ssim", title=f"{part} SSIM", mask=MASK, note="11x11 Gaussian, sigma 1.5"),
        Figure(
            key=f"{part}_psnr", title=f"{part} PSNR", unit="dB", mask=MASK, note="maps as floats, not bytes"
        ),
        Figure(
            key=f"{part}_perceptual",
            title=f"{part} perceptual",
            unit="",
            better="low",
            network=network,
            mask=MASK,
            note=square,
        ),
    )


FIGURES = (
    *(f for part in PARTS for f in _map_figures(part)),
    Figure(
        key="albedo_psnr_gained",
        title="albedo PSNR, gained",
        unit="dB",
        mask=MASK,
        note="after one gain a channel in linear light (least squares), which the light leaves open",
    ),
    Figure(
        key="slopes",
        title="slopes follow",
        mask=MASK,
        note="correlation of micronormals' slopes with the truth's",
    ),
    Figure(
        key="distance",
        title="distance to truth",
        unit="",
        better="low",
        mask=MASK,
        note="between mean albedos (sRGB, 0..1)",
    ),
    Figure(
        key="within",
        title="within a head",
        unit="",
        better="low",
        mask=MASK,
        note="spread of mean albedo over its images",
    ),
    Figure(
        key="between",
        title="between heads",
        unit="",
        better="neither",
        mask=MASK,
        note="spread of heads' mean albedos",
    ),
)


def map_row(
    found: Float[Tensor, "7 h w"],
    truth: Float[Tensor, "7 h w"],
    skin: Float[Tensor, "h w"],
    encoder: FaceEncoder | None,
) -> Row:
    """Compare maps with the truth over skin."""
    on = skin > SKIN
    mask: Bool[np.ndarray, "h w"] = on.numpy()
    row: Row = {}
    for part, (a, b) in PARTS.items():
        p, q = channels_last(found[a:b]), channels_last(truth[a:b])
        row[f"{part}_ssim"] = float(ssim_maps(p, q)[0].mean(2)[mask].mean())
        row[f"{part}_psnr"] = map_psnr(p, q, mask)
        if encoder is not None:
            pair = [(x[a:b].expand(3, -1, -1) * on)[None] * 2 - 1 for x in (found, truth)]
            row[f"{part}_perceptual"] = float(encoder.distance(*pair))
    row["albedo_psnr_gained"] = gained_psnr(found[:3], truth[:3], mask)
    row["slopes"] = slope_correlation(found[3:5], truth[3:5], on)
    return row | mean_row(found, skin)


def mean_row(found: Float[Tensor, "7 h w"], skin: Float[Tensor, "h w"]) -> Row:
    """Average albedo over skin."""
    mean = channels_last(found[:3])[(skin > SKIN).numpy()].mean(0)
    return dict(zip(MEAN, mean.tolist(), strict=True))


def add_lights(report: Report, heads: dict[str, str], true: str) -> None:
    """Add how mean albedo lies to the truth's, varies within a head and between heads."""
    means = {
        who: {item: np.array([rows[0][k] for k in MEAN]) for item, rows in found.items()}
        for who, found in report.rows.items()
    }
    items = {h: [i for i in heads if heads[i] == h] for h in dict.fromkeys(heads.values())}
    for who, mean in means.items():
        by_head, truth = (
            [np.stack([x[i] for i in of]) for of in items.values()] for x in (mean, means[true])
        )
        far = [np.linalg.norm(x - y, axis=1).mean() for x, y in zip(by_head, truth, strict=True)]
        n = len(by_head)
        report.sets[who] = {
            "distance": (float(np.mean(far)), n),
            "within": (float(np.mean([x.std(0).mean() for x in by_head])), n),
            "between": (float(np.stack([x.mean(0) for x in by_head]).std(0).mean()), n),
        }


def paired_notes(report: Report, ours: str, others: Sequence[str]) -> list[str]:
    """Describe by how much albedo is nearer to the truth than others', paired by image."""
    notes = []
    for other in others:
        for word, key in (("", "albedo_psnr"), (", gained", "albedo_psnr_gained")):
            pairs = [(report.rows[ours][i][0][key], report.rows[other][i][0][key]) for i in report.rows[ours]]
            d = np.array([a - b for a, b in pairs])
            error, won = d.std() / len(d) ** 0.5, float(np.mean(d > 0))
            notes.append(
                f"albedo PSNR{word}, {ours} less {other}: {d.mean():.2f} ± {error:.2f} dB, {won:.0%} better"
            )
    return notes
