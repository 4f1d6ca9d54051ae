"""Skin maps against the truth: ours, stage 1 enlarged, half the size, and the picture freed of SH light.

    python tools/uhr_measure.py --data cycles [--gde FILE --hfdr FILE --normal FILE] [--prior truth|network]
        [--compare NAME=GDE_FILE ...] [--seams 128] [--size 256] [--most 24] [--sheet FILE]
        [--quick]

Image space, over skin pixels; means over pictures. SSIM (11x11 Gaussian), PSNR and a perceptual distance (the
bundled encoder for measuring, not LPIPS) of albedo (sRGB), micronormal ((n + 1) / 2) and specular; PSNR of
albedo also after one gain a channel in linear light, which the light leaves open; correlation of
micronormals' slopes with the truth's. Then, of heads seen in
several lights, how far albedo's mean lies from the truth's, how much it varies within a head and between
heads. ``--compare``: stage 1 of other weights alone. ``--seams``: gradients and fine energy at the borders of
patches of so many pixels, over those elsewhere, with patches over without; the same between borders is the
noise floor. Data: ``tools/uhr_cycles.py``, or looks by ``build_uhr_looks.py --split test``. ``truth``: UV and
normal at stage 1's size from the renderer, as a perfectly fitted geometry gives them. ``--quick``: without
the perceptual distance.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.light import coarse_of, freed, levelled, shading_of, skin_mean
from headcast.methods.uhr_texture.network import GDE, resized
from headcast.methods.uhr_texture.patches import refined
from headcast.methods.uhr_texture.weights import Networks, load_network, load_networks
from headcast.metrics.ssim import ssim_maps
from headcast.metrics.texture import gained
from headcast.priors.encoder import load
from headcast.weights import load_tensors
from uhr_sheet import relit, steeper

PARTS = {"albedo": (0, 3), "micronormal": (3, 6), "specular": (6, 7)}
FLAT = (0.5, 0.5, 1.0, 0.58)
"""Micronormals and specular of methods that have none: flat, and the mean of synthetic skin."""


def pictures(folder: Path, most: int) -> Iterator[tuple[str, Tensor]]:
    """Head and 16 channels of each picture; of a file with many, as many as leave room for other files."""
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        tensors = load_tensors(file)[0]
        several = tensors["maps"][None] if "maps" in tensors else tensors["whole"]
        for maps in several[: max(1, most // len(files))].float():
            yield (file.stem.split("_light")[0], maps)


def given(maps: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Picture, prior, trust and shading at a size."""
    small = resized(maps[None], side, side)
    trust = (small[:, 15:] > 0.99).float()
    return small[:, :3], small[:, 3:8], trust, shading_of(small[:, :3], small[:, 3:8], trust)


def stage1(maps: Tensor, gde: GDE) -> Tensor:
    """A GDE alone, enlarged."""
    n = maps.shape[-1]
    rgb, prior, trust, shading = given(maps, gde.config.side)  # type: ignore[attr-defined]
    free = freed(rgb, shading)
    return resized(gde(rgb, prior, free, skin_mean(free, prior, trust)).clamp(0, 1), n, n)[0]


