"""Skin maps in the image against the truth, over skin pixels: both stages, the first alone, half the size.

The baselines divide the image by the light of spherical harmonics (de-lit), and bring that to the level that
the networks begin with (calibrated). Data: files of ``tools/uhr_cycles.py``, or looks of
``tools/build_uhr_looks.py --split test``. Of heads in several lights the table says how far albedo's mean
lies from the truth's, how much it varies within a head, and between heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.evaluate.networks import Encoder
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.skin_images import (
    PARTS,
    SKIN,
    NetworkFiles,
    SkinImage,
    channels_last,
    gained_psnr,
    inputs_of,
    map_psnr,
    networks_asked,
    read_skin_images,
    relit,
    slope_correlation,
    steeper,
    to_bytes,
    weights_facts,
)
from headcast.evaluate.skin_seams import seam_figures, seam_ratios, seam_sums
from headcast.evaluate.store import Store
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.light import freed, levelled, skin_mean
from headcast.methods.uhr_texture.network import GDE, resized
from headcast.methods.uhr_texture.weights import Networks, load_network
from headcast.metrics.figure import Figure
from headcast.metrics.ssim import ssim_maps

__all__ = ["Options", "measure"]

OURS, STAGE1, HALF = "uhr", "uhr stage 1, enlarged", "uhr at half size, enlarged"
DELIT, CALIBRATED, INPUT = "de-lit image", "de-lit and calibrated image", "image as it is"
TRUE, SEAMS, SHEET = "truth", "seams", "sheet"
TILES = ("image", "de-lit", *(f"{w}-{m}" for w in (OURS, TRUE) for m in (*PARTS, "relit")))
MAIN = ("albedo_ssim", "albedo_psnr", "albedo_psnr_gained", "micronormal_psnr", "slopes", "specular_psnr")
FLAT = (0.5, 0.5, 1.0, 0.58)
"""Micronormals and specular of methods that have none: flat, and the mean of synthetic skin."""
MOST = 24
"""Images where no limit is given."""
SHOWN, SIDE = 6, 200
"""Heads on the sheet, and pixels a side of their tiles."""
MEAN = ("mean_r", "mean_g", "mean_b")
"""Keys of albedo's mean over skin (sRGB, 0..1), which rows keep for figures of lights."""
MASK = "skin"


def _map_figures(part: str) -> tuple[Figure, ...]:
    """Describe how a map is compared with the truth."""
    square = "black off the skin"
    network = "our encoder for measuring, not LPIPS"
    return (
        Figure(f"{part}_ssim", f"{part} SSIM", mask=MASK, note="11x11 Gaussian, sigma 1.5"),
        Figure(f"{part}_psnr", f"{part} PSNR", "dB", mask=MASK, note="maps as floats, not bytes"),
        Figure(f"{part}_perceptual", f"{part} perceptual", "", "low", network, mask=MASK, note=square),
    )


FIGURES = (
    *(f for part in PARTS for f in _map_figures(part)),
    Figure(
        "albedo_psnr_gained",
        "albedo PSNR, gained",
        "dB",
        mask=MASK,
        note="after one gain a channel in linear light (least squares), which the light leaves open",
    ),
    Figure("slopes", "slopes follow", mask=MASK, note="correlation of micronormals' slopes with the truth's"),
    Figure("distance", "distance to truth", "", "low", mask=MASK, note="between mean albedos (sRGB, 0..1)"),
    Figure("within", "within a head", "", "low", mask=MASK, note="spread of mean albedo over its images"),
    Figure("between", "between heads", "", "neither", mask=MASK, note="spread of heads' mean albedos"),
)


@dataclass(frozen=True)
class Options(NetworkFiles):
    """Skin maps."""

    prior: Literal["truth", "network"] = "truth"
    """UV and normals: those of the renderer, as a perfectly fitted geometry gives them, or predicted."""
    compare: tuple[str, ...] = ()
    """NAME=FILE: stage 1 alone by other weights."""
    seams: int = 0
    """Also gradients and fine energy at the borders of patches of so many pixels; 0: not."""
    resize: int = 0
    """Images and truth are resized to so many pixels a side; 0: as they are."""


