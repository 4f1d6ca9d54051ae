"""Stage 2 on close windows of held-out synthetic heads, by how fine they are: are micronormals there?

    python tools/build_uhr_looks.py --split test --people 8 --texture 2048 --factors 4 16 --out windows
    python tools/uhr_windows.py --data windows [--gde FILE --hfdr FILE] [--sheet FILE]
    python tools/uhr_windows.py --data TRAINING_WINDOWS --gde FILE --hfdr FILE --scaled FILE

Skin pixels of each window; means over windows with skin on a third of them. Micronormals: correlation of x
and y slopes with the truth's and share of their squares that is explained (a flat map explains 0), of all
slopes and of the finest alone (less a 9x9 mean); PSNR and SSIM against a flat map's. Albedo: PSNR after one
gain a channel in linear light, against the picture freed of SH light. ``--scaled``: L1's median makes slopes
too shallow where they are unsure; writes weights whose slopes are steeper by what least squares over these
windows say (to be training's, never those that are measured).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.batches import cut
from headcast.methods.uhr_texture.light import coarse_of, freed, skin_mean
from headcast.methods.uhr_texture.network import UNITS
from headcast.methods.uhr_texture.weights import Networks, load_networks, stored
from headcast.metrics.ssim import ssim_maps
from headcast.metrics.texture import gained
from headcast.weights import load_tensors, save_tensors
from uhr_measure import correlation, given, psnr, three
from uhr_sheet import steeper

BINS = ((0, 1024), (1024, 1536), (1536, 2560), (2560, 9999))
"""Sides of the whole picture, had it the window's detail."""


def refined_window(whole: Tensor, window: Tensor, place: Tensor, networks: Networks) -> Tensor:
    """Stage 2's maps of a window, and (last three) the window freed of its light."""
    rgb, prior, trust, shading = given(whole, networks.config.side)
    free = freed(rgb, shading)
    guide = networks.gde(rgb, prior, free, skin_mean(free, prior, trust)).clamp(0, 1)
    coarse = cut(coarse_of(rgb, prior, guide, shading), place[None], window.shape[-1])
    found = networks.hfdr(window[None, :3], coarse).clamp(0, 1)
    return torch.cat([found, freed(window[None, :3], coarse[:, 12:])], 1)[0]


def fine(x: Tensor) -> Tensor:
    """Less a 9x9 mean."""
    return x - avg_pool2d(pad(x[None], (4,) * 4, mode="replicate"), 9, 1)[0]


def followed(found: Tensor, truth: Tensor, mask: Tensor) -> list[float]:
    """Correlation and explained share over a mask."""
    left = (truth - found)[:, mask].square().sum() / truth[:, mask].square().sum()
    return [correlation(found, truth, mask), float(1 - left)]


def row_of(found: Tensor, window: Tensor, mask: Tensor) -> list[float]:
    """Figures of one window."""
    truth, m = window[8:15], mask.numpy()
    a, b = (x[3:5] * 2 - 1 for x in (found, truth))
    row = followed(a, b, mask) + followed(fine(a), fine(b), mask)
    flat = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1).expand_as(truth[3:6])
    for x in (found[3:6], flat):
        p, q = three(x), three(truth[3:6])
        row += [psnr(p, q, m), float(ssim_maps(p, q)[0].mean(2)[m].mean())]
    q = srgb_to_linear(three(truth[:3]))
    for x in (found[:3], found[7:]):
        p = np.clip(gained(srgb_to_linear(three(x)), q, m), 0, 1)
        row.append(psnr(linear_to_srgb(p), three(truth[:3]), m))
    return row


def scaled(networks: Networks, gain: float) -> None:
    """Makes all slopes that the HFDR gives so many times as steep."""
    out = networks.hfdr.body.out
    assert out.bias is not None
    half = 0.5 / UNITS[3]
    for channel in (3, 4):
        out.weight[channel] *= gain
        out.bias[channel] = half + gain * (out.bias[channel] - half)


@torch.no_grad()
def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    for name in ("gde", "hfdr"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--scaled", type=Path)
    args = parser.parse_args()
    networks = load_networks(gde=args.gde, hfdr=args.hfdr)
    products = torch.zeros(2)
    rows: dict[tuple[int, int], list[list[float]]] = {}
    sheet: list[np.ndarray] = []
    for file in sorted(args.data.glob("*.safetensors")):
        looks = {k: v.float() for k, v in load_tensors(file)[0].items()}
        shown = False
        for whole, windows, places in zip(looks["whole"], looks["windows"], looks["place"], strict=True):
            for window, place in zip(windows, places, strict=True):
                mask = window[15] > 0.99
                if mask.float().mean() < 1 / 3:
                    continue
                found = refined_window(whole, window, place, networks)
                a, b = ((x[3:5] * 2 - 1)[:, mask] for x in (found, window[8:15]))
                products += torch.stack([(a * b).sum(), a.square().sum()])
                side = window.shape[-1] / float(place[2])
                rows.setdefault(next(b for b in BINS if b[0] <= side < b[1]), []).append(
                    row_of(found, window, mask)
                )
                if len(sheet) < 6 and not shown and side > 1536 and mask.float().mean() > 0.9:
                    shown = True
                    maps = (found[:3], window[8:11], found[3:6], window[11:14])
                    both = [steeper(x) if i > 1 else x for i, x in enumerate(maps)]
                    sheet.append(np.concatenate([three(x) for x in (window[:3], *both)], 1))
    print("| picture's side | windows | correlation | explained | fine: correlation | explained ", end="")
    print("| PSNR | SSIM | flat: PSNR | SSIM | albedo, gained | freed, gained |")
    print("|---" * 12 + "|")
    every = [(f"{a} to {b}", rows[a, b]) for a, b in BINS if (a, b) in rows]
    for name, values in [*every, ("all", [r for _, v in every for r in v])]:
        mean = np.mean(values, 0)
        cells = [f"{v:.2f}" if i in (4, 6, 8, 9) else f"{v:.3f}" for i, v in enumerate(mean)]
        print(f"| {name} | {len(values)} | {' | '.join(cells)} |")
    if args.scaled:
        gain = float(products[0] / products[1])
        scaled(networks, gain)
        save_tensors(
            args.scaled, stored(networks.hfdr, networks.config), {"name": "uhr-hfdr", "licence": "Apache-2.0"}
        )
        print(f"\nslopes {gain:.2f} times as steep: {args.scaled}")
    if args.sheet and sheet:
        shown = np.concatenate(sheet, 0).clip(0, 1) * 255
        cv2.imwrite(str(args.sheet), shown[..., ::-1].astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
