"""How far albedo moves when only a picture's light, frame or noise does: real portraits, no truth needed.

    python tools/uhr_steady.py --photos ../shared/data/portraits_pd --count 24 [--gde FILE --hfdr FILE]

Public-domain portraits of the train split (``portraits_pd.csv``), none is trained on. Each is changed:
lit from one side (its linear colours times 1 + 0.6 n.d over the fitted normals), made brighter, warmer,
noisy, moved and enlarged in its frame. Root of the mean squared difference (sRGB, 0..1, skin) of albedo
before and after, that of the picture itself, and their ratio; for ours, and for the picture freed of
harmonics.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.geometry import fitted, geometry_prior
from headcast.methods.uhr_texture.infer import image_maps
from headcast.methods.uhr_texture.light import freed, shading_of
from headcast.methods.uhr_texture.network import resized
from headcast.methods.uhr_texture.square import crop_of, skin_trust
from headcast.methods.uhr_texture.weights import Networks, load_networks
from headcast.observe.observe import observe_photo

SIDE = 256
FRAME = (0.03, -0.02, 1.05)
"""By which the frame moves (shares of its side) and enlarges."""


def chosen(folder: Path, count: int) -> list[Path]:
    """Colour photos of the train split."""
    with (folder / "portraits_pd.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["split"] == "train" and r["black_and_white"] == "no"]
    step = max(1, len(rows) // count)
    return [folder / f"{r['id']}.jpg" for r in rows[::step][:count]]


def changes(rgb: Tensor, normal: Tensor, dice: torch.Generator) -> dict[str, Tensor]:
    """Pictures that show the same skin."""
    linear = srgb_to_linear(rgb)
    out = {}
    for name, x in (("lit from the left", -1.0), ("lit from the right", 1.0)):
        lamp = normalize(torch.tensor([x, 0.4, 0.5]), dim=0).view(3, 1, 1)
        out[name] = linear_to_srgb((linear * (1 + 0.6 * (normal * lamp).sum(0))).clamp(0, 1))
    out["a third brighter"] = linear_to_srgb((linear * 1.33).clamp(0, 1))
    out["warmer"] = linear_to_srgb((linear * torch.tensor([1.1, 1.0, 0.85]).view(3, 1, 1)).clamp(0, 1))
    out["noisy"] = (rgb + 0.03 * torch.randn(rgb.shape, generator=dice)).clamp(0, 1)
    return out


def moved(x: Tensor, back: bool = False) -> Tensor:
    """Maps in the other frame, or from it back in this one."""
    dx, dy, s = FRAME
    n = x.shape[-1]
    y, u = torch.meshgrid(*(torch.linspace(-1 + 1 / n, 1 - 1 / n, n),) * 2, indexing="ij")
    at = torch.stack([u, y], -1)
    at = (at - torch.tensor([dx, dy])) * s if back else at / s + torch.tensor([dx, dy])
    return grid_sample(x[None], at[None], padding_mode="border", align_corners=False)[0]


def albedos(rgb: Tensor, prior: Tensor, trust: Tensor, networks: Networks) -> dict[str, Tensor]:
    """By method."""
    n = rgb.shape[-1]
    shading = shading_of(rgb[None], resized(prior[None], n, n), trust[None, None])
    small = resized(prior[None], networks.config.side, networks.config.side)[0]
    return {
        "ours": image_maps(rgb, networks, small, trust=trust)[0][:3],
        "picture freed of SH light": freed(rgb[None], shading)[0],
        "picture": rgb,
    }


def off(a: Tensor, b: Tensor, mask: Tensor) -> float:
    """Root of the mean squared difference."""
    return float((a - b)[:, mask].square().mean().sqrt())


@torch.no_grad()
def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    for name in ("gde", "hfdr"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    head, networks = HeadModel.load(), load_networks(gde=args.gde, hfdr=args.hfdr)
    found: dict[str, dict[str, list[float]]] = {}
    used = 0
    for path in chosen(args.photos, args.count):
        try:
            seen = observe_photo(path, head)
        except HeadcastError as e:
            print(e)
            continue
        rgb, camera, _ = crop_of(seen, SIDE)
        rgb = resized(rgb[None], SIDE, SIDE)[0]
        prior = geometry_prior(fitted(head, seen.params, camera), camera, SIDE)
        trust = resized(skin_trust(seen, camera.width)[None, None], SIDE, SIDE)[0, 0]
        mask = (trust > 0.95) & (prior[2:].sum(0) > 0.3)
        before = albedos(rgb, prior, trust, networks)
        normal = normalize(prior[2:] * 2 - 1, dim=0)
        every = changes(rgb, normal, torch.Generator().manual_seed(used))
        for name, changed in every.items():
            for method, x in albedos(changed, prior, trust, networks).items():
                found.setdefault(name, {}).setdefault(method, []).append(off(x, before[method], mask))
        other = albedos(moved(rgb), moved(prior), moved(trust[None])[0], networks)
        still = mask & (moved(moved(torch.ones(1, SIDE, SIDE)), back=True)[0] > 0.99)
        for method, x in other.items():
            again = moved(moved(before[method]), back=True)  # as blurred as what is compared
            found.setdefault("frame moved", {}).setdefault(method, []).append(
                off(moved(x, back=True), again, still)
            )
        used += 1
    print(f"{used} photos, squares of {SIDE}²\n")
    print("| change | picture moves | freed of SH light | ours | ours / picture |\n|---|---|---|---|---|")
    for name, by in found.items():
        mean = {k: float(np.mean(v)) for k, v in by.items()}
        ours, free, plain = (mean[k] for k in ("ours", "picture freed of SH light", "picture"))
        print(f"| {name} | {plain:.4f} | {free:.4f} | {ours:.4f} | {ours / max(plain, 1e-6):.2f} |")


if __name__ == "__main__":
    main()
