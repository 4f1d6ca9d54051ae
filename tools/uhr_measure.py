"""Skin maps against the truth: ours, stage 1 enlarged, and the picture freed of SH light.

    python tools/uhr_measure.py --data cycles [--gde FILE --hfdr FILE --normal FILE] [--prior truth|network]

Image space, over skin pixels. A table row per method: SSIM (11x11 Gaussian) and PSNR of albedo (sRGB),
micronormal ((n + 1) / 2) and specular, means over the files; of albedo also after one gain a channel in
linear light, which the light leaves open; then how much the mean albedo varies within a head (its lights)
and between heads. The data: ``tools/uhr_cycles.py``, or looks by ``build_uhr_looks.py --split test``.
``truth``: UV and normal at stage 1's size from the renderer, as a perfectly fitted geometry gives them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headcast.image import linear_to_srgb, save_png, srgb_to_linear
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.network import resized
from headcast.methods.uhr_texture.weights import Networks, load_networks
from headcast.metrics.ssim import ssim_maps
from headcast.metrics.texture import gained
from headcast.render.shading import sh_basis
from headcast.weights import load_tensors

PARTS = {"albedo": (0, 3), "micronormal": (3, 6), "specular": (6, 7)}
FLAT = (0.5, 0.5, 1.0, 0.62)


def freed_of_light(maps: Tensor) -> Tensor:
    """The picture divided by harmonics (order 2) fitted to it over its true normals."""
    rgb, mask = srgb_to_linear(maps[:3]), maps[15] > 0.99
    basis = sh_basis(torch.nn.functional.normalize(maps[5:8] * 2 - 1, dim=0).permute(1, 2, 0))
    light = torch.linalg.lstsq(basis[mask], rgb.permute(1, 2, 0)[mask]).solution
    shading = (basis @ light).permute(2, 0, 1)
    mean = shading[:, mask].mean(1)[:, None, None]
    albedo = linear_to_srgb((rgb * mean / shading.clamp(min=0.2 * float(mean.mean()))).clamp(0, 1))
    rest = torch.tensor(FLAT).view(4, 1, 1).expand(4, *albedo.shape[1:])
    return torch.cat([albedo, rest])


def methods(maps: Tensor, networks: Networks, prior: str) -> dict[str, Tensor]:
    """Maps by method."""
    side = networks.config.side
    given = resized(maps[None, 3:8], side, side)[0] if prior == "truth" else None
    n = maps.shape[-1]
    half = resized(resized(maps[None, :3], n // 2, n // 2), n, n)[0]
    constant = torch.tensor(FLAT).view(4, 1, 1).expand(4, n, n)
    return {
        "ours": image_maps(maps[:3], networks, given)[0],
        "stage 1, enlarged": image_maps(maps[:3], networks, given, refine=False)[0],
        "ours at half size, enlarged": image_maps(half, networks, given)[0],
        "picture freed of SH light": freed_of_light(maps),
        "picture as it is": torch.cat([maps[:3], constant]),
    }  # fmt: skip


def three(x: Tensor) -> np.ndarray:
    """Channels last, three of them."""
    return (x if len(x) == 3 else x.expand(3, -1, -1)).permute(1, 2, 0).numpy()


def figures(found: Tensor, truth: Tensor, mask: np.ndarray) -> list[float]:
    """SSIM and PSNR of the three maps, and PSNR of albedo after a gain."""
    row = []
    for a, b in PARTS.values():
        p, q = three(found[a:b]), three(truth[a:b])
        row += [float(ssim_maps(p, q)[0].mean(2)[mask].mean()), psnr(p, q, mask)]
    p, q = srgb_to_linear(three(found[:3])), srgb_to_linear(three(truth[:3]))
    row.append(psnr(linear_to_srgb(np.clip(gained(p, q, mask), 0, 1)), three(truth[:3]), mask))
    return row


def psnr(p: np.ndarray, q: np.ndarray, mask: np.ndarray) -> float:
    """Decibels over a mask."""
    return float(-10 * np.log10(((p - q)[mask] ** 2).mean() + 1e-12))


def main() -> None:
    """Prints the table; writes pictures of the first files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", choices=("truth", "network"), default="truth")
    parser.add_argument("--sheet", type=Path)
    for name in ("gde", "hfdr", "normal"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    networks = load_networks(normal=args.normal, gde=args.gde, hfdr=args.hfdr)
    rows: dict[str, list[list[float]]] = {}
    sheet = []
    spread: dict[str, dict[str, list[np.ndarray]]] = {}
    files = sorted(args.data.glob("*.safetensors"))
    for k, file in enumerate(files):
        tensors = load_tensors(file)[0]
        maps = (tensors["maps"] if "maps" in tensors else tensors["whole"][0]).float()
        mask = (maps[15] > 0.99).numpy()
        found = methods(maps, networks, args.prior)
        for name, x in found.items():
            rows.setdefault(name, []).append(figures(x, maps[8:15], mask))
            mean = three(x[:3])[mask].mean(0)
            spread.setdefault(name, {}).setdefault(file.stem.split("_")[0], []).append(mean)
        spread.setdefault("truth", {}).setdefault(file.stem.split("_")[0], []).append(
            three(maps[8:11])[mask].mean(0)
        )
        if k < 4:
            shown = [maps[:3], *(y for x in (found["ours"], maps[8:15]) for y in (x[:3], x[3:6], x[6:]))]
            sheet.append(np.concatenate([three(resized(y[None], 256, 256)[0]) for y in shown], 1))
    print(f"{len(files)} files, prior: {args.prior}\n")
    heads = ("method", "albedo SSIM", "PSNR", "micronormal SSIM", "PSNR", "specular SSIM", "PSNR")
    print(f"| {' | '.join((*heads, 'albedo PSNR, gained', 'within', 'between'))} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        means = [np.stack(v) for v in spread[name].values()]
        within = float(np.mean([m.std(0).mean() for m in means]))
        between = float(np.stack([m.mean(0) for m in means]).std(0).mean())
        cells = [f"{v:.3f}" if i in (0, 2, 4) else f"{v:.2f}" for i, v in enumerate(np.mean(row, 0))]
        print(f"| {name} | {' | '.join(cells)} | {within:.4f} | {between:.4f} |")
    if args.sheet:
        save_png(args.sheet, (np.concatenate(sheet, 0).clip(0, 1) * 255).astype(np.uint8))


if __name__ == "__main__":
    main()