def measure(setting: Setting) -> Report:
    """Measure both stages and the baselines on every image.

    Raises:
        HeadcastError: no images, no weights, wrong options.
    """
    options: Options = setting.options or Options()
    bench = Bench(
        networks_asked(setting, "skin-maps", options),
        dict(stage1_of(x) for x in options.compare),
        options,
        setting.networks.encoder[0] if setting.networks.encoder is not None else None,
        Store(setting.out, {"protocol": "skin-maps", **setting.facts(), **option_facts(options)}),
    )
    facts = weights_facts(options)
    figures = [*FIGURES, *(seam_figures(options.seams) if options.seams else [])]
    report = Report("skin-maps", {f.key: f for f in figures}, main=MAIN)
    heads: dict[str, str] = {}
    count = setting.limit or MOST
    for k, image in enumerate(read_skin_images(setting.data, count)):
        if setting.only and image.name not in setting.only:
            continue
        setting.say(min(k / count, 0.99), image.name)
        new = image.head not in heads.values()
        heads[image.name] = image.head
        rows = bench.store.together(bench.columns, image.name, partial(bench.rows, image), facts)
        for column, row in rows.items():
            report.add(column, image.name, [row])
        if new and len(report.sheet) < SHOWN:
            kept = bench.store.kept(SHEET, image.name)
            report.sheet.append([(f"{image.name} {name}", kept[name]) for name in TILES if name in kept])
    add_lights(report, heads)
    if options.seams:
        add_seams(report)
    report.notes += [f"UV and normals: {options.prior}", *paired_notes(report)]
    return report


def stage1_of(text: str) -> tuple[str, GDE]:
    """Read ``NAME=FILE``.

    Raises:
        HeadcastError: it is not of this form, or no such weights.
    """
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise HeadcastError(f"--compare {text}: give NAME=FILE")
    gde = load_network("gde", file)
    assert isinstance(gde, GDE)
    return name, gde


