"""Stage 2 on close windows of held-out synthetic heads, by how fine they are: are micronormals there?

Data: ``tools/build_uhr_looks.py --split test --people 8 --texture 2048 --factors 4 16``. Figures are over
skin pixels of windows with skin on a third of them: of micronormals correlation of x and y slopes with the
truth's and how much of their squares is explained (a flat map explains 0), of all slopes and of the finest
alone (less a 9x9 mean); albedo after one gain a channel in linear light.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Store
from headcast.methods.uhr_texture.batches import crop_windows
from headcast.methods.uhr_texture.light import coarse_of, delit_image, skin_mean
from headcast.methods.uhr_texture.protocols.skin_images import (
    SKIN,
    NetworkFiles,
    channels_last,
    exaggerate_slopes,
    files_in,
    gained_psnr,
    inputs_of,
    map_psnr,
    networks_asked,
    slope_correlation,
    to_display_image,
    weights_facts,
)
from headcast.methods.uhr_texture.weights import SkinNetworks
from headcast.metrics.figure import Figure
from headcast.metrics.ssim import ssim_maps
from headcast.weights import load_tensors

__all__ = ["Options", "Window", "measure", "refined_window", "windows_in"]

OURS, FLAT, DELIT = "uhr", "flat", "de-lit image"
BINS = ((0, 1024), (1024, 1536), (1536, 2560), (2560, 9999))
"""Sides of the whole image, had it the window's detail, pixels."""
MIN_SKIN = 1 / 3
"""Of a window's pixels, under which it is left out."""
SHOWN, SHOWN_SIDE, SHOWN_SKIN = 6, 1536, 0.9
"""Windows on the sheet, one a file; how fine and how full of skin they are at least."""
MASK = "skin"
FIGURES = (
    Figure(key="correlation", title="correlation of slopes", mask=MASK, span="slopes"),
    Figure(
        key="explained", title="slopes explained", mask=MASK, span="slopes", note="of their squares; flat: 0"
    ),
    Figure(
        key="fine_correlation", title="correlation, finest", mask=MASK, span="slopes", note="less a 9x9 mean"
    ),
    Figure(key="fine_explained", title="explained, finest", mask=MASK, span="slopes", note="less a 9x9 mean"),
    Figure(key="micronormal_psnr", title="micronormal PSNR", unit="dB", mask=MASK, span="0..1"),
    Figure(
        key="micronormal_ssim",
        title="micronormal SSIM",
        mask=MASK,
        span="0..1",
        note="11x11 Gaussian, sigma 1.5",
    ),
    Figure(
        key="albedo_psnr_gained",
        title="albedo PSNR, gained",
        unit="dB",
        mask=MASK,
        note="after one gain a channel in linear light (least squares), which the light leaves open",
    ),
)


@dataclass(frozen=True)
class Options(NetworkFiles):
    """Options of the protocol ``skin-detail``."""


@dataclass(frozen=True)
class Window:
    """A close window.

    Attributes:
        file, name: where it is from, and its own. side: of the whole image, had it the window's detail.
        whole: channels of the whole image. maps: of the window. place: of the window in the whole.
        mask: where it is skin.
    """

    file: str
    name: str
    side: float
    whole: Float[Tensor, "16 h w"]
    maps: Float[Tensor, "16 s s"]
    place: Tensor
    mask: Bool[Tensor, "s s"]


@torch.no_grad()
def measure(setting: Setting) -> Report:
    """Measure stage 2 on every window.

    Raises:
        HeadcastError: no windows, no weights.
    """
    options: Options = setting.options or Options()
    networks = networks_asked(setting, "skin-detail", options)
    store = Store(setting.out, {"protocol": "skin-detail", **option_facts(options)})
    facts = weights_facts(options)
    report = Report(
        protocol="skin-detail", figures={f.key: f for f in FIGURES}, main=tuple(f.key for f in FIGURES)
    )
    windows = list(windows_in(setting.data))
    names = set(setting.chosen([w.name for w in windows]))
    chosen = [w for w in windows if w.name in names]
    shown: set[str] = set()
    for k, w in enumerate(chosen):
        setting.say(k / len(chosen), w.name)
        make = partial(measure_window, w, networks, store)
        for c, row in store.together((OURS, FLAT, DELIT), w.name, make, facts).items():
            report.add(c, w.name, [row])
        fine = w.side > SHOWN_SIDE and float(w.mask.float().mean()) > SHOWN_SKIN
        if fine and len(shown) < SHOWN and w.file not in shown:
            shown.add(w.file)
            report.sheet.append([(f"{w.name} {n}", x) for n, x in store.kept(OURS, w.name).items()])
    groups = {b: [w.name for w in chosen if b[0] <= w.side < b[1]] for b in BINS}
    report.groups = {f"image {a} to {b} px": found for (a, b), found in groups.items() if found}
    return report


