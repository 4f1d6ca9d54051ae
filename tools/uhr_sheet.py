"""Maps of ``headcast texture`` side by side, to look at: picture | albedo | micronormal | specular | relit.

    python tools/uhr_sheet.py FOLDER [FOLDER ...] sheet.jpg [--side 400] [--uv]

A row a folder, in image space; ``--uv``: below each what the mesh wears, and what of it was seen.
Micronormals are shown four times as steep as they are. Relit: under one lamp and an even sky,
whatever light the picture has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from headcast.methods.uhr_texture.protocols.skin_images import exaggerate_slopes, relight_maps


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
    again = relight_maps(torch.cat([albedo, micro, specular[:1]]), normal)
    out = [torch.cat([photo, albedo, exaggerate_slopes(micro), specular, again], 2)]
    if uv:
        worn = [
            read(folder / f"{name}_{k}_{word}.png", side)
            for k in ("basecolor", "micronormal", "specular", "seen")
        ]
        worn[1] = exaggerate_slopes(worn[1])
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
