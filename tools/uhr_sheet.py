"""Maps of ``headcast texture`` side by side, to look at: image space above, UV below.

python tools/uhr_sheet.py FOLDER sheet.png [--side 400]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np


def shown(path: Path, side: int) -> np.ndarray:
    """A map as 8-bit colour."""
    x = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    x = (x // 257).astype(np.uint8) if x.dtype == np.uint16 else x
    x = np.repeat(x[..., None], 3, 2) if x.ndim == 2 else x
    return cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA)


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=400)
    args = parser.parse_args()
    base = next(args.folder.glob("*_basecolor_*.png"))
    name, word = base.stem.split("_basecolor_")
    image = [args.folder / f"{name}_image_{k}.png" for k in ("albedo", "micronormal", "specular", "normal")]
    uv = [args.folder / f"{name}_{k}_{word}.png" for k in ("basecolor", "micronormal", "specular", "seen")]
    rows = [np.concatenate([shown(p, args.side) for p in row], 1) for row in (image, uv)]
    cv2.imwrite(str(args.out), np.concatenate(rows, 0))


if __name__ == "__main__":
    main()