def measure_window(w: Window, networks: SkinNetworks, store: Store) -> dict[str, Row]:
    """Measure one window and keep its tiles."""
    found = refined_window(w, networks)
    for name, tile in detail_tiles(found, w).items():
        store.keep(OURS, w.name, name, tile)
    return window_rows(found, w)


def windows_in(folder: Path) -> Iterator[Window]:
    """Read the windows of a folder that show enough skin.

    Raises:
        HeadcastError: there are no files.
    """
    for file in files_in(folder):
        looks = {k: v.float() for k, v in load_tensors(file)[0].items()}
        for n, (whole, windows, places) in enumerate(
            zip(looks["whole"], looks["windows"], looks["place"], strict=True)
        ):
            for k, (maps, place) in enumerate(zip(windows, places, strict=True)):
                mask = maps[15] > SKIN
                side = maps.shape[-1] / float(place[2])
                if mask.float().mean() >= MIN_SKIN:
                    yield Window(
                        file=file.stem,
                        name=f"{file.stem} {n:02d} {k:02d}",
                        side=side,
                        whole=whole,
                        maps=maps,
                        place=place,
                        mask=mask,
                    )


def refined_window(w: Window, networks: SkinNetworks) -> Float[Tensor, "10 s s"]:
    """Make stage 2's maps of a window, and (last three) the window de-lit."""
    rgb, prior, trust, shading = inputs_of(w.whole, networks.config.side)
    delit = delit_image(rgb, shading)
    guide = networks.gde(rgb, prior, delit, skin_mean(delit, prior, trust)).clamp(0, 1)
    coarse = crop_windows(coarse_of(rgb, prior, guide, shading), w.place[None], w.maps.shape[-1])
    found = networks.hfdr(w.maps[None, :3], coarse).clamp(0, 1)
    return torch.cat([found, delit_image(w.maps[None, :3], coarse[:, 12:])], 1)[0]


def finest(x: Float[Tensor, "2 s s"]) -> Float[Tensor, "2 s s"]:
    """Subtract a 9x9 mean."""
    return x - avg_pool2d(pad(x[None], (4,) * 4, mode="replicate"), 9, 1)[0]


def explained_variance(found: Tensor, truth: Tensor, mask: Bool[Tensor, "s s"]) -> float:
    """Return how much of the truth's squares is explained over a mask."""
    return float(1 - (truth - found)[:, mask].square().sum() / truth[:, mask].square().sum())


def window_rows(found: Float[Tensor, "10 s s"], w: Window) -> dict[str, Row]:
    """Compare one window's maps with the truth, and with those of a flat map and of the de-lit image."""
    truth, mask = w.maps[8:15], w.mask
    m = mask.numpy()
    a, b = (x[3:5] * 2 - 1 for x in (found, truth))
    flat = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1).expand_as(truth[3:6])

    def relief(x: Tensor) -> Row:
        p, q = channels_last(x), channels_last(truth[3:6])
        return {
            "micronormal_psnr": map_psnr(p, q, m),
            "micronormal_ssim": float(ssim_maps(p, q)[0].mean(2)[m].mean()),
        }

    ours: Row = {
        "correlation": slope_correlation(a, b, mask),
        "explained": explained_variance(a, b, mask),
        "fine_correlation": slope_correlation(finest(a), finest(b), mask),
        "fine_explained": explained_variance(finest(a), finest(b), mask),
        **relief(found[3:6]),
        "albedo_psnr_gained": gained_psnr(found[:3], truth[:3], m),
    }
    delit: Row = {"albedo_psnr_gained": gained_psnr(found[7:], truth[:3], m)}
    return {OURS: ours, FLAT: relief(flat), DELIT: delit}


def detail_tiles(found: Float[Tensor, "10 s s"], w: Window) -> dict[str, np.ndarray]:
    """Render what the sheet shows of a window."""
    shown = {
        "1 image": w.maps[:3],
        "2 albedo": found[:3],
        "3 true albedo": w.maps[8:11],
        "4 micronormal": exaggerate_slopes(found[3:6]),
        "5 true micronormal": exaggerate_slopes(w.maps[11:14]),
    }
    return {k: to_display_image(x) for k, x in shown.items()}
