"""Options of ``headcast texture``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headcast.methods.base import MethodOptions

__all__ = ["TextureOptions"]


@dataclass(frozen=True)
class TextureOptions(MethodOptions):
    """Options of ``headcast texture``."""

    size: str = "4k"
    """Side of the maps in UV: 1k, 2k, 4k, 8k or texels."""
    geometry: Path | None = None
    """Your mesh (.obj with texture coordinates), in metres in headcast's head frame."""
    uv: Path | None = None
    """Another .obj with the same faces whose texture coordinates are used."""
    camera: Path | None = None
    """Camera of the photo (.json: K, cam_from_world, size); the mesh is taken to be in its world."""
    prior: Literal["geometry", "network"] = "geometry"
    """Where UV and normals that guide the networks come from: the fitted head, or the predictor."""
    weights: Path | None = None
    """Folder of networks that you trained (headcast train uhr.gde and so on), instead of the package's."""
    texture_size: int | None = None
    """Side of the textures inside the GLB in texels; by default that of the maps."""
    format: Literal["png", "jpeg", "webp", "ktx2"] = "png"
    """Of the textures inside the GLB; the maps beside it are 16-bit PNG."""
