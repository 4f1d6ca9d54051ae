"""Skin maps in the image against the truth, over skin pixels: both stages, the first alone, half the size.

The baselines divide the image by the light of spherical harmonics (de-lit), bring that to the level that the
networks begin with (calibrated), and run both stages as they are before training. Data: files of
``tools/uhr_cycles.py``, or looks of ``tools/build_uhr_looks.py --split test``. Of heads in several lights the
table says how far albedo's mean lies from the truth's, how much it varies within a head, and between heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.evaluate.networks import FaceEncoder
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Store
from headcast.head.model import HeadModel
from headcast.image import LoadedImage
from headcast.methods.uhr_texture.geometry import fitted_geometry, geometry_prior
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.light import calibrate_albedo, delit_image, skin_mean
from headcast.methods.uhr_texture.network import GDE, resize_maps
from headcast.methods.uhr_texture.protocols.skin_images import (
    PARTS,
    SKIN,
    NetworkFiles,
    SkinImage,
    exaggerate_slopes,
    inputs_of,
    networks_asked,
    read_skin_images,
    relight_maps,
    to_display_image,
    weights_facts,
)
from headcast.methods.uhr_texture.protocols.skin_rows import (
    FIGURES,
    add_lights,
    map_row,
    mean_row,
    paired_notes,
)
from headcast.methods.uhr_texture.protocols.skin_seams import seam_figures, seam_ratios, seam_sums
from headcast.methods.uhr_texture.weights import SkinNetworks, load_network, untrained_networks
from headcast.observe.observe import observe_photo

__all__ = ["Options", "measure"]

OURS, STAGE1, HALF = "uhr", "uhr stage 1, enlarged", "uhr at half size, enlarged"
DELIT, CALIBRATED, INPUT = "de-lit image", "de-lit and calibrated image", "image as it is"
UNTRAINED = "uhr before training"
TRUE, SEAMS, SHEET = "truth", "seams", "sheet"
TILES = ("image", "de-lit", *(f"{w}-{m}" for w in (OURS, TRUE) for m in (*PARTS, "relit")))
MAIN = ("albedo_ssim", "albedo_psnr", "albedo_psnr_gained", "micronormal_psnr", "slopes", "specular_psnr")
FLAT = (0.5, 0.5, 1.0, 0.58)
"""Micronormals and specular of methods that have none: flat, and the mean of synthetic skin."""
MOST = 24
"""Images where no limit is given."""
SHOWN, SIDE = 6, 200
"""Heads on the sheet, and pixels a side of their tiles."""


@dataclass(frozen=True)
class Options(NetworkFiles):
    """Options of the protocol ``skin-maps``."""

    prior: Literal["truth", "fitted", "network"] = "truth"
    """UV and normals: those of the renderer, of a head fitted to the image (what headcast texture does), or
    predicted."""
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
    bench = SkinMapRun(
        networks=networks_asked(setting, "skin-maps", options),
        others=dict(stage1_of(x) for x in options.compare),
        options=options,
        encoder=setting.networks.encoder[0] if setting.networks.encoder is not None else None,
        store=Store(setting.out, {"protocol": "skin-maps", **setting.facts(), **option_facts(options)}),
    )
    facts = weights_facts(options)
    figures = [*FIGURES, *(seam_figures(options.seams) if options.seams else [])]
    report = Report(protocol="skin-maps", figures={f.key: f for f in figures}, main=MAIN)
    heads: dict[str, str] = {}
    count = setting.limit or MOST
    for k, image in enumerate(read_skin_images(setting.data, count)):
        if setting.only and image.name not in setting.only:
            continue
        setting.say(min(k / count, 0.99), image.name)
        new = image.head not in heads.values()
        try:
            rows = bench.store.together(bench.columns, image.name, partial(bench.rows, image), facts)
        except HeadcastError as e:
            report.skipped[image.name] = str(e)
            continue
        heads[image.name] = image.head
        for column, row in rows.items():
            report.add(column, image.name, [row])
        if new and len(report.sheet) < SHOWN:
            kept = bench.store.kept(SHEET, image.name)
            report.sheet.append([(f"{image.name} {name}", kept[name]) for name in TILES if name in kept])
    if options.seams:
        add_seams(report)
    add_lights(report, heads, TRUE)
    report.notes += [
        f"UV and normals: {options.prior}",
        *paired_notes(report, OURS, (UNTRAINED, DELIT, CALIBRATED)),
    ]
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
class SkinMapRun:
    """Networks, options and store of a run.

    Attributes:
        others: stage 1 by other weights. encoder: for perceptual distances, None without them.
    """

    networks: SkinNetworks
    others: dict[str, GDE]
    options: Options
    encoder: FaceEncoder | None
    store: Store

    @property
    def columns(self) -> tuple[str, ...]:
        """Name all rows of an image."""
        shown = (OURS, STAGE1, HALF, UNTRAINED, *self.others, DELIT, CALIBRATED, INPUT, TRUE)
        return (*shown, SEAMS) if self.options.seams else shown

    @torch.no_grad()
    def rows(self, image: SkinImage) -> dict[str, Row]:
        """Measure an image by every method."""
        side = self.options.resize
        maps = resize_maps(image.maps[None], side, side)[0] if side else image.maps
        found = self.methods(maps)
        truth, skin = maps[8:15], maps[15]
        rows = {c: map_row(x, truth, skin, self.encoder) for c, x in found.items()}
        rows[TRUE] = mean_row(truth, skin)
        if self.options.seams:
            rows[SEAMS] = seam_sums(maps, self.networks, self.options.seams)
        for name, tile in map_tiles(maps, found).items():
            self.store.keep(SHEET, image.name, name, tile)
        return rows

    def methods(self, maps: Float[Tensor, "16 h w"]) -> dict[str, Float[Tensor, "7 h w"]]:
        """Make maps of an image by every method."""
        networks, n = self.networks, maps.shape[-1]
        side = networks.config.side
        known = None
        if self.options.prior == "truth":
            known = resize_maps(maps[None, 3:8], side, side)[0]
        elif self.options.prior == "fitted":
            known = fitted_prior(maps[:3], side)
        trust = (maps[15] > SKIN).float()
        half = resize_maps(resize_maps(maps[None, :3], n // 2, n // 2), n, n)[0]
        rest = torch.tensor(FLAT).view(4, 1, 1).expand(4, n, n)
        rgb, _, _, shading = inputs_of(maps, n)
        delit = delit_image(rgb, shading)
        mean, level = skin_mean(delit, maps[None, 3:8], trust[None, None]), networks.gde.level
        assert isinstance(level, Tensor)
        return {
            OURS: image_maps(maps[:3], networks, known, trust=trust)[0],
            STAGE1: image_maps(maps[:3], networks, known, refine=False, trust=trust)[0],
            HALF: image_maps(half, networks, known, trust=trust)[0],
            UNTRAINED: image_maps(maps[:3], untrained_networks(networks), known, trust=trust)[0],
            **{name: by_stage1(maps, gde) for name, gde in self.others.items()},
            DELIT: torch.cat([delit[0], rest]),
            CALIBRATED: torch.cat([calibrate_albedo(delit, mean, level).clamp(0, 1)[0], rest]),
            INPUT: torch.cat([maps[:3], rest]),
        }


def fitted_prior(rgb: Float[Tensor, "3 n n"], side: int) -> Float[Tensor, "5 s s"]:
    """Fit the head to an image and render its UV and normals.

    Raises:
        HeadcastError: no face is found.
    """
    pixels = (rgb * 255).round().byte().permute(1, 2, 0).numpy()
    head = HeadModel.load()
    seen = observe_photo(LoadedImage(rgb=pixels, alpha=None, name="image"), head)
    return geometry_prior(fitted_geometry(head, seen.params, seen.camera), seen.camera, side)


def by_stage1(maps: Float[Tensor, "16 h w"], gde: GDE) -> Float[Tensor, "7 h w"]:
    """Make maps by stage 1 alone, enlarged."""
    n = maps.shape[-1]
    rgb, prior, trust, shading = inputs_of(maps, gde.config.side)  # type: ignore[attr-defined]
    delit = delit_image(rgb, shading)
    return resize_maps(gde(rgb, prior, delit, skin_mean(delit, prior, trust)).clamp(0, 1), n, n)[0]


def map_tiles(maps: Float[Tensor, "16 h w"], found: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Render what the sheet shows of an image; maps are black off the skin."""
    shown = {"image": maps[:3], "de-lit": found[DELIT][:3]}
    for who, x in ((OURS, found[OURS]), (TRUE, maps[8:15])):
        each = (x[:3], exaggerate_slopes(x[3:6]), x[6:].expand(3, -1, -1), relight_maps(x, maps[5:8]))
        shown |= {f"{who}-{n}": y * (maps[15:] > SKIN) for n, y in zip((*PARTS, "relit"), each, strict=True)}
    return {k: to_display_image(resize_maps(x[None], SIDE, SIDE)[0]) for k, x in shown.items()}


def add_seams(report: Report) -> None:
    """Add what stands at the borders of patches over what stands elsewhere."""
    found = report.rows.pop(SEAMS)
    report.sets[SEAMS] = {k: (v, len(found)) for k, v in seam_ratios([r[0] for r in found.values()]).items()}
