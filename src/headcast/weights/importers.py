"""Published networks whose checkpoints can be imported: strings only, so that listing them is free."""

from __future__ import annotations

from headcast import registry
from headcast.registry import Importer

__all__ = ["IMPORTERS", "importers"]


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
}  # fmt: skip
"""Networks that no method owns; methods declare their own (see ``importers``)."""


def importers() -> dict[str, Importer]:
    """Return every network whose checkpoints can be imported, by our name of it."""
    return {**IMPORTERS, **registry.collect("importers")}
