"""Maps of ``headcast texture`` side by side, to look at: picture | albedo | micronormal | specular | relit.

    python tools/uhr_sheet.py FOLDER [FOLDER ...] sheet.jpg [--side 400] [--uv]

A row a folder, in image space; ``--uv``: below each what the mesh wears, and what of it was seen.
Micronormals are shown ``TIMES`` times as steep as they are. Relit: under ``KEY`` and an even sky,
whatever light the picture has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.shading import ggx_specular

TIMES = 4.0
KEY, COLOUR, SKY = (0.75, 0.35, 0.55), (1.25, 1.15, 1.0), (0.16, 0.18, 0.22)
"""Where the lamp is (right, up, towards the camera), and radiance of lamp and sky."""
ROUGH = 0.4


def relit(maps: Tensor, normal: Tensor) -> Tensor:
    """The skin under ``KEY``: maps (7, h, w) and geometry normals (3, h, w), all 0..1; black off the head."""
    on = (normal.sum(0) > 0.3).float()
    n = normalize(normal * 2 - 1, dim=0)
    right = torch.zeros_like(n)
    right[0] = 1
    t = normalize(right - (right * n).sum(0) * n, dim=0)
    b = torch.linalg.cross(n, t, dim=0)
    m = maps[3:6] * 2 - 1
    fine = normalize(t * m[:1] + b * m[1:2] + n * m[2:], dim=0).permute(1, 2, 0)
    lamp = normalize(torch.tensor(KEY), dim=0).expand_as(fine)
    eye = torch.tensor([0.0, 0.0, 1.0]).expand_as(fine)
    soft = (((fine * lamp).sum(-1, keepdim=True) + 0.15) / 1.15).clamp(min=0)
    light = soft * torch.tensor(COLOUR) + torch.tensor(SKY)
    shine = ggx_specular(fine, eye, lamp, torch.full_like(on, ROUGH), 0.04 * maps[6])[..., None]
    out = srgb_to_linear(maps[:3].permute(1, 2, 0)) * light + shine * torch.tensor(COLOUR)
    return (linear_to_srgb(out.clamp(0, 1)) * on[..., None]).permute(2, 0, 1)


def steeper(micro: Tensor) -> Tensor:
    """Micronormals (3, h, w) to be seen."""
    flat = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1)
    return (flat + (micro - flat) * torch.tensor([TIMES, TIMES, 0.0]).view(3, 1, 1)).clamp(0, 1)


def read(path: Path, side: int) -> Tensor:
    """A map, 0..1, channels first."""
    x = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    x = x.astype(np.float32) / (65535 if x.dtype == np.uint16 else 255)
    x = cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA if x.shape[0] > side else cv2.INTER_LINEAR)
    return torch.from_numpy(x if x.ndim == 3 else np.repeat(x[..., None], 3, 2)).permute(2, 0, 1).flip(0)


def rows(folder: Path, side: int, uv: bool) -> list[Tensor]:
    """What is shown of a folder."""
    base = next(folder.glob("*_basecolor_*.png"))
    name, word = base.stem.split("_basecolor_")
    photo, albedo, micro, specular, normal = (
        read(folder / f"{name}_image_{k}.png", side)
        for k in ("photo", "albedo", "micronormal", "specular", "normal")
    )
    again = relit(torch.cat([albedo, micro, specular[:1]]), normal)
    out = [torch.cat([photo, albedo, steeper(micro), specular, again], 2)]
    if uv:
        worn = [
            read(folder / f"{name}_{k}_{word}.png", side)
            for k in ("basecolor", "micronormal", "specular", "seen")
        ]
        worn[1] = steeper(worn[1])
        out.append(torch.cat([*worn, torch.zeros_like(photo)], 2))
    return out


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--uv", action="store_true")
    args = parser.parse_args()
    sheet = torch.cat([r for f in args.folder for r in rows(f, args.side, args.uv)], 1)
    bgr = (sheet.flip(0).permute(1, 2, 0).clamp(0, 1) * 255).byte().numpy()
    cv2.imwrite(str(args.out), bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