def methods(maps: Tensor, networks: Networks, prior: str, compared: dict[str, GDE]) -> dict[str, Tensor]:
    """Maps by method."""
    side, n = networks.config.side, maps.shape[-1]
    known = resized(maps[None, 3:8], side, side)[0] if prior == "truth" else None
    trust = (maps[15] > 0.99).float()
    half = resized(resized(maps[None, :3], n // 2, n // 2), n, n)[0]
    rest = torch.tensor(FLAT).view(4, 1, 1).expand(4, n, n)
    rgb, _, _, shading = given(maps, n)
    free = freed(rgb, shading)
    mean, level = skin_mean(free, maps[None, 3:8], trust[None, None]), networks.gde.level
    assert isinstance(level, Tensor)
    return {
        "ours": image_maps(maps[:3], networks, known, trust=trust)[0],
        "stage 1, enlarged": image_maps(maps[:3], networks, known, refine=False, trust=trust)[0],
        "ours at half size, enlarged": image_maps(half, networks, known, trust=trust)[0],
        **{name: stage1(maps, gde) for name, gde in compared.items()},
        "picture freed of SH light": torch.cat([free[0], rest]),
        "freed and levelled": torch.cat([levelled(free, mean, level).clamp(0, 1)[0], rest]),
        "picture as it is": torch.cat([maps[:3], rest]),
    }  # fmt: skip


def three(x: Tensor) -> np.ndarray:
    """Channels last, three of them."""
    return (x if len(x) == 3 else x.expand(3, -1, -1)).permute(1, 2, 0).numpy()


def psnr(p: np.ndarray, q: np.ndarray, mask: np.ndarray) -> float:
    """Decibels over a mask."""
    return float(-10 * np.log10(((p - q)[mask] ** 2).mean() + 1e-12))


class Meter:
    """Figures of one picture's maps."""

    def __init__(self, perceptual: bool) -> None:
        self.encoder = load("evaluator") if perceptual else None

    def __call__(self, found: Tensor, truth: Tensor, skin: Tensor) -> list[float]:
        """SSIM, PSNR, perceptual distance of the three maps, and PSNR of albedo after a gain."""
        row, mask = [], (skin > 0.99).numpy()
        for a, b in PARTS.values():
            p, q = three(found[a:b]), three(truth[a:b])
            pair = [(x[a:b].expand(3, -1, -1) * (skin > 0.99))[None] * 2 - 1 for x in (found, truth)]
            far = float(self.encoder.distance(*pair)) if self.encoder else float("nan")
            row += [float(ssim_maps(p, q)[0].mean(2)[mask].mean()), psnr(p, q, mask), far]
        p, q = srgb_to_linear(three(found[:3])), srgb_to_linear(three(truth[:3]))
        level = linear_to_srgb(np.clip(gained(p, q, mask), 0, 1))
        return [*row, psnr(level, three(truth[:3]), mask), correlation(found[3:5], truth[3:5], skin > 0.99)]


def correlation(a: Tensor, b: Tensor, mask: Tensor) -> float:
    """Of slopes over a mask; 0 of flat ones."""
    a, b = (x[:, mask] - x[:, mask].mean(1, keepdim=True) for x in (a, b))
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt().clamp(min=1e-9))


def borders(maps: Tensor, networks: Networks, patch: int) -> Tensor:
    """(3 maps, border or between, gradient or fine energy, with patches or without, sum and count)."""
    n, side = maps.shape[-1], networks.config.side
    rgb, prior, trust, shading = given(maps, side)
    free = freed(rgb, shading)
    guide = networks.gde(rgb, prior, free, skin_mean(free, prior, trust)).clamp(0, 1)
    coarse = coarse_of(rgb, prior, guide, shading)[0]
    whole = refined(networks.hfdr, maps[:3], coarse, n)
    cut = refined(networks.hfdr, maps[:3], coarse, patch)
    out = torch.zeros(3, 3, 2, 2, 2)
    for turned in (False, True):
        w, c, m = (x.transpose(1, 2) if turned else x for x in (whole, cut, maps[15:] > 0.99))
        both = m[0, 1:] & m[0, :-1]
        inner = both[1:] & both[:-1]
        for k, x in ((0, c), (1, w)):
            step, fine = (x[:, 1:] - x[:, :-1]).abs(), (2 * x[:, 1:-1] - x[:, 2:] - x[:, :-2]).abs()
            for seam in range(patch, n, patch):
                for i, (a, b) in enumerate(PARTS.values()):
                    for where, at in ((0, seam), (1, seam + patch // 2)):
                        if at + 8 < n:
                            add(out[i, where, 0, k], step[a:b, at - 1 : at], both[at - 1 : at])
                            add(out[i, where, 1, k], fine[a:b, at - 8 : at + 6], inner[at - 8 : at + 6])
            for i, (a, b) in enumerate(PARTS.values()):
                add(out[i, 2, 0, k], step[a:b], both)
                add(out[i, 2, 1, k], fine[a:b], inner)
    return out


def add(to: Tensor, x: Tensor, mask: Tensor) -> None:
    """Sum and count over a mask."""
    to += torch.stack([(x.mean(0) * mask).sum(), mask.sum()])


def print_borders(total: Tensor, patch: int) -> None:
    """The table of seams."""
    mean = total[..., 0] / total[..., 1].clamp(min=1)
    ratio = mean[:, :2] / mean[:, 2:]  # map, border or between, gradient or fine, with or without
    print(f"\nborders of patches of {patch}, over elsewhere; with patches / without\n")
    print("| map | gradient at borders | between (floor) | fine energy at borders | between (floor) |")
    print("|---|---|---|---|---|")
    for name, r in zip(PARTS, ratio, strict=True):
        cells = [f"{r[w, e, 0] / r[w, e, 1]:.3f}" for e in (0, 1) for w in (0, 1)]
        print(f"| {name} | {' | '.join(cells)} |")


def print_lights(means: dict[str, dict[str, list[np.ndarray]]]) -> None:
    """The table of lights."""
    truth = means["truth"]
    print("\n| method | distance to truth | within a head | between heads |\n|---|---|---|---|")
    for name, heads in means.items():
        x = {h: np.stack(v) for h, v in heads.items()}
        far = np.mean([np.linalg.norm(x[h] - np.stack(truth[h]), axis=1).mean() for h in x])
        within = np.mean([v.std(0).mean() for v in x.values()])
        between = np.stack([v.mean(0) for v in x.values()]).std(0).mean()
        print(f"| {name} | {far:.4f} | {within:.4f} | {between:.4f} |")


@torch.no_grad()
def main() -> None:
    """Prints the tables; writes pictures of the first heads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prior", choices=("truth", "network"), default="truth")
    parser.add_argument("--compare", nargs="*", default=[])
    parser.add_argument("--seams", type=int, default=0)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--most", type=int, default=24)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--quick", action="store_true")
    for name in ("gde", "hfdr", "normal"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    networks = load_networks(normal=args.normal, gde=args.gde, hfdr=args.hfdr)
    others = dict(x.split("=", 1) for x in args.compare)
    compared = {name: load_network("gde", file) for name, file in others.items()}
    meter, rows, sheet = Meter(not args.quick), {}, []
    means: dict[str, dict[str, list[np.ndarray]]] = {}
    seams, maps = torch.zeros(3, 3, 2, 2, 2), torch.zeros(0)
    for head, maps in pictures(args.data, args.most):
        if args.size:
            maps = resized(maps[None], args.size, args.size)[0]
        truth, mask = maps[8:15], (maps[15] > 0.99).numpy()
        found = methods(maps, networks, args.prior, compared)  # type: ignore[arg-type]
        for name, x in found.items():
            rows.setdefault(name, []).append(meter(x, truth, maps[15]))
        for name, x in (*found.items(), ("truth", truth)):
            means.setdefault(name, {}).setdefault(head, []).append(three(x[:3])[mask].mean(0))
        if args.seams:
            seams += borders(maps, networks, args.seams)
        if len(sheet) < len(means["truth"]) <= 6:
            free = found["picture freed of SH light"][:3]
            shown = [maps[:3], free]
            for x in (found["ours"], truth):
                shown += [x[:3], steeper(x[3:6]), x[6:].expand(3, -1, -1), relit(x, maps[5:8])]
            shown[2:] = [y * (maps[15:] > 0.99) for y in shown[2:]]
            sheet.append(np.concatenate([three(resized(y[None], 200, 200)[0]) for y in shown], 1))
    first = next(iter(rows.values()))
    print(f"{len(first)} pictures of {len(means['truth'])} heads, {maps.shape[-1]}², prior: {args.prior}\n")
    names = [f"{m} {f}" for m in PARTS for f in ("SSIM", "PSNR", "perceptual")]
    print(f"| {' | '.join(('method', *names, 'albedo PSNR, gained', 'slopes follow'))} |")
    print("|---" * 12 + "|")
    for name, row in rows.items():
        cells = [f"{v:.2f}" if i % 3 == 1 or i == 9 else f"{v:.3f}" for i, v in enumerate(np.mean(row, 0))]
        print(f"| {name} | {' | '.join(cells)} |")
    print()
    for other in ("picture freed of SH light", "freed and levelled"):
        for word, column in (("", 1), (", gained", 9)):
            paired = np.array(rows["ours"])[:, column] - np.array(rows[other])[:, column]
            error, won = paired.std() / max(1, len(paired)) ** 0.5, np.mean(paired > 0)
            what = f"albedo PSNR{word}, ours less {other}"
            print(f"{what}: {paired.mean():.2f} +- {error:.2f} dB, {won:.0%} better")
    print_lights(means)
    if args.seams:
        print_borders(seams, args.seams)
    if args.sheet:
        shown = np.concatenate(sheet, 0).clip(0, 1) * 255
        cv2.imwrite(str(args.sheet), shown[..., ::-1].astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
