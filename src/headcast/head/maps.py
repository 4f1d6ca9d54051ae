"""Maps of a person's skin in the head's UV."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

__all__ = ["SkinMaps"]


@dataclass(frozen=True)
class SkinMaps:
    """Pictures in the head's UV, origin at the top left, all of one size.

    Attributes:
        albedo: (H, W, 3) linear reflectance in 0..1.
        micronormal: (H, W, 3) unit tangent-space normals of pores and fine wrinkles, +Y up; None: unknown.
        specular: (H, W) reflectance at normal incidence relative to 0.04; None: unknown.
        roughness: (H, W) perceptual roughness in 0..1; None: unknown.
        ao: (H, W) ambient occlusion, 1 is open; None: unknown.
        provenance: what each map was made from and how, in words, by map name.
    """

    albedo: Float[np.ndarray, "h w 3"]
    micronormal: Float[np.ndarray, "h w 3"] | None = None
    specular: Float[np.ndarray, "h w"] | None = None
    roughness: Float[np.ndarray, "h w"] | None = None
    ao: Float[np.ndarray, "h w"] | None = None
    provenance: dict[str, str] = field(default_factory=dict)