@dataclass(frozen=True)
class Bench:
    """Networks, options and store of a run.

    Attributes:
        others: stage 1 by other weights. encoder: for perceptual distances, None without them.
    """

    networks: Networks
    others: dict[str, GDE]
    options: Options
    encoder: Encoder | None
    store: Store

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all rows of an image."""
        shown = (OURS, STAGE1, HALF, *self.others, DELIT, CALIBRATED, INPUT, TRUE)
        return (*shown, SEAMS) if self.options.seams else shown

    @torch.no_grad()
    def rows(self, image: SkinImage) -> dict[str, Row]:
        """Measure an image by every method."""
        side = self.options.resize
        maps = resized(image.maps[None], side, side)[0] if side else image.maps
        found = self.methods(maps)
        truth, skin = maps[8:15], maps[15]
        rows = {c: map_row(x, truth, skin, self.encoder) for c, x in found.items()}
        rows[TRUE] = mean_row(truth, skin)
        if self.options.seams:
            rows[SEAMS] = seam_sums(maps, self.networks, self.options.seams)
        for name, tile in tiles(maps, found).items():
            self.store.keep(SHEET, image.name, name, tile)
        return rows

    def methods(self, maps: Float[Tensor, "16 h w"]) -> dict[str, Float[Tensor, "7 h w"]]:
        """Make maps of an image by every method."""
        networks, n = self.networks, maps.shape[-1]
        side = networks.config.side
        known = resized(maps[None, 3:8], side, side)[0] if self.options.prior == "truth" else None
        trust = (maps[15] > SKIN).float()
        half = resized(resized(maps[None, :3], n // 2, n // 2), n, n)[0]
        rest = torch.tensor(FLAT).view(4, 1, 1).expand(4, n, n)
        rgb, _, _, shading = inputs_of(maps, n)
        delit = freed(rgb, shading)
        mean, level = skin_mean(delit, maps[None, 3:8], trust[None, None]), networks.gde.level
        assert isinstance(level, Tensor)
        return {
            OURS: image_maps(maps[:3], networks, known, trust=trust)[0],
            STAGE1: image_maps(maps[:3], networks, known, refine=False, trust=trust)[0],
            HALF: image_maps(half, networks, known, trust=trust)[0],
            **{name: by_stage1(maps, gde) for name, gde in self.others.items()},
            DELIT: torch.cat([delit[0], rest]),
            CALIBRATED: torch.cat([levelled(delit, mean, level).clamp(0, 1)[0], rest]),
            INPUT: torch.cat([maps[:3], rest]),
        }


def by_stage1(maps: Float[Tensor, "16 h w"], gde: GDE) -> Float[Tensor, "7 h w"]:
    """Make maps by stage 1 alone, enlarged."""
    n = maps.shape[-1]
    rgb, prior, trust, shading = inputs_of(maps, gde.config.side)  # type: ignore[attr-defined]
    delit = freed(rgb, shading)
    return resized(gde(rgb, prior, delit, skin_mean(delit, prior, trust)).clamp(0, 1), n, n)[0]


def map_row(
    found: Float[Tensor, "7 h w"],
    truth: Float[Tensor, "7 h w"],
    skin: Float[Tensor, "h w"],
    encoder: Encoder | None,
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


def tiles(maps: Float[Tensor, "16 h w"], found: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Render what the sheet shows of an image; maps are black off the skin."""
    shown = {"image": maps[:3], "de-lit": found[DELIT][:3]}
    for who, x in ((OURS, found[OURS]), (TRUE, maps[8:15])):
        each = (x[:3], steeper(x[3:6]), x[6:].expand(3, -1, -1), relit(x, maps[5:8]))
        shown |= {f"{who}-{n}": y * (maps[15:] > SKIN) for n, y in zip((*PARTS, "relit"), each, strict=True)}
    return {k: to_bytes(resized(x[None], SIDE, SIDE)[0]) for k, x in shown.items()}


def add_lights(report: Report, heads: dict[str, str]) -> None:
    """Add how mean albedo lies to the truth's, varies within a head and between heads."""
    means = {
        who: {item: np.array([rows[0][k] for k in MEAN]) for item, rows in found.items()}
        for who, found in report.rows.items()
        if who != SEAMS
    }
    for who, of_item in means.items():
        by_head = [
            np.stack([of_item[i] for i in of_item if heads[i] == h]) for h in dict.fromkeys(heads.values())
        ]
        true = [
            np.stack([means[TRUE][i] for i in of_item if heads[i] == h])
            for h in dict.fromkeys(heads.values())
        ]
        far = [np.linalg.norm(x - y, axis=1).mean() for x, y in zip(by_head, true, strict=True)]
        n = len(by_head)
        report.sets[who] = {
            "distance": (float(np.mean(far)), n),
            "within": (float(np.mean([x.std(0).mean() for x in by_head])), n),
            "between": (float(np.stack([x.mean(0) for x in by_head]).std(0).mean()), n),
        }


def add_seams(report: Report) -> None:
    """Add what stands at the borders of patches over what stands elsewhere."""
    found = report.rows.pop(SEAMS)
    report.sets[SEAMS] = {k: (v, len(found)) for k, v in seam_ratios([r[0] for r in found.values()]).items()}


def paired_notes(report: Report) -> list[str]:
    """Say by how much albedo is nearer to the truth than the baselines', image by image."""
    notes = []
    for other in (DELIT, CALIBRATED):
        for word, key in (("", "albedo_psnr"), (", gained", "albedo_psnr_gained")):
            pairs = [(report.rows[OURS][i][0][key], report.rows[other][i][0][key]) for i in report.rows[OURS]]
            d = np.array([a - b for a, b in pairs])
            error, won = d.std() / len(d) ** 0.5, float(np.mean(d > 0))
            notes.append(
                f"albedo PSNR{word}, {OURS} less {other}: {d.mean():.2f} ± {error:.2f} dB, {won:.0%} better"
            )
    return notes
