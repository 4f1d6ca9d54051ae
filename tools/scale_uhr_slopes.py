"""Make the slopes of trained HFDR weights as steep as least squares over windows say.

    python tools/scale_uhr_slopes.py --data TRAINING_WINDOWS --gde FILE --hfdr FILE --out FILE

L1's median makes slopes too shallow where they are unsure. The windows (``tools/build_uhr_looks.py``) are
training's, never those that ``headcast evaluate uhr --protocol skin-detail`` measures.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch

from headcast.methods.uhr_texture.network import UNITS
from headcast.methods.uhr_texture.protocols.skin_detail import refined_window, windows_in
from headcast.methods.uhr_texture.weights import SkinNetworks, load_skin_networks, to_stored
from headcast.weights import save_tensors


def gain_of(folder: Path, networks: SkinNetworks) -> float:
    """By how much slopes are too shallow, over all windows of a folder."""
    products = torch.zeros(2)
    for w in windows_in(folder):
        a, b = ((x[3:5] * 2 - 1)[:, w.mask] for x in (refined_window(w, networks), w.maps[8:15]))
        products += torch.stack([(a * b).sum(), a.square().sum()])
    return float(products[0] / products[1])


def scale(networks: SkinNetworks, gain: float) -> None:
    """Make all slopes that the HFDR gives so many times as steep."""
    out = networks.hfdr.body.out
    assert out.bias is not None
    half = 0.5 / UNITS[3]
    for channel in (3, 4):
        out.weight[channel] *= gain
        out.bias[channel] = half + gain * (out.bias[channel] - half)


@torch.no_grad()
def main() -> None:
    """Write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("gde", "hfdr"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    networks = copy.deepcopy(load_skin_networks(gde=args.gde, hfdr=args.hfdr))
    gain = gain_of(args.data, networks)
    scale(networks, gain)
    licence = {"name": "uhr-hfdr", "licence": "Apache-2.0"}
    save_tensors(args.out, to_stored(networks.hfdr, networks.config), licence)
    print(f"slopes {gain:.2f} times as steep: {args.out}")


if __name__ == "__main__":
    main()
