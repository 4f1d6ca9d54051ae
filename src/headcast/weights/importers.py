"""Published networks whose checkpoints can be imported: strings only, so that listing them is free."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["IMPORTERS", "Importer"]


class Importer(NamedTuple):
    """One network.

    Attributes:
        convert: ``module:function``, which takes what the restricted loader gave and returns tensors (by the
            names of our network) and a card with at least ``licence``; raises HeadcastError for another
            network's.
        files: names its authors gave the checkpoint.
        what: what it is good for.
    """

    convert: str
    files: str
    what: str


IMPORTERS: dict[str, Importer] = {
    "gfpgan": Importer(
        "headcast.priors.gfpgan:convert", "GFPGANv1.3.pth or GFPGANv1.4.pth", "headcast restore --with gfpgan"
    ),
    "codeformer": Importer(
        "headcast.priors.restorer.foreign:convert_codeformer", "codeformer.pth",
        "headcast restore --with codeformer",
    ),
    "restoreformer": Importer(
        "headcast.priors.restorer.foreign:convert_restoreformer", "RestoreFormer.ckpt or .pth",
        "headcast restore --with restoreformer",
    ),
    "realesrgan": Importer(
        "headcast.priors.restorer.foreign:convert_realesrgan", "RealESRGAN_x4plus.pth",
        "headcast restore --with realesrgan",
    ),
    "portrait4d": Importer(
        "headcast.methods.portrait4d.importing:convert_portrait4d", "portrait4d-v2-vfhq512.pkl",
        "Portrait4D's synthesizer at its official sizes",
    ),
    "portrait4d-static": Importer(
        "headcast.methods.portrait4d.importing:convert_portrait4d", "portrait4d-static-genhead512.pkl",
        "Portrait4D's static synthesizer at its official sizes",
    ),
    "pdfgc": Importer(
        "headcast.methods.portrait4d.importing:convert_pdfgc", "motion_model.pth",
        "the motion encoder of portrait4d's official weights",
    ),
}  # fmt: skip
